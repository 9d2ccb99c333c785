import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ThreadQueues } from '../../src/commands/queues.ts';

function noFault(error: unknown): never {
  throw error;
}

test('a thread runs one job at a time, in order; threads run side by side', async () => {
  const queues = new ThreadQueues(4);
  const events: string[] = [];
  const gate = Promise.withResolvers<void>();
  const other = Promise.withResolvers<void>();
  queues.add(
    'a',
    async () => {
      events.push('a1 starts');
      await gate.promise;
      events.push('a1 ends');
    },
    noFault,
  );
  queues.add('a', () => Promise.resolve(void events.push('a2')), noFault);
  queues.add(
    'b',
    () => {
      events.push('b1');
      other.resolve();
      return Promise.resolve();
    },
    noFault,
  );
  await other.promise;
  assert.deepEqual(events, ['a1 starts', 'b1']);
  gate.resolve();
  await queues.onIdle();
  assert.deepEqual(events, ['a1 starts', 'b1', 'a1 ends', 'a2']);
});

test('no more jobs run at once than the limit for all threads', async () => {
  const queues = new ThreadQueues(2);
  let running = 0;
  let most = 0;
  for (let index = 0; index < 10; index += 1) {
    queues.add(
      `thread ${index}`,
      async () => {
        most = Math.max(most, (running += 1));
        await new Promise(setImmediate);
        running -= 1;
      },
      noFault,
    );
  }
  await queues.onIdle();
  assert.equal(most, 2);
});

test('a job that fails is told, and the next one runs', async () => {
  const queues = new ThreadQueues(1);
  const faults: unknown[] = [];
  let ran = false;
  queues.add(
    'a',
    () => Promise.reject(new Error('no')),
    (error) => faults.push(error),
  );
  queues.add('a', () => Promise.resolve(void (ran = true)), noFault);
  await queues.onIdle();
  assert.equal((faults[0] as Error).message, 'no');
  assert.ok(ran);
});

test('closing waits for what runs and starts nothing that waits', async () => {
  const queues = new ThreadQueues(1);
  const started = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const events: string[] = [];
  queues.add(
    'a',
    async () => {
      started.resolve();
      await gate.promise;
      events.push('first ended');
    },
    noFault,
  );
  queues.add('a', () => Promise.resolve(void events.push('second')), noFault);
  queues.add('b', () => Promise.resolve(void events.push('third')), noFault);
  await started.promise;
  const closed = queues.close();
  gate.resolve();
  await closed;
  assert.deepEqual(events, ['first ended']);
});
