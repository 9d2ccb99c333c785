import assert from 'node:assert/strict';
import { test } from 'node:test';
import { longRunStep, toldPoints } from '../../src/commands/still-running.ts';

const MINUTE_MS = 60_000;
const minutes = (ms: readonly number[]) => ms.map((point) => point / MINUTE_MS);

const points: [firstMinutes: number, limitMinutes: number, toldAt: number[]][] = [
  [1, 30, [1, 5, 15, 27]],
  [1, 120, [1, 5, 15, 45, 115]],
  [1, 50, [1, 5, 15, 45]],
  [1, 5, [1, 4.5]],
  [2, 30, [2, 10, 27]],
  [1, 1, []],
  [30, 30, []],
  [0, 30, []],
];
for (const [first, limit, toldAt] of points) {
  test(`after ${first} min and a limit of ${limit} min it is told at ${toldAt.join(', ') || 'no time'}`, () => {
    const times = { firstMs: first * MINUTE_MS, timeoutMs: limit * MINUTE_MS };
    assert.deepEqual(minutes(toldPoints(times)), toldAt);
  });
}

const steps: [
  ran: number,
  told: number,
  step: 'nothing' | { tell: number; isLast?: true } | { wait: number },
][] = [
  [0, 0, { wait: 1 }],
  [0.5, 0, { wait: 0.5 }],
  [1, 0, { tell: 1 }],
  [1, 1, { wait: 4 }],
  [4, 1, { wait: 1 }],
  [5.5, 1, { tell: 5 }],
  // A bot that was away for long: one mail for all that passed.
  [20, 0, { tell: 15 }],
  [20, 15, { wait: 7 }],
  [27, 15, { tell: 27, isLast: true }],
  [29.5, 1, { tell: 27, isLast: true }],
  // It is being stopped.
  [30, 1, 'nothing'],
  [40, 0, 'nothing'],
  [28, 27, 'nothing'],
  // A clock that was set back tells nothing twice.
  [2, 15, { wait: 25 }],
];
for (const [ran, told, expected] of steps) {
  test(`after ${ran} min, told at ${told}: ${JSON.stringify(expected)}`, () => {
    const times = { firstMs: MINUTE_MS, timeoutMs: 30 * MINUTE_MS };
    const step = longRunStep({ ranMs: ran * MINUTE_MS, toldMs: told * MINUTE_MS }, times);
    const said =
      step === null
        ? 'nothing'
        : 'waitMs' in step
          ? { wait: step.waitMs / MINUTE_MS }
          : { tell: step.tellMs / MINUTE_MS, ...(step.isLast && { isLast: true }) };
    assert.deepEqual(said, expected);
  });
}
