import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askedOf, type Asking } from '../../src/commands/asked.ts';

const asking = (more: Partial<Asking>): Asking => ({
  typed: { text: 'ls', doubt: null },
  subjectRest: 'Look',
  isReply: false,
  hasPatch: false,
  repositoryName: 'app',
  mostMs: 14_400_000,
  ...more,
});
const unsure = { kind: 'unsure', repositoryName: 'app' } as const;

const TABLE: readonly [what: string, given: Partial<Asking>, asked: ReturnType<typeof askedOf>][] = [
  ['what was typed', {}, { script: 'ls\n', builtin: null, timeoutMs: null }],
  [
    'the subject of a fresh mail',
    { typed: { text: '', doubt: null } },
    { script: 'Look\n', builtin: null, timeoutMs: null },
  ],
  [
    'nothing of an empty answer',
    { typed: { text: '', doubt: null }, isReply: true },
    { refusal: { kind: 'empty-mail', repositoryName: 'app' } },
  ],
  [
    'nothing where there is a doubt',
    { typed: { text: 'ls', doubt: 'around-a-quote' } },
    { refusal: { ...unsure, understood: 'ls', doubt: 'around-a-quote' } },
  ],
  [
    'nothing where a doubt leaves nothing, not even the subject',
    { typed: { text: '', doubt: 'no-beginning' } },
    { refusal: { ...unsure, understood: '', doubt: 'no-beginning' } },
  ],
  [
    'nothing where characters arrived broken',
    { typed: { text: 'echo \u{fffd}', doubt: null } },
    { refusal: { ...unsure, understood: 'echo \u{fffd}', doubt: 'broken-characters' } },
  ],
  [
    'a patch',
    { typed: { text: ' Apply. ', doubt: 'around-a-quote' }, hasPatch: true },
    { script: ' Apply.\n', builtin: 'apply', timeoutMs: null },
  ],
  ['no patch', { typed: { text: 'apply', doubt: null } }, { refusal: { kind: 'no-patch' } }],
  [
    'a command that only begins like it',
    { typed: { text: 'apply now', doubt: null }, hasPatch: true },
    { script: 'apply now\n', builtin: null, timeoutMs: null },
  ],
  [
    'more time in its first line',
    { typed: { text: '\n Timeout 2h \n\nnpm test\n', doubt: null } },
    { script: 'npm test\n', builtin: null, timeoutMs: 7_200_000 },
  ],
  [
    'less time, in words',
    { typed: { text: 'timeout: 1 minute and 30 seconds.\nls', doubt: null } },
    { script: 'ls\n', builtin: null, timeoutMs: 90_000 },
  ],
  [
    'more time for the command of its subject',
    { typed: { text: 'timeout 4h', doubt: null } },
    { script: 'Look\n', builtin: null, timeoutMs: 14_400_000 },
  ],
  [
    'nothing where only the time is given',
    { typed: { text: 'timeout 2h', doubt: null }, isReply: true },
    { refusal: { kind: 'empty-mail', repositoryName: 'app' } },
  ],
  [
    'nothing where the time is too long',
    { typed: { text: 'timeout 5h\nnpm test', doubt: null } },
    { refusal: { kind: 'timeout-line', line: 'timeout 5h', isTooLong: true, mostMs: 14_400_000 } },
  ],
  ...['timeout 90', 'timeout: soon', 'timeout 0 s'].map((line): (typeof TABLE)[number] => [
    `nothing where a line names no time: ${line}`,
    { typed: { text: `${line}\nls`, doubt: null } },
    { refusal: { kind: 'timeout-line', line, isTooLong: false, mostMs: 14_400_000 } },
  ]),
  ...['timeout 2h npm test', 'timeout -k 5 2h\nls', 'timeout\nls', 'ls\ntimeout 2h'].map(
    (text): (typeof TABLE)[number] => [
      `what a shell understands: ${JSON.stringify(text)}`,
      { typed: { text, doubt: null } },
      { script: `${text}\n`, builtin: null, timeoutMs: null },
    ],
  ),
];
for (const [what, given, asked] of TABLE) {
  test(`a message asks for ${what}`, () => assert.deepEqual(askedOf(asking(given)), asked));
}
