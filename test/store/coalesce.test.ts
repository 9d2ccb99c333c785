import assert from 'node:assert/strict';
import { test } from 'node:test';
import { coalesce } from '../../src/store/coalesce.ts';

test('what is asked side by side goes together; what is asked meanwhile goes with the next', async () => {
  const asked: (readonly number[])[] = [];
  const pending: (() => void)[] = [];
  const double = coalesce(async (keys: readonly number[]) => {
    asked.push(keys);
    await new Promise<void>((resolve) => pending.push(resolve));
    return keys.map((key) => key * 2);
  });
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const first = Promise.all([1, 2, 3].map(double));
  await turn();
  const later = [double(4)];
  await turn();
  later.push(double(5));
  assert.deepEqual(asked, [[1, 2, 3]]);
  pending.shift()?.();
  assert.deepEqual(await first, [2, 4, 6]);
  assert.deepEqual(asked, [
    [1, 2, 3],
    [4, 5],
  ]);
  pending.shift()?.();
  assert.deepEqual(await Promise.all(later), [8, 10]);
  const alone = double(6);
  await turn();
  pending.shift()?.();
  assert.equal(await alone, 12);
});

test('one that fails spoils no other; where the database is away, all fail at once', async () => {
  const asked: (readonly string[])[] = [];
  const faults: Record<string, Error> = {
    odd: new Error('odd'),
    away: Object.assign(new Error('away'), { code: 'ECONNREFUSED' }),
  };
  const ask = coalesce(async (keys: readonly string[]) => {
    asked.push(keys);
    const fault = keys.map((key) => faults[key]).find(Boolean);
    if (fault) throw fault;
    return keys;
  });
  const outcomes = async (...keys: string[]) =>
    (await Promise.allSettled(keys.map(ask))).map((outcome) =>
      outcome.status === 'fulfilled' ? outcome.value : (outcome.reason as Error).message,
    );
  assert.deepEqual(await outcomes('a', 'odd', 'b'), ['a', 'odd', 'b']);
  assert.deepEqual(asked.splice(0), [['a', 'odd', 'b'], ['a'], ['odd'], ['b']]);
  assert.deepEqual(await outcomes('a', 'away', 'b'), ['away', 'away', 'away']);
  assert.equal(asked.length, 1);
});
