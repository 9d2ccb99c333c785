import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kept } from '../../src/http/kept.ts';

const limits = { leastMs: 10_000, timesAsLong: 100, mostMs: 600_000 };

test('an answer is kept for ten seconds, or a hundred times as long as it took, and never for over ten minutes', async () => {
  for (const [tookMs, keptMs] of [
    [5, 10_000],
    [400, 40_000],
    [60_000, 600_000],
  ] as const) {
    let nowMs = 1_000;
    let asked = 0;
    const look = kept(
      limits,
      async () => {
        nowMs += tookMs;
        await Promise.resolve();
        return (asked += 1);
      },
      () => nowMs,
    );
    assert.equal(await look(), 1);
    nowMs += keptMs - 1;
    assert.equal(await look(), 1, `after ${tookMs} ms`);
    nowMs += 1;
    assert.equal(await look(), 2, `after ${tookMs} ms`);
  }
});

test('who asks while it is looked for waits for that; a fault is kept as long as an answer, and then asked anew', async () => {
  let nowMs = 0;
  let asked = 0;
  const look = kept(
    limits,
    async () => {
      asked += 1;
      nowMs += 400;
      await Promise.resolve();
      if (asked === 1) throw new Error('away');
      return asked;
    },
    () => nowMs,
  );
  await Promise.all([assert.rejects(look(), /away/), assert.rejects(look(), /away/)]);
  nowMs += 39_999;
  await assert.rejects(look(), /away/);
  assert.equal(asked, 1);
  nowMs += 1;
  assert.deepEqual(await Promise.all([look(), look(), look()]), [2, 2, 2]);
  assert.equal(asked, 2);
});
