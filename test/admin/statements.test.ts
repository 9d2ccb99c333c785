import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askedQueries, isSurelyAsked, saveRequest } from '../../src/admin/asked-queries.ts';
import { csvOf } from '../../src/admin/csv.ts';
import { forbiddenIn, numbered, splitStatements } from '../../src/admin/statements.ts';
import { isWhole } from '../../src/cli/sql-prompt.ts';
import { faultLine } from '../../src/mail/fault-line.ts';
import { textTable } from '../../src/mail/text-table.ts';
import { processorMs } from '../support/processor-time.ts';

const split: [sql: string, statements: string[]][] = [
  ['select 1', ['select 1']],
  [' select 1 ; ; select 2;\n', ['select 1', 'select 2']],
  ["select ';', '''; ' ; select 2", ["select ';', '''; '", 'select 2']],
  [
    String.raw`select E'\'; ' ; select '\' ; select 3`,
    [String.raw`select E'\'; '`, String.raw`select '\'`, 'select 3'],
  ],
  ['select ";" from "a"";"; select 2', ['select ";" from "a"";"', 'select 2']],
  ['select 1 -- one; two\n; select 2', ['select 1', 'select 2']],
  ['select /* a; /* b; */ c; */ 1; select 2', ['select /* a; /* b; */ c; */ 1', 'select 2']],
  ['select $$a;b$$; select $x$ ; $$ ; $x$', ['select $$a;b$$', 'select $x$ ; $$ ; $x$']],
  ['select a$1;b from x', ['select a$1', 'b from x']],
  ["select 'open; select 2", ["select 'open; select 2"]],
  ['-- nothing\n/* at all */ ;', []],
  ['select 1\r\n;\r\nselect 2\r\n', ['select 1', 'select 2']],
];
for (const [sql, statements] of split) {
  test(`statements of ${JSON.stringify(sql)}`, () => {
    assert.deepEqual(
      splitStatements(sql).map(({ text }) => text),
      statements,
    );
  });
}

const marks: [sql: string, text: string, count: number][] = [
  [
    'select * from x where a = ? and b in (?, ?) limit ?',
    'select * from x where a = $1 and b in ($2, $3) limit $4',
    4,
  ],
  ['select \'?\', "?" /* ? */ -- ?', 'select \'?\', "?" /* ? */ -- ?', 0],
  [
    "select control ? 'word', (a) ? 'b', a[1] ? 'c' from x",
    "select control ? 'word', (a) ? 'b', a[1] ? 'c' from x",
    0,
  ],
  [
    "select a ?| array['b'], a ?& b, a @? '$.x' from x",
    "select a ?| array['b'], a ?& b, a @? '$.x' from x",
    0,
  ],
];
for (const [sql, text, count] of marks) {
  test(`question marks of ${sql}`, () => assert.deepEqual(numbered(sql), { text, count }));
}

test('values stand on lines of their own, for the question marks in their order', () => {
  const sql = "select ?, ?;\nselect ? ;\n? = one\n ?  =  'it''s'\n? = 3\nselect '\n? = within a string'";
  assert.deepEqual(
    splitStatements(sql).map(({ parameters }) => parameters),
    [['one', "it's"], ['3'], []],
  );
});

test('functions are forbidden however their name is written, and not where it is no call', () => {
  const forbidden = new Set(['pg_sleep']);
  const of = (sql: string) => forbiddenIn(sql, forbidden);
  for (const sql of [
    'select PG_Sleep(1)',
    'select x.pg_sleep\n/* ( */ (1)',
    'select "pg_sleep"(1)',
    'select (9::float8).pg_sleep',
    'select $1."pg_sleep"',
    // A line and a comment end with CR as well, and the next line of E'...' is such a string, too.
    'select 1 -- \r, pg_sleep(1)',
    "select E'a'\n'b\\'', pg_sleep(1) --'",
    "select e'a' -- b\n'\\'' \n '\\'', pg_sleep(1) --'",
  ]) {
    assert.equal(of(sql), 'pg_sleep', sql);
  }
  assert.equal(of(String.raw`select U&"\0070g_sleep"(1)`), 'U&"..."');
  for (const sql of [
    "select 'pg_sleep(1)'",
    "select '\\', 'pg_sleep(1)'",
    "select E'a', '\\', 'pg_sleep(1)'",
    'select pg_sleep from x',
    'select u & "x" from y -- pg_sleep(1)',
  ]) {
    assert.equal(of(sql), null, sql);
  }
});

test('names stand for their query, words for what they do, and a plain yes for nothing', () => {
  const known = [{ name: 'history', query: 'select ?' }];
  assert.deepEqual(askedQueries(`History "a b" 'c'`, known), {
    queries: [{ name: 'history', query: 'select ?', parameters: ['a b', 'c'] }],
  });
  assert.deepEqual(askedQueries('Queries.', known), {
    queries: [{ name: null, query: 'queries', parameters: [] }],
  });
  assert.match(
    JSON.stringify(askedQueries('select 1;'.repeat(21), known)),
    /There are 21 queries in this mail/,
  );
  for (const text of ['', 'yes', 'Yes, that was me.', 'ok; thanks'])
    assert.equal(isSurelyAsked(text, known), false);
  for (const text of ['select 1', 'history x', 'queries', 'save a: select 1', '(select 1)']) {
    assert.equal(isSurelyAsked(text, known), true, text);
  }
  assert.deepEqual(saveRequest('save A-b: select 1;'), { name: 'a-b', query: 'select 1' });
  assert.match(JSON.stringify(saveRequest('save x: delete from y')), /only SELECT/);
  assert.match(JSON.stringify(saveRequest('save x: select 1; select 2')), /one query/);
  assert.match(JSON.stringify(saveRequest('save Queries: select 1')), /comes with Threadbox/);
  assert.match(JSON.stringify(saveRequest('save 1x: select 1')), /begins with a letter/);
  assert.equal(saveRequest('select 1'), null);
});

test('no text takes long to be looked into, whatever is in it: it is looked into before anybody has confirmed it', () => {
  const known = [{ name: 'history', query: 'select ?' }];
  const long = 120_000;
  const hostile = [
    `SELECT 1\n? = a${' '.repeat(long)}x`,
    `${'\t'.repeat(long)}? =${'\t'.repeat(long / 100)}x`,
    `save x${' '.repeat(long)}y`,
    '; '.repeat(long / 2),
    `history ${`"' `.repeat(long / 3)}`,
    "E'\\".repeat(long / 3),
    '? = a      x\n'.repeat(4 << 17),
  ];
  for (const text of hostile) {
    const tookMs = processorMs(() => askedQueries(text, known));
    assert.ok(tookMs < 3_000, `${JSON.stringify(text.slice(0, 20))} took ${Math.round(tookMs)} ms`);
  }
  assert.deepEqual(askedQueries(`SELECT '${'x'.repeat(1 << 17)}'`, known), {
    fault: 'Queries can have up to 128 KB together. Send them in several mails.',
  });
});

test('CSV is as RFC 4180 has it, and no text of it is a formula in a spreadsheet', () => {
  const columns = ['a', '=b'].map((name) => ({ name, typeId: 25 }));
  const rows = [
    ['one, "two"', null],
    ['', ' x'],
    ['-5', '-5+cmd'],
    ['=HYPERLINK("x")', '@x'],
    ['+1e3', 'line\nline'],
  ];
  assert.equal(
    csvOf({ columns, rows }, { isForPeople: true }),
    `a,'=b\r\n"one, ""two""",\r\n""," x"\r\n-5,'-5+cmd\r\n"'=HYPERLINK(""x"")",'@x\r\n+1e3,"line\nline"\r\n`,
  );
  assert.match(csvOf({ columns, rows }, { isForPeople: false }), /^a,=b\r\n[^]*"=HYPERLINK\(""x""\)",@x\r\n/);
});

test('tables line up, also with wide characters; what is too wide has a block for each row', () => {
  const columns = [
    { name: 'name', isNumber: false },
    { name: 'count', isNumber: true },
  ];
  const rows = [
    ['山田', '7'],
    ['a\u202eb\nc', null],
  ];
  assert.equal(
    textTable(columns, rows),
    'name          count\n------------  -----\n山田              7\na[U+202E]b␊c',
  );
  assert.equal(textTable(columns, rows.slice(0, 1), 8), '[1] ---\nname   山田\ncount  7');
});

test('the caret stands below the place of an error, also in a long line and behind a tab', () => {
  assert.equal(faultLine({ text: 'select 1,\n\tfoo', at: 11 }), 'LINE 2:  foo\n         ^');
  const long = `select ${'x, '.repeat(50)}oops`;
  const [line = '', caret = ''] = (faultLine({ text: long, at: long.indexOf('oops') }) ?? '').split('\n');
  assert.equal(line.slice(caret.indexOf('^')), 'oops');
  assert.equal(faultLine({ text: 'select', at: null }), null);
});

test('the prompt knows when a query is whole', () => {
  for (const text of ['select 1;', "select ';\n';", 'active', 'history x', 'delete from x']) {
    assert.equal(isWhole(text), true, text);
  }
  for (const text of ['select 1', "select ';", 'with x as (\nselect 1)', '', '-- x;']) {
    assert.equal(isWhole(text), false, text);
  }
});
