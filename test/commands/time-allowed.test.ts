import assert from 'node:assert/strict';
import { test } from 'node:test';
import { timeAllowed } from '../../src/commands/time-allowed.ts';

const HOUR_MS = 3_600_000;
const server = {
  commandTimeoutMs: HOUR_MS / 2,
  commandTimeoutMaxMs: 4 * HOUR_MS,
  backgroundProcesses: 'keep' as const,
};

test('a mail goes before its repository, that before the server; and nothing beyond the most', () => {
  const table: [asked: number | null, repository: number | null, timeout: number, most: number][] = [
    [null, null, 0.5, 4],
    [null, 2, 2, 4],
    [3, 2, 3, 4],
    [0.1, 2, 0.1, 4],
    // The most was set lower after the mail was taken.
    [5, null, 4, 4],
    // A repository may have more than any mail could ask for.
    [null, 6, 6, 6],
    [5, 6, 5, 6],
  ];
  for (const [asked, own, timeout, most] of table) {
    const hours = (count: number | null) => (count === null ? null : count * HOUR_MS);
    assert.deepEqual(
      timeAllowed(
        { timeoutMs: hours(asked) },
        { commandTimeoutMs: hours(own), backgroundProcesses: null },
        server,
      ),
      { timeoutMs: timeout * HOUR_MS, mostMs: most * HOUR_MS, keepsBackground: true },
      JSON.stringify([asked, own]),
    );
  }
});
