import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lanes } from '../../src/commands/lanes.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Jobs that end when they are told to. */
function manual() {
  const begun: string[] = [];
  const ends = new Map<string, (error?: Error) => void>();
  const job = (name: string) => () => {
    begun.push(name);
    return new Promise<void>((resolve, reject) => {
      ends.set(name, (error) => (error ? reject(error) : resolve()));
    });
  };
  const end = async (name: string, error?: Error) => {
    ends.get(name)?.(error);
    await turn();
  };
  return { begun, job, end };
}

test('lanes go side by side, each in its order, and what they hold is counted until it is done', async () => {
  const { begun, job, end } = manual();
  const lanes = new Lanes();
  for (const name of ['a1', 'a2', 'b1', 'a3'])
    void lanes.add(name[0] ?? '', { count: 1, bytes: 10 }, job(name));
  await turn();
  assert.deepEqual(begun, ['a1', 'b1']);
  let hasRoom = false;
  const room = lanes.until({ count: 9, bytes: 25 }).then(() => (hasRoom = true));
  await end('b1');
  assert.equal(hasRoom, false, '30 bytes');
  await end('a1');
  await room;
  assert.deepEqual(begun, ['a1', 'b1', 'a2']);
  assert.equal(lanes.count, 2);
  void lanes.add('b', { count: 1, bytes: 0 }, job('b2'));
  await turn();
  await end('b2');
  await end('a2');
  await end('a3');
  await lanes.idle();
  assert.deepEqual(begun, ['a1', 'b1', 'a2', 'b2', 'a3']);
  await lanes.ended();
});

test('after a fault nothing is begun, what runs comes to its end, and then the fault is thrown', async () => {
  const { begun, job, end } = manual();
  const lanes = new Lanes();
  for (const name of ['a1', 'a2', 'b1', 'b2'])
    void lanes.add(name[0] ?? '', { count: 1, bytes: 1 }, job(name));
  await turn();
  let isOver = false;
  const ended = lanes.ended().finally(() => (isOver = true));
  ended.catch(() => undefined);
  await end('a1', new Error('the first'));
  assert.equal(lanes.hasFailed, true);
  assert.equal(isOver, false);
  await end('b1', new Error('another'));
  await assert.rejects(ended, /the first/);
  assert.deepEqual(begun, ['a1', 'b1']);
  assert.equal(lanes.count, 0);
});
