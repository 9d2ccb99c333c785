import assert from 'node:assert/strict';
import { test } from 'node:test';
import { displayWidth } from '../../src/mail/display-width.ts';
import { table } from '../../src/cli/table.ts';

const widths: [text: string, columns: number][] = [
  ['', 0],
  ['plain', 5],
  ['Zoë', 3],
  ['Zoe\u0308', 3],
  ['山田', 4],
  ['한글', 4],
  ['ﾊﾝ', 2],
  ['Ａ', 2],
  ['👍🏽', 2],
  ['👨‍👩‍👧', 2],
  ['❤️', 2],
  ['→', 1],
];
for (const [text, columns] of widths) {
  test(`"${text}" takes ${columns} columns`, () => assert.equal(displayWidth(text), columns));
}

test('columns line up whatever script they are in', () => {
  const rows = [
    ['a', 'x'],
    ['山田', 'y'],
    ['Zoë', 'z'],
  ];
  assert.equal(table(['name', 'what'], rows), 'NAME  WHAT\na     x\n山田  y\nZoë   z');
});

test('what a value holds commands no terminal and starts no line', () => {
  const shown = table(['name'], [['a\u001b[31mb\nc\u202ed']]);
  assert.equal(shown, 'NAME\na␛[31mb␊c[U+202E]d');
});
