import assert from 'node:assert/strict';
import { test } from 'node:test';
import { harmlessJson, plainJson } from '../src/harmless-json.ts';

const CASES: [what: string, text: string, shown: string][] = [
  ['ordinary text of all scripts', 'grüße 你好 \\u001b "x"\n\ty', 'grüße 你好 \\u001b "x"\n\ty'],
  ['an escape sequence', '\x1b[2J\x1b]0;t\x07', '␛[2J␛]0;t␇'],
  ['a carriage return, a backspace and a form feed', 'a\rb\bc\fd', 'a␍b␈c␌d'],
  ['controls beyond ASCII', '\x7f\x9b31m', '[U+007F][U+009B]31m'],
  ['text that would be read backwards', 'user\u202enimda\u2069', 'user[U+202E]nimda[U+2069]'],
  ['line ends that are none of ASCII', 'a\u2028b', 'a[U+2028]b'],
  ['backslashes before what is no escape', String.raw`\\u001b \u202`, String.raw`\\u001b \u202`],
];
for (const [what, text, shown] of CASES) {
  test(`${what}: the same in JSON, and shown plainly in the log`, () => {
    const json = JSON.stringify({ text });
    assert.deepEqual(JSON.parse(harmlessJson(json)), { text });
    // oxlint-disable-next-line no-control-regex
    assert.doesNotMatch(harmlessJson(json), /[\x7f-\x9f\u2028-\u202e\u2066-\u2069]/);
    assert.deepEqual(JSON.parse(plainJson(json)), { text: shown });
  });
}
