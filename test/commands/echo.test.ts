import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isEcho } from '../../src/commands/echo.ts';

const ENDED = new Date('2026-11-22T10:00:00.600Z');
const AWAY = 'I am away until Monday.\n';
const last = { script: AWAY, state: 'finished', exitCode: 127, endedAt: ENDED } as const;
const after = (seconds: number): Date => new Date(ENDED.getTime() + seconds * 1000);

type Asked = Parameters<typeof isEcho>[0];

const cases: [
  what: string,
  expected: boolean,
  mail: Omit<Asked, 'hasFiles' | 'builtin'> & Partial<Asked>,
  last: Parameters<typeof isEcho>[1],
][] = [
  [
    'the same words that were no command, at once',
    true,
    { script: AWAY, isReply: true, receivedAt: after(1) },
    last,
  ],
  [
    'in the second of the answer, as servers tell time',
    true,
    { script: AWAY, isReply: true, receivedAt: after(-0.6) },
    last,
  ],
  ['after minutes', true, { script: AWAY, isReply: true, receivedAt: after(600) }, last],
  ['without a sign of a reply', true, { script: AWAY, isReply: false, receivedAt: after(5) }, last],
  [
    'with files, which may be others now',
    false,
    { script: AWAY, hasFiles: true, isReply: true, receivedAt: after(1) },
    last,
  ],
  [
    'corrected patches for a word of ours',
    false,
    { script: 'apply\n', builtin: 'apply', isReply: true, receivedAt: after(1) },
    { ...last, script: 'apply\n', exitCode: 1 },
  ],
  ['the next day', false, { script: AWAY, isReply: true, receivedAt: after(86_400) }, last],
  ['other words', false, { script: 'ls\n', isReply: true, receivedAt: after(1) }, last],
  [
    'sent twice before there was an answer',
    false,
    { script: AWAY, isReply: true, receivedAt: after(-5) },
    last,
  ],
  [
    'a syntax error, at once',
    true,
    { script: AWAY, isReply: true, receivedAt: after(3) },
    { ...last, exitCode: 2 },
  ],
  [
    'a failing test, run again after reading',
    false,
    { script: AWAY, isReply: true, receivedAt: after(60) },
    { ...last, exitCode: 1 },
  ],
  [
    'a failing command that a program mails anew',
    false,
    { script: AWAY, isReply: false, receivedAt: after(1) },
    { ...last, exitCode: 1 },
  ],
  [
    'what has succeeded',
    false,
    { script: AWAY, isReply: true, receivedAt: after(1) },
    { ...last, exitCode: 0 },
  ],
  [
    'what still runs',
    false,
    { script: AWAY, isReply: true, receivedAt: after(1) },
    { ...last, state: 'running', endedAt: null },
  ],
  ['the first of a thread', false, { script: AWAY, isReply: true, receivedAt: after(1) }, null],
];

for (const [what, expected, mail, before] of cases) {
  test(`${expected ? 'taken for' : 'not taken for'} an automatic answer: ${what}`, () => {
    assert.equal(isEcho({ builtin: null, hasFiles: false, ...mail }, before), expected);
  });
}
