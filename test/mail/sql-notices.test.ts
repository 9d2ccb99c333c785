import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderSqlNotice } from '../../src/mail/sql-notices.ts';
import type { SqlRows } from '../../src/mail/sql-results.ts';

const NOON = new Date('2026-11-23T12:00:00Z');
const MARKUP = '<img src=x onerror="alert(1)">';
const csv = { name: 'result.csv', sizeBytes: 1_000, isAttached: true };

function answered(names: readonly string[], rows: SqlRows['rows'], typeId = 25) {
  const columns = names.map((name) => ({ name, typeId }));
  const result = { name: null, query: 'SELECT', durationMs: 12, kind: 'rows', cut: null } as const;
  return renderSqlNotice({
    kind: 'sql-answer',
    results: [{ ...result, columns, rows, csv }],
    trustedUntil: NOON,
    limits: { rows: 50_000, bytes: 8 << 20 },
    now: NOON,
  });
}

const count = (text: string, part: string): number => text.split(part).length - 1;

test('a result that fits is a table in text and in HTML, whoever has written what is in it', () => {
  const { text, html } = answered(
    ['id', MARKUP],
    [
      ['1', MARKUP],
      ['20', null],
    ],
    23,
  );
  assert.match(text, /^2 rows in 0\.01 s\n/);
  assert.match(text, /\nid {2}<img[^\n]*\n-- {2}-+\n 1 {2}<img[^\n]*\n20\n/);
  assert.equal(count(html, '<th scope="col"'), 2);
  assert.equal(count(html, '<i>null</i>'), 1);
  assert.ok(!html.includes('<img') && html.includes('&lt;img'));
});

const WIDE = Array.from({ length: 24 }, (_, at) => `a_long_column_${at}`);

test('of a wide result each row is a block with a name beside each value; fifty of them are no large mail', () => {
  const rows = Array.from({ length: 60 }, (_, row) =>
    WIDE.map((_, at) => (at === 3 ? MARKUP : `${row}.${at}`)),
  );
  const { text, html } = answered(WIDE, rows);
  assert.equal(count(text, '\na_long_column_23  '), 50);
  assert.match(text, /\n\[50\] -+\na_long_column_0 +49\.0\n/);
  assert.match(text, /These are the first 50 of 60 rows\. result\.csv has them all\./);
  assert.equal(count(html, '<th align="left"'), 50 * 24);
  assert.ok(!html.includes('<img') && html.includes('&lt;img'));
  // Gmail shows so much of one, and the rest behind a link.
  assert.ok(html.length < 150_000, String(html.length));
});

test('of more columns than one row can show there are the first, and the file has all', () => {
  const names = Array.from({ length: 1_600 }, (_, at) => `column${at}`);
  const { text, html } = answered(names, [names.map(() => 'x'.repeat(1_000))]);
  assert.match(text, /These are the first \d\d of 1600 columns\. result\.csv has them all\./);
  assert.ok(text.length < 15_000 && html.length < 30_000, `${text.length}, ${html.length}`);
  assert.ok(answered(names, []).text.length < 20_000);
});
