import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderOutput, type OutputBytes } from '../../src/mail/render-output.ts';
import { processorMs } from '../support/processor-time.ts';

const whole = (content: string | Buffer): OutputBytes => {
  const head = Buffer.from(content);
  return { head, tail: Buffer.alloc(0), totalBytes: head.length, omittedBytes: 0 };
};
/** As the two ends of a long output are kept. */
const ends = (content: Buffer, keptBytes = 24_576): OutputBytes => ({
  head: content.subarray(0, keptBytes),
  tail: content.subarray(-keptBytes),
  totalBytes: content.length,
  omittedBytes: content.length - 2 * keptBytes,
});
const render = (output: OutputBytes) => renderOutput(output, 'output.log.gz');

test('a short output is there whole, in text and HTML', () => {
  const rendered = render(whole('\x1b[32mok\x1b[0m 1 < 2 & 3\n\n\n  done\n\n'));
  assert.equal(rendered.text, 'ok 1 < 2 & 3\n\n\n  done');
  assert.equal(rendered.html, '<span style="color:#4cc764">ok</span> 1 &lt; 2 &amp; 3\n\n\n  done');
  assert.equal(rendered.lastLine, 'done');
  assert.equal(rendered.isCut, false);
});

test('no output gives no text', () => {
  assert.deepEqual(render(whole(' \n\n')), { text: '', html: '', lastLine: '', isCut: false });
});

test('markup in the output stays text', () => {
  const { html } = render(whole(`<script>alert(1)</script><img src=x onerror='a'>"&quot;\n</pre><style>*{}`));
  assert.ok(!/<(?!\/?(?:span|a)\b)/.test(html), html);
  assert.ok(html.includes('&lt;script&gt;'));
  assert.ok(html.includes('&amp;quot;'));
});

const links = (text: string) =>
  [...render(whole(text)).html.matchAll(/<a href="([^"]*)"/g)].map(([, address]) => address);

test('web addresses become links, and nothing else does', () => {
  assert.deepEqual(links('see https://a.example/x?b=1&c=2.'), ['https://a.example/x?b=1&amp;c=2']);
  assert.deepEqual(links('(http://localhost:5173/) <https://b.example>'), [
    'http://localhost:5173/',
    'https://b.example',
  ]);
  assert.deepEqual(links(`https://c.example/"onmouseover="alert(1)`), ['https://c.example/']);
  assert.deepEqual(links('javascript:alert(1) data:text/html,x file:///etc/passwd'), []);
  assert.deepEqual(links('https://google.com@evil.example/ https://user:pw@d.example'), []);
  assert.deepEqual(links(`https://e.example/${'a'.repeat(600)}`), []);
});

test('a stray byte is shown as such, binary data as a dump of its beginning', () => {
  assert.equal(render(whole(Buffer.from('caf\xe9 cr\xe8me \0', 'latin1'))).text, 'caf\ufffd cr\ufffdme ␀');
  const { text, isCut } = render(
    whole(Buffer.from(Array.from({ length: 3000 }, (_, at) => (at * 131) % 256))),
  );
  assert.match(
    text,
    /^\[2\.9 KB of binary data, all of it attached as output\.log\.gz; its beginning:\]\n\n0000 {2}00 83 06/,
  );
  assert.equal(isCut, true);
  assert.ok(text.length < 1000);
});

test('one line of 3 MB is cut, and the mail says by how much', () => {
  const { text, isCut } = render(ends(Buffer.alloc(3_000_000, 'x')));
  assert.match(
    text,
    /^x{800}\n\n\[\.\.\. 2\.9 MB left out here; all of the output is attached as output\.log\.gz \.\.\.\]\n\nx{800}$/,
  );
  assert.equal(isCut, true);
});

test('a long line among others is cut within', () => {
  const { text, isCut } = render(whole(`first\n${'y'.repeat(10_000)}\nlast\n`));
  assert.match(text, /^first\ny{800} \[\.\.\. 8\.7 KB of this line left out \.\.\.\] y{300}\nlast$/);
  assert.equal(isCut, true);
});

test('of a long output both ends are there, in whole lines', () => {
  const numbered = Array.from({ length: 200_000 }, (_, at) => `line ${at} of many`).join('\n');
  const { text } = render(ends(Buffer.from(numbered)));
  const lines = text.split('\n');
  assert.equal(lines[0], 'line 0 of many');
  assert.equal(lines.at(-1), 'line 199999 of many');
  const odd = lines.filter((line) => line !== '' && !/^line \d+ of many$/.test(line));
  assert.equal(odd.length, 1, odd.join('|'));
  assert.match(odd[0] ?? '', /^\[\.\.\. 3\.7 MB left out here/);
});

test('a character cut through at the gap does not show', () => {
  const { text } = render(ends(Buffer.from('é世👩'.repeat(20_000)), 24_571));
  assert.ok(!text.includes('\ufffd'), text.slice(790, 820));
});

test('however colourful, the HTML stays below what mail clients clip', () => {
  const loud = Array.from({ length: 24_000 }, (_, at) => `\x1b[38;5;${at % 256};1;4m${at % 10}`).join('');
  const lines = Array.from({ length: 9000 }, (_, at) => `\x1b[${31 + (at % 6)}m#`).join('\n');
  for (const output of [
    whole(loud.slice(0, 49_000)),
    ends(Buffer.from(loud)),
    whole(lines.slice(0, 49_000)),
  ]) {
    const { html } = render(output);
    assert.ok(Buffer.byteLength(html) <= 78_000, `${Buffer.byteLength(html)} bytes`);
  }
});

test('any bytes give text that is safe to send', () => {
  let seed = 7;
  const random = () => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) / 2_147_483_648;
  const pieces = [
    '\x1b[',
    '\x1b]',
    'm',
    ';',
    '38',
    '\r',
    '\b',
    '\n',
    'text',
    '\x1b[K',
    '\x1b[5D',
    '<',
    '\u202e',
    '\0',
    'é',
    '\xff',
  ];
  for (let round = 0; round < 300; round += 1) {
    const written = Array.from({ length: 80 }, () => pieces[Math.floor(random() * pieces.length)] ?? '').join(
      '',
    );
    const { text, html } = render(whole(Buffer.from(written, round % 2 ? 'utf8' : 'latin1')));
    // oxlint-disable-next-line no-control-regex -- that there are none is the point
    for (const part of [text, html]) assert.doesNotMatch(part, /[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]/);
    assert.ok(!/<(?!\/?span\b)/.test(html), html);
  }
});

test('the worst output takes no time worth naming', () => {
  const worst = [
    '\x1b[1m'.repeat(12_000),
    'a\r'.repeat(24_000),
    '\x1b[9999G\x1b[1K'.repeat(4000),
    'http://'.repeat(7000),
    `http://a/${','.repeat(49_000)}x`,
    '\x1b]8;;'.repeat(9000),
    'e\u0301'.repeat(16_000),
    `${'1;'.repeat(24_000)}m`,
    `\x1b[${'1;'.repeat(24_000)}m`,
    '\x1b[38;5;17mx'.repeat(4000),
  ];
  for (const content of worst) {
    const tookMs = processorMs(() => render(whole(content)));
    assert.ok(tookMs < 1000, `${JSON.stringify(content.slice(0, 20))} took ${tookMs} ms`);
  }
});
