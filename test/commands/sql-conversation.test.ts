import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  kindOf,
  nextStep,
  type ConversationState,
  type TypedKind,
} from '../../src/commands/sql-conversation.ts';

const KINDS = ['yes', 'no', 'query', 'words', 'nothing', 'unsure'] as const;
const steps: Record<ConversationState, string> = {
  first: 'nothing-waits decline ask ask empty unsure',
  waits: 'confirm decline confirm ask-again ask-again ask-again',
  late: 'ask-again decline ask ask-again ask-again ask-again',
  trusted: 'nothing-waits decline run run empty unsure',
  over: 'nothing-waits decline ask ask empty unsure',
};

for (const [state, expected] of Object.entries(steps) as [ConversationState, string][]) {
  test(`${state}: what comes of what was typed`, () => {
    assert.equal(KINDS.map((kind) => nextStep(state, kind)).join(' '), expected);
  });
}

const typed: Record<Exclude<TypedKind, 'unsure'>, string[]> = {
  yes: ['yes', 'Yes!', ' y ', 'OK.', 'okay', '*confirmed*', 'Confirm'],
  no: ['No', 'no, that was not me', "Don't!", 'I didn’t ask this', 'stop', 'Never heard of it'],
  query: [
    'select 1',
    '-- mine\nSELECT 1; table users',
    'with x as (select 1) table x',
    'VALUES (1)',
    '((select 1))',
    'active',
    'history john@example.com',
    'queries',
    'save a: select 1',
    'no-replies',
  ],
  words: [
    "This wasn't me",
    'What is this?',
    'I am away until Monday',
    'Yes, but who are you?',
    'With all due respect, I did not ask',
    '(Who asked this?)',
    'Table for two is what I asked',
    'Idle until Monday',
    'Yes I did not; select',
    'это не я, ok',
    'delete from users',
  ],
  nothing: ['', ' \n '],
};
const known = [
  { name: 'active', query: 'select 1' },
  { name: 'idle', query: 'select 1' },
  { name: 'no-replies', query: 'select 1' },
  { name: 'history', query: 'select ?' },
];

for (const [kind, texts] of Object.entries(typed)) {
  test(`what counts as ${kind}`, () => {
    for (const text of texts) assert.equal(kindOf({ text, doubt: null }, known), kind, text);
  });
}

test('where it is not sure what was typed, only a denial counts', () => {
  assert.equal(kindOf({ text: 'yes', doubt: 'around-a-quote' }, known), 'unsure');
  assert.equal(kindOf({ text: 'No!', doubt: 'around-a-quote' }, known), 'no');
});
