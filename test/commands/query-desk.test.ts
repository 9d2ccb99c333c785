import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startQueryDesk, type QueryDeskParts } from '../../src/commands/query-desk.ts';
import { collectedLog } from '../support/collected-log.ts';
import { until } from '../support/until.ts';

test('after a failure that has passed, the queries of admins are looked for no more often than before', async (t) => {
  const { log } = collectedLog();
  const waits: number[] = [];
  const { setTimeout: later } = globalThis;
  t.mock.method(globalThis, 'setTimeout', (done: () => void, ms: number) => {
    waits.push(ms);
    return later(done, 0);
  });
  let looks = 0;
  const isOurs = (): boolean => {
    looks += 1;
    if (looks === 1) throw Object.assign(new Error('the database is away'), { code: 'ECONNREFUSED' });
    return false;
  };
  const desk = startQueryDesk({ isOurs, log } as unknown as QueryDeskParts);
  t.after(() => desk.close());
  await until(() => waits.length >= 2);
  const [afterFailure = 0, after = 0] = waits;
  assert.ok(afterFailure < 1_000, `${afterFailure} ms`);
  assert.equal(after, 60_000);
});
