import assert from 'node:assert/strict';
import { test } from 'node:test';
import { controlWord } from '../../src/commands/control-words.ts';

const HOUR_MS = 3_600_000;
const inReply = (text: string) => controlWord(text, 'npm test', true);

for (const word of ['status', 'save', 'stop', 'fresh', 'restore', 'diff', 'log', 'help', 'keep']) {
  test(`${word} alone in a mail is for Threadbox, however it is written`, () => {
    const capital = word.charAt(0).toUpperCase() + word.slice(1);
    for (const text of [
      word,
      word.toUpperCase(),
      capital,
      ` ${word}\t`,
      `\r\n${word}\r\n`,
      `${word}.`,
      `${capital}!`,
      `"${word}"`,
    ]) {
      assert.deepEqual(inReply(text), { word }, JSON.stringify(text));
    }
  });
}

const cancels: [text: string, isAll: boolean | null][] = [
  ['cancel', false],
  ['Cancel!', false],
  ['“CANCEL”', false],
  ['cancel all', true],
  ['Cancel  All.', true],
  ['cancel -a', null],
  ['cancel all of it', null],
  ['cancel lp-12', null],
];
for (const [text, isAll] of cancels) {
  test(`${JSON.stringify(text)} is ${isAll === null ? 'a command' : 'for Threadbox'}`, () =>
    assert.deepEqual(inReply(text), isAll === null ? null : { word: 'cancel', isAll }));
}

const durations: [text: string, durationMs: number | null][] = [
  ['extend', null],
  ['Extend.', null],
  ['EXTEND!', null],
  ['\u200bextend\ufeff', null],
  ['extend 2h', 2 * HOUR_MS],
  ['“extend 2h”', 2 * HOUR_MS],
  ['Extend 2H.', 2 * HOUR_MS],
  ['extend  2\u00a0hours', 2 * HOUR_MS],
  ['extend 1 hour', HOUR_MS],
  ['extend an hour', HOUR_MS],
  ['extend 3 hrs', 3 * HOUR_MS],
  ['extend 90 minutes', 1.5 * HOUR_MS],
  ['extend 90min', 1.5 * HOUR_MS],
  ['extend 90m', 1.5 * HOUR_MS],
  ['extend 1h30m', 1.5 * HOUR_MS],
  ['extend 1h 30m', 1.5 * HOUR_MS],
  ['extend 1 h 30 min', 1.5 * HOUR_MS],
  ['extend by 1 hour and 30 minutes', 1.5 * HOUR_MS],
  ['extend 1.5h', 1.5 * HOUR_MS],
  ['extend 1,5 hours', 1.5 * HOUR_MS],
  ['extend 1 day', 24 * HOUR_MS],
  ['extend for 2 days', 48 * HOUR_MS],
  ['extend 1 week', 168 * HOUR_MS],
  ['extend 20s', 20_000],
  ['extend 999999999 weeks', 365 * 24 * HOUR_MS],
];
for (const [text, durationMs] of durations) {
  test(`${JSON.stringify(text)} is understood`, () =>
    assert.deepEqual(inReply(text), { word: 'extend', durationMs }));
}

const faults: [text: string, says: RegExp][] = [
  [
    'extend banana',
    /^"extend banana" names no length of time\. Say it like this: extend 2h, extend 90 minutes/,
  ],
  ['extend 0h', /^"extend 0h" names no length of time/],
  ['extend 45', /extend 45h, extend 45 minutes/],
  ['extend -2h', /extend 2h/],
  ['extend 2 parsecs', /extend 2h/],
  ['extend it a bit', /extend 2h/],
  ['extend 2h; id', /^"extend 2h; id"/],
  ['extend \u202ex', /\[U\+202E\]/],
];
for (const [text, says] of faults) {
  test(`${JSON.stringify(text)} is answered with what is understood`, () => {
    const read = inReply(text);
    assert.ok(read && 'fault' in read);
    assert.match(read.fault, says);
  });
}

const commands = [
  '',
  'npm test',
  'help me',
  'save this',
  'log -1',
  'diff a b',
  'status..',
  './stop',
  'stopp',
  'extendx',
  'extended',
  'extend\n2h',
  'status\nstop',
  'git status',
  'extend the range of the tests by two',
  `extend ${'1h '.repeat(40)}`,
  'constructor',
];
for (const text of commands) {
  test(`${JSON.stringify(text)} is no control word`, () => assert.equal(inReply(text), null));
}

test('an empty body takes the subject, but not in an answer', () => {
  assert.deepEqual(controlWord('', ' status ', false), { word: 'status' });
  assert.deepEqual(controlWord(' \n', 'extend 2h', false), { word: 'extend', durationMs: 2 * HOUR_MS });
  assert.equal(controlWord('', 'status', true), null);
  assert.equal(controlWord('npm test', 'status', false), null);
  assert.equal(controlWord('', '', false), null);
});
