import assert from 'node:assert/strict';
import { test } from 'node:test';
import { htmlToText } from '../../src/mail/html-text.ts';
import { unwrap } from '../../src/mail/unwrap.ts';
import { processorMs } from '../support/processor-time.ts';

const long = 'curl --silent --fail --location https://example.com/a/long/path | jq --raw-output .name | sort';
const wrapped = long.replace(' .name', '\n.name');

test('a line that the client broke is whole again', () => {
  assert.equal(unwrap(`ls\n${wrapped}\necho end\n`, `ls\n${long}\necho end`), `ls\n${long}\necho end\n`);
});

test('a break that was typed stays, also in a long line', () => {
  const text = `${long}\nls\n\n\npwd`;
  assert.equal(unwrap(text, text), text);
  assert.equal(unwrap(wrapped, wrapped), wrapped);
});

test('a break after a short line stays whatever the HTML says', () => {
  assert.equal(unwrap('npm test\nls\npwd', 'npm test ls pwd'), 'npm test\nls\npwd');
});

test('spaces and indentation stay as the text part has them', () => {
  assert.equal(unwrap('  if a\n      b   c\n', 'if a\nb c'), '  if a\n      b   c\n');
});

test('from the first word that differs everything stays as it is', () => {
  const text = `${wrapped}\n*bold*\n${wrapped}\n`;
  assert.equal(unwrap(text, `${long}\nbold\n${long}`), `${long}\n*bold*\n${wrapped}\n`);
  assert.equal(unwrap(wrapped, ''), wrapped);
  assert.equal(unwrap('', 'ls'), '');
});

const PAGES: [string, string, string][] = [
  ['divisions', '<div dir="ltr">ls<div>pwd</div><div><br></div><div>id</div></div>', 'ls\npwd\n\nid'],
  ['paragraphs', '<p class=x>ls<o:p></o:p></p>\n<p class=x>&nbsp;</p>\n<p>pwd</p>', 'ls\n\npwd'],
  ['breaks', 'ls<br>pwd<br/>\r\nid', 'ls\npwd\nid'],
  ['white space of the source', '<p>echo\n   one\n\ttwo</p>', 'echo one two'],
  [
    'characters by name and number',
    'a &lt;b&gt; &amp;&amp; c &#62; &#x22;d&quot; &unknown;',
    'a <b> && c > "d" &unknown;',
  ],
  ['spaces that were typed', '<div>if a; then<br>&nbsp; &nbsp; b<br>fi</div>', 'if a; then\n    b\nfi'],
  ['preformatted text', '<pre>if a\n  then\n</pre>', 'if a\n  then'],
  [
    'text whose style keeps lines',
    '<div style="white-space: pre-wrap">npm test\n  ls<div>pwd</div></div>\n<p>a\nb</p>',
    'npm test\n  ls\npwd\na b',
  ],
  [
    'quoted blocks',
    'ls<blockquote>old<blockquote>older</blockquote></blockquote>new',
    'ls\n> old\n>> older\nnew',
  ],
  ['what is not seen', '<style>p{}</style><!-- a --><script>x</script><title>t</title>ls', 'ls'],
  ['a rule', 'ls<hr><b>From:</b> Bot', `ls\n${'_'.repeat(32)}\nFrom: Bot`],
  ['signs that are no tags', 'a < b > c <3 && cat &lt;&lt;EOF<br>EOF', 'a < b > c <3 && cat <<EOF\nEOF'],
  ['a tag that does not end', 'ls <a href="', 'ls'],
];
for (const [what, html, lines] of PAGES) {
  test(`the lines of an HTML page: ${what}`, () => {
    assert.equal(htmlToText(html), lines);
    assert.equal(htmlToText(html.replaceAll(/\r?\n/g, '\r\n')), lines);
  });
}

test('a page made to be slow is read in time', () => {
  const pieces = [
    '<',
    'a<b>',
    'a <td>',
    '<a "',
    '<!--',
    '<style>',
    '<blockquote>',
    '&',
    '<p style="white-space:pre">',
  ];
  const tookMs = processorMs(() => {
    for (const piece of pieces) htmlToText(piece.repeat(200_000));
  });
  assert.ok(tookMs < 10_000, `${tookMs} ms`);
});
