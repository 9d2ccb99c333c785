import assert from 'node:assert/strict';
import { test } from 'node:test';
import { terminalLines } from '../../src/mail/terminal.ts';

const shown = (text: string) =>
  terminalLines(text)
    .map((line) => line.map((span) => span.text).join(''))
    .join('\n');

const looks: [name: string, written: string, seen: string][] = [
  ['plain lines', 'one\ntwo\n', 'one\ntwo\n'],
  ['lines that end as on Windows', 'one\r\ntwo\r\r\n', 'one\ntwo\n'],
  ['a progress bar', '10%\r55%\r100% done\n', '100% done\n'],
  ['a shorter text over a longer one', 'downloading\rdone\n', 'doneloading\n'],
  ['an erased line', 'downloading\r\x1b[Kdone\n', 'done\n'],
  ['an erased whole line', 'downloading\x1b[2K\rdone', 'done'],
  ['an erased beginning', 'abcdef\x1b[3D\x1b[1K', '    ef'],
  ['a column by number', 'a\x1b[5Gb\x1b[1Gc', 'c   b'],
  ['a jump far to the right', `x\x1b[99999999Gy`, `x${' '.repeat(399)}y`],
  ['letters struck over, as man pages do', 'N\bNA\bA_\bM', 'NAM'],
  ['more backspaces than text', 'ab\b\b\b\b\bxy', 'xy'],
  ['cursor movements and a cleared screen', '\x1b[2J\x1b[H\x1b[?25lhello\x1b[?25h\x1b[3A', 'hello'],
  ['a window title', '\x1b]0;my title\x07prompt', 'prompt'],
  ['a hyperlink: only its text', '\x1b]8;;https://evil.example/\x1b\\text\x1b]8;;\x1b\\', 'text'],
  ['a string that never ends: the next line is there', '\x1bPq#0;2;0;0\nnext', '\nnext'],
  ['character sets and keypad modes', '\x1b(B\x1b=\x1b>\x1b)0a', 'a'],
  ['a sequence cut off at the end', 'a\x1b[38;5', 'a'],
  ['a lone escape', 'a\x1b', 'a'],
  ['NUL, bell and delete', 'a\0b\x07c\x7f', 'a␀bc␡'],
  ['a one-byte CSI (C1)', 'a\u009b31mb', 'a\ufffd31mb'],
  ['text that would be read backwards', 'user\u202e\u2066nimda\u2069', 'user[U+202E][U+2066]nimda[U+2069]'],
  ['invisible characters', 'a\u200bb\ufeffc\u{e0041}d', 'abcd'],
  ['a line separator inside a line', 'a\u2028b', 'a b'],
  ['marks piled up', `a${'\u0301'.repeat(50)}b`, `a${'\u0301'.repeat(6)}b`],
  ['other scripts and joined emoji', '你好 שלום 👩‍👩‍👧\r', '你好 שלום 👩‍👩‍👧'],
  ['a joined emoji written over', '👩‍👩‍👧x\rab', 'ab'],
];
for (const [name, written, seen] of looks) {
  test(`a terminal shows ${name}`, () => assert.equal(shown(written), seen));
}

const cssOf = (sequence: string) => terminalLines(`${sequence}x`)[0]?.at(-1)?.css ?? '';

test('colours and styles become inline CSS', () => {
  const table: [sequence: string, css: RegExp][] = [
    ['', /^$/],
    ['\x1b[31m', /^color:#ff7b72$/],
    ['\x1b[1;32m', /^color:#4cc764;font-weight:bold$/],
    ['\x1b[3;4;9m', /^font-style:italic;text-decoration:underline line-through$/],
    ['\x1b[38;5;208m', /^color:#ff8700$/],
    ['\x1b[38;2;255;100;0m', /^color:#ff6400$/],
    ['\x1b[38:2::255:100:0m', /^color:#ff6400$/],
    ['\x1b[38:5:208m', /^color:#ff8700$/],
    ['\x1b[31m\x1b[0m', /^$/],
    ['\x1b[31m\x1b[m', /^$/],
    ['\x1b[1;4;31m\x1b[22;24;39m', /^$/],
    ['\x1b[38;5m', /^$/],
    ['\x1b[38;2;999;0;0m', /^$/],
    ['\x1b[4:3m', /^text-decoration:underline$/],
    ['\x1b[7;31m', /^color:#12161c;background-color:#ff7b72$/],
  ];
  for (const [sequence, css] of table) assert.match(cssOf(sequence), css, JSON.stringify(sequence));
});

test('colours too dark for the block are lightened, and text on a colour stays readable', () => {
  assert.notEqual(cssOf('\x1b[38;5;17m'), 'color:#00005f');
  assert.notEqual(cssOf('\x1b[30m'), 'color:#21262d');
  assert.equal(cssOf('\x1b[47m'), 'color:#000000;background-color:#c9d1d9');
});

test('a colour goes on over the lines until it is reset', () => {
  const lines = terminalLines('\x1b[31mred\nstill\x1b[0m\nplain');
  assert.deepEqual(
    lines.map((line) => line.map(({ css }) => css)),
    [['color:#ff7b72'], ['color:#ff7b72'], ['']],
  );
});
