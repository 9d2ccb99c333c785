import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askedOf, type Asking } from '../../src/commands/asked.ts';

const asking = (more: Partial<Asking>): Asking => ({
  typed: { text: 'ls', doubt: null },
  subjectRest: 'Look',
  isReply: false,
  hasPatch: false,
  repositoryName: 'app',
  ...more,
});
const unsure = { kind: 'unsure', repositoryName: 'app' } as const;

const TABLE: readonly [what: string, given: Partial<Asking>, asked: ReturnType<typeof askedOf>][] = [
  ['what was typed', {}, { script: 'ls\n', builtin: null }],
  ['the subject of a fresh mail', { typed: { text: '', doubt: null } }, { script: 'Look\n', builtin: null }],
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
    { script: ' Apply.\n', builtin: 'apply' },
  ],
  ['no patch', { typed: { text: 'apply', doubt: null } }, { refusal: { kind: 'no-patch' } }],
  [
    'a command that only begins like it',
    { typed: { text: 'apply now', doubt: null }, hasPatch: true },
    { script: 'apply now\n', builtin: null },
  ],
];
for (const [what, given, asked] of TABLE) {
  test(`a message asks for ${what}`, () => assert.deepEqual(askedOf(asking(given)), asked));
}
