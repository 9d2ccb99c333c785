import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pino } from 'pino';
import { logOptions } from '../../src/log.ts';
import { noteForLog } from '../../src/secrets/log-masks.ts';
import { masksOf, NO_MASKS, secretLabel } from '../../src/secrets/masks.ts';

const TOKEN = 'tok/en "a$b\'c" äß+1';
const KEY =
  '-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSj\n-----END PRIVATE KEY-----\n';
const hidden = Object.entries({ TOKEN, KEY }).map(([name, value]) => ({ value, label: secretLabel(name) }));
const masks = masksOf(hidden);

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const broken = (text: string, width: number, end: string): string =>
  text.replaceAll(new RegExp(`.{${width}}(?=.)`, 'g'), `$&${end}`);

const forms: [name: string, text: string][] = [
  ['as it is', TOKEN],
  ['JSON', JSON.stringify({ TOKEN })],
  ['URL', `https://x.example/?q=${encodeURIComponent(TOKEN)}&r`],
  ['URL, lower case', encodeURIComponent(TOKEN).replaceAll(/%../g, (code) => code.toLowerCase())],
  ['form', String(new URLSearchParams({ q: TOKEN }))],
  ['export -p', `declare -x T="${TOKEN.replaceAll(/["$`\\]/g, String.raw`\$&`)}"`],
  ['set -x', `+ echo '${TOKEN.replaceAll("'", String.raw`'\''`)}'`],
  ['HTML', `<b>${TOKEN.replaceAll('"', '&quot;').replaceAll("'", '&#39;')}</b>`],
];

test('a value is masked in each form in which programs print it', () => {
  for (const [name, text] of forms) {
    const masked = masks.text(text);
    assert.match(masked, /\[secret TOKEN\]/, name);
    assert.doesNotMatch(masked, /tok|en%20|a\$b|%C3|\+1/, name);
  }
});

test('in base64 too, wherever in it the value stands, and broken into lines', () => {
  for (const before of ['', 'u', 'us', 'user:']) {
    for (const after of ['', '\n', ':x', ':xyz']) {
      for (const width of [10, 64, 76]) {
        for (const end of ['\n', '\r\n']) {
          const encoded = base64(before + TOKEN + after);
          for (const text of [encoded, encoded.replaceAll('+', '-').replaceAll('/', '_')]) {
            const masked = masks.text(`Basic ${broken(text, width, end)} end`);
            assert.match(
              masked,
              /^Basic .{0,7}\[secret TOKEN\][^]{0,12} end$/,
              `${before}|${after}|${width}`,
            );
          }
        }
      }
    }
  }
});

test('of several lines each is masked, and the forms that make one of them; not the borders of a key', () => {
  const shown = '-----BEGIN PRIVATE KEY-----\n[secret KEY]\n[secret KEY]\n-----END PRIVATE KEY-----\n';
  assert.equal(masks.text(KEY), shown);
  assert.equal(masks.text(KEY.replaceAll('\n', '\r\n')), shown.replaceAll('\n', '\r\n'));
  assert.equal(masks.text(JSON.stringify(KEY)), '"[secret KEY]"');
  assert.match(masks.text(broken(base64(KEY), 76, '\n')), /^\[secret KEY\].{0,4}$/);
});

test('a value split over chunks is masked, wherever it is split', () => {
  const text = `before ${TOKEN}${TOKEN} ${broken(base64(KEY), 20, '\n')} tok/en "a$ tok/ ${TOKEN.slice(0, -1)} tok`;
  const whole = masks.text(text);
  const bytes = Buffer.from(text);
  for (const size of [1, 2, 3, 7, 30, 1000]) {
    const stream = masks.stream();
    const parts: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += size) parts.push(stream.take(bytes.subarray(at, at + size)));
    assert.equal(Buffer.concat([...parts, stream.flush()]).toString(), whole, String(size));
  }
  assert.equal(whole.split('[secret TOKEN]').length, 3);
  assert.match(whole, new RegExp(`tok/en "a\\$ tok/ tok/en .* tok$`));
});

test('codes of the terminal within a value do not hide it, wherever they stand and are cut', () => {
  const coloured = (code: string) => TOKEN.split('').join(code);
  const cases: [text: string, masked: string][] = [
    [`x ${coloured('\x1b[31m')} y`, 'x [secret TOKEN] y'],
    [`x ${coloured('\x1b(B\x1b[m')} y`, 'x [secret TOKEN] y'],
    [`\x1b[1m${coloured('\x1b[01;38:5:9m\x1b[K')}\x1b[m.`, '\x1b[1m[secret TOKEN]\x1b[m.'],
    [`${broken(base64(TOKEN), 9, '\x1b[0m\n')}=`, '[secret TOKEN]='],
    [`tok\x1b[32m ${TOKEN.slice(0, 3)}\x1b[32m${TOKEN.slice(3)}`, 'tok\x1b[32m [secret TOKEN]'],
    [`tok/\x1b${TOKEN}\x1b[`, 'tok/\x1b[secret TOKEN]\x1b['],
    [`tok/\x1b]0;en\x07${TOKEN}`, 'tok/\x1b]0;en\x07[secret TOKEN]'],
    [`${'t\x1b[m'.repeat(1_000)}${coloured('\x1b[m')}`, `${'t\x1b[m'.repeat(1_000)}[secret TOKEN]`],
    [`t${'\x1b[m'.repeat(1_000)}${TOKEN}`, `t${'\x1b[m'.repeat(1_000)}[secret TOKEN]`],
  ];
  for (const [text, masked] of cases) {
    assert.equal(masks.text(text), masked);
    for (const size of [1, 2, 3, 7]) {
      const stream = masks.stream();
      const bytes = Buffer.from(text);
      const parts: Buffer[] = [];
      for (let at = 0; at < bytes.length; at += size) parts.push(stream.take(bytes.subarray(at, at + size)));
      assert.equal(Buffer.concat([...parts, stream.flush()]).toString(), masked, String(size));
    }
  }
});

test('values that overlap are masked as one, by the name of the longer one', () => {
  const two = masksOf([
    { value: 'abcdefgh', label: '[one]' },
    { value: 'ghijklmnop', label: '[two]' },
    { value: 'abcdef', label: '[short]' },
  ]);
  assert.equal(two.text('-abcdefghijklmnop-abcdefgh-abcdefg-'), '-[two]-[one]-[short]g-');
});

test('what the beginning of a value may have been is masked where something is missing behind it', () => {
  const stream = masks.stream();
  const first = stream.take(Buffer.from('x tok/en "a'));
  assert.equal(Buffer.concat([first, stream.flush(true)]).toString(), 'x [secret, cut off]');
});

test('no line of the log has a value, wherever in it, and each stays a line of JSON', () => {
  const lines: string[] = [];
  const log = pino(logOptions('info'), { write: (line: string) => void lines.push(line) });
  noteForLog(1, masks);
  log.warn({ err: new Error(`bad: ${TOKEN}`), [TOKEN]: KEY }, `git says ${encodeURIComponent(TOKEN)}`);
  const [line = ''] = lines;
  assert.doesNotMatch(line, /tok.?.?.?en|MIIEvQ/);
  const read = JSON.parse(line) as { msg: string; err: { message: string } };
  assert.equal(read.msg, 'git says [secret TOKEN]');
  assert.equal(read.err.message, 'bad: [secret TOKEN]');
});

test('short values are not masked, and without any nothing is changed', () => {
  assert.equal(masksOf([{ value: '12345', label: 'x' }]), NO_MASKS);
  const bytes = Buffer.from('any');
  assert.equal(NO_MASKS.stream().take(bytes), bytes);
});

test('all texts of a record are masked, and nothing else is touched', () => {
  const at = new Date();
  const record = { a: TOKEN, list: [{ b: `x ${TOKEN}` }], at, n: 1, none: null, raw: Buffer.from(TOKEN) };
  assert.deepEqual(masks.all(record), {
    ...record,
    a: '[secret TOKEN]',
    list: [{ b: 'x [secret TOKEN]' }],
  });
  // What it goes by is the program's own, whatever anybody has for a secret.
  const loop = masksOf([{ value: 'between-quoted-lines', label: secretLabel('WORD') }]);
  const doubt = { kind: 'unsure', doubt: 'between-quoted-lines', understood: 'between-quoted-lines' };
  assert.deepEqual(loop.all(doubt), { ...doubt, understood: '[secret WORD]' });
  assert.deepEqual(masks.labelsIn(Buffer.from(`${base64(TOKEN)} ${TOKEN}`)), ['[secret TOKEN]']);
});

test('many secrets and much output take bounded time, also where every byte may begin one', () => {
  const values = Array.from({ length: 50 }, (_, n) => `${'ab'.repeat(300)}${n}c`);
  const many = masksOf(values.map((value, n) => ({ value, label: secretLabel(`S${n}`) })));
  const chunk = Buffer.from('ab'.repeat(32_768));
  const stream = many.stream();
  const startedMs = process.cpuUsage().user / 1000;
  let bytes = 0;
  for (let n = 0; n < 128; n += 1) bytes += stream.take(chunk).length;
  bytes += stream.flush().length;
  const usedMs = process.cpuUsage().user / 1000 - startedMs;
  assert.equal(bytes, 8 * 2 ** 20);
  assert.ok(usedMs < 8_000, `${usedMs} ms`);
});
