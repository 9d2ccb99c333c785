import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atMost, ThreadQueues } from '../../src/commands/queues.ts';
import { until } from '../support/until.ts';

/** A command with nothing before and after it. */
const just = (run: () => Promise<void>) => ({ run });

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
    just(async () => {
      events.push('a1 starts');
      await gate.promise;
      events.push('a1 ends');
    }),
    noFault,
  );
  queues.add(
    'a',
    just(() => Promise.resolve(void events.push('a2'))),
    noFault,
  );
  queues.add(
    'b',
    just(() => {
      events.push('b1');
      other.resolve();
      return Promise.resolve();
    }),
    noFault,
  );
  await other.promise;
  assert.deepEqual(events, ['a1 starts', 'b1']);
  gate.resolve();
  await queues.onIdle();
  assert.deepEqual(events, ['a1 starts', 'b1', 'a1 ends', 'a2']);
});

test('one that has its place and may not run gives it to others, and begins again', async () => {
  const queues = new ThreadQueues(1);
  const events: string[] = [];
  const gate = Promise.withResolvers<void>();
  queues.add('b', just(() => gate.promise), noFault); // prettier-ignore
  const room = Promise.withResolvers<void>();
  let mayRun = true;
  queues.add(
    'a',
    {
      prepare: async () => {
        events.push('a is prepared');
        if (!mayRun) await room.promise;
      },
      mayRun: () => Promise.resolve(mayRun),
      run: () => Promise.resolve(void events.push('a')),
      finish: () => Promise.resolve(void events.push('a is over')),
    },
    noFault,
  );
  await until(() => events.length === 1);
  mayRun = false;
  gate.resolve();
  await until(() => events.length === 2);
  const other = Promise.withResolvers<void>();
  queues.add('c', just(() => Promise.resolve(other.resolve())), noFault); // prettier-ignore
  await other.promise;
  mayRun = true;
  room.resolve();
  await queues.onIdle();
  assert.deepEqual(events, ['a is prepared', 'a is prepared', 'a', 'a is over']);
});

test('no more jobs run at once than the limit for all threads', async () => {
  const queues = new ThreadQueues(2);
  let running = 0;
  let most = 0;
  for (let index = 0; index < 10; index += 1) {
    queues.add(
      `thread ${index}`,
      just(async () => {
        most = Math.max(most, (running += 1));
        await new Promise(setImmediate);
        running -= 1;
      }),
      noFault,
    );
  }
  await queues.onIdle();
  assert.equal(most, 2);
});

test('a job hears when it begins to wait for a place, and when it has one or never will', async () => {
  const queues = new ThreadQueues(1);
  const events: string[] = [];
  const gate = Promise.withResolvers<void>();
  const job = (name: string, run: () => Promise<void>) => ({
    whileWaiting: () => {
      events.push(`${name} waits`);
      return () => void events.push(`${name} waits no more`);
    },
    run: async () => {
      events.push(`${name} runs`);
      await run();
    },
  });
  const faults: unknown[] = [];
  queues.add(
    'a',
    job('a', () => gate.promise),
    noFault,
  );
  queues.add(
    'b',
    job('b', () => Promise.reject(new Error('no'))),
    (error) => faults.push(error),
  );
  await until(() => events.includes('b waits'));
  assert.deepEqual(events, ['a waits', 'a waits no more', 'a runs', 'b waits']);
  gate.resolve();
  await queues.onIdle();
  assert.deepEqual(events.slice(4), ['b waits no more', 'b runs']);
  assert.equal(faults.length, 1);
});

test('a job that fails is told, and the next one runs', async () => {
  const queues = new ThreadQueues(1);
  const faults: unknown[] = [];
  let ran = false;
  queues.add(
    'a',
    just(() => Promise.reject(new Error('no'))),
    (error) => faults.push(error),
  );
  queues.add(
    'a',
    just(() => Promise.resolve(void (ran = true))),
    noFault,
  );
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
    just(async () => {
      started.resolve();
      await gate.promise;
      events.push('first ended');
    }),
    noFault,
  );
  queues.add(
    'a',
    just(() => Promise.resolve(void events.push('second'))),
    noFault,
  );
  queues.add(
    'b',
    just(() => Promise.resolve(void events.push('third'))),
    noFault,
  );
  await started.promise;
  const closed = queues.close();
  gate.resolve();
  await closed;
  assert.deepEqual(events, ['first ended']);
});

test('what comes before and after a command takes no place of the others, and keeps the thread to itself', async () => {
  const queues = new ThreadQueues(1);
  const events: string[] = [];
  const prepared = Promise.withResolvers<void>();
  const finished = Promise.withResolvers<void>();
  const say = (word: string) => () => Promise.resolve(void events.push(word));
  queues.add(
    'a',
    { prepare: () => prepared.promise, run: say('a1'), finish: () => finished.promise },
    noFault,
  );
  queues.add('a', just(say('a2')), noFault);
  const other = Promise.withResolvers<void>();
  queues.add('b', { run: say('b'), finish: () => Promise.resolve(other.resolve()) }, noFault);
  await other.promise;
  assert.deepEqual(events, ['b']);
  prepared.resolve();
  finished.resolve();
  await queues.onIdle();
  assert.deepEqual(events, ['b', 'a1', 'a2']);
});

test('something else is done in a thread when its turn has come, and its outcome is handed on', async () => {
  const queues = new ThreadQueues(1);
  const events: string[] = [];
  const gate = Promise.withResolvers<void>();
  queues.add(
    'a',
    just(async () => {
      await gate.promise;
      events.push('command');
    }),
    noFault,
  );
  const other = queues.run('a', () => Promise.resolve(events.push('other')));
  assert.ok(queues.isBusy('a'));
  gate.resolve();
  assert.equal(await other, 2);
  assert.deepEqual(events, ['command', 'other']);
  await assert.rejects(
    queues.run('a', () => Promise.reject(new Error('no'))),
    /^Error: no$/,
  );
  await queues.onIdle();
  await until(() => !queues.isBusy('a'));
  await queues.close();
  await assert.rejects(
    queues.run('a', () => Promise.resolve()),
    { name: 'AbortError' },
  );
});

test('what is only to be done in an idle thread is refused at once in a busy one, and keeps an idle one to itself', async () => {
  const queues = new ThreadQueues(1);
  const gate = Promise.withResolvers<void>();
  const events: string[] = [];
  const say = (word: string) => Promise.resolve(void events.push(word));
  queues.add('a', { prepare: () => gate.promise, run: () => say('command') }, noFault);
  assert.equal(
    queues.runIfIdle('a', () => say('never')),
    null,
  );
  gate.resolve();
  await until(() => !queues.isBusy('a'));
  const first = Promise.withResolvers<void>();
  const mine = queues.runIfIdle('a', async () => {
    await first.promise;
    await say('mine');
  });
  queues.add('a', { run: () => say('next') }, noFault);
  assert.equal(
    queues.runIfIdle('a', () => say('never')),
    null,
  );
  first.resolve();
  await mine;
  await queues.onIdle();
  assert.deepEqual(events, ['command', 'mine', 'next']);
  assert.equal(await queues.runIfIdle('a', () => Promise.resolve(7)), 7);
});

test('what hangs holds up others for a while only, and its end still comes', async () => {
  const oneAtOnce = atMost(1, 20);
  const gate = Promise.withResolvers<void>();
  const events: string[] = [];
  const hanging = oneAtOnce(async () => {
    await gate.promise;
    events.push('hung');
    return 1;
  });
  const failing = oneAtOnce(() => Promise.reject(new Error('no')));
  await assert.rejects(failing, /no/);
  assert.equal(await oneAtOnce(() => Promise.resolve(2)), 2);
  assert.deepEqual(events, []);
  gate.resolve();
  assert.equal(await hanging, 1);
});
