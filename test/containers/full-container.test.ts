import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isNearLimit } from '../../src/containers/full-container.ts';

test('a container is full where nearly as many processes run as may, as far as the engine says so', () => {
  const cases: [Parameters<typeof isNearLimit>[0], boolean][] = [
    [{ current: 512, limit: 512 }, true],
    [{ current: 461, limit: 512 }, true],
    [{ current: 460, limit: 512 }, false],
    [{ current: 512, limit: 0 }, false],
    // Without a limit it is as large as a number can be.
    [{ current: 512, limit: 2 ** 64 }, false],
    [{ current: 512 }, false],
    [{}, false],
    [undefined, false],
  ];
  for (const [pids, isFull] of cases) assert.equal(isNearLimit(pids), isFull, JSON.stringify(pids));
});
