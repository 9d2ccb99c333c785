import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planCancel } from '../../src/lifecycle/cancel.ts';
import type { LoggedCommand } from '../../src/store/commands.ts';

/** `r1 q2 c3`: running, queued, a queued control word. */
const commands = (line: string): LoggedCommand[] =>
  line
    .split(' ')
    .filter(Boolean)
    .map((word) => ({
      id: Number(word.slice(1)),
      script: word,
      isControl: word.startsWith('c'),
      state: word.startsWith('r') ? 'running' : 'queued',
      exitCode: null,
      createdAt: new Date(0),
      startedAt: null,
      endedAt: null,
      cancelRequestedAt: null,
      durationMs: null,
    }));

const table: [
  open: string,
  isAll: boolean,
  running: string,
  dropped: string,
  waiting: string,
  left: string,
][] = [
  ['', false, '', '', '', ''],
  ['', true, '', '', '', ''],
  ['r1', false, 'r1', '', '', ''],
  ['r1 q2 q3', false, 'r1', '', 'q2 q3', ''],
  ['r1 q2 q3', true, 'r1', 'q2 q3', '', ''],
  ['r1 c2 q3', true, 'r1', 'q3', '', 'c2'],
  ['q1', false, '', 'q1', '', ''],
  ['q1 q2', false, '', 'q1', 'q2', ''],
  ['q1 q2', true, '', 'q1 q2', '', ''],
  ['c1', true, '', '', '', 'c1'],
  ['c1 q2', false, '', 'q2', '', 'c1'],
];
for (const [open, isAll, ...expected] of table) {
  test(`cancel${isAll ? ' all' : ''} of "${open}"`, () => {
    const { running, dropped, waiting, controls } = planCancel(commands(open), isAll);
    const said = [running ? [running] : [], dropped, waiting, controls];
    assert.deepEqual(
      said.map((some) => some.map(({ script }) => script).join(' ')),
      expected,
    );
  });
}
