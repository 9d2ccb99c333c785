import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Client } from 'pg';
import { openReader, SQL_LIMITS, type Reader } from '../../src/admin/run-query.ts';
import { limitMemory } from '../../src/embedded/limit-memory.ts';
import type { SqlResult } from '../../src/mail/sql-results.ts';
import { migrate, openDatabase } from '../../src/store/database.ts';
import { ensureReadingRole } from '../../src/store/reading-role.ts';
import { addRepository } from '../../src/store/repositories.ts';
import { ensureUser } from '../../src/store/users.ts';
import { until } from '../support/until.ts';
import { attacks, NO_FUNCTION, NO_RIGHT, NOT_READING } from './attack-list.ts';
import { startPrivateDatabase, type PrivateDatabase } from '../support/private-database.ts';

// An admin, or somebody who writes as one, who wants more than to read. On the real embedded PostgreSQL.

const ADMIN = 'admin@example.com';
const LIMITS = { ...SQL_LIMITS, timeoutMs: 800 };

let database: PrivateDatabase;
let reader: Reader;
before(async () => {
  database = await startPrivateDatabase();
  const { db, url } = database;
  const settings = { databaseUrl: url, readerUrl: null, showsBodies: false };
  reader = openReader({ db, settings, limits: LIMITS, limitMemory, now: () => new Date() });
  await ensureUser(db, ADMIN, 'Ann');
  await addRepository(db, {
    name: 'web',
    url: 'https://me:ge@heim@git.example.com/web.git?token=geheim#geheim',
    branch: null,
    threadBy: null,
  });
});
after(() => database.close());

const ask = async (query: string, parameters: readonly string[] = []): Promise<SqlResult> =>
  (await reader.run({ name: null, query, parameters }, ADMIN)).result;

/** What the answer says. @throws when there are rows */
async function refused(query: string): Promise<string> {
  const result = await ask(query);
  assert.equal(result.kind, 'fault', `${query}: ${JSON.stringify(result).slice(0, 300)}`);
  return result.message;
}

const value = async (query: string): Promise<string | null | undefined> => {
  const result = await ask(query);
  assert.equal(result.kind, 'rows', JSON.stringify(result));
  return result.rows[0]?.[0];
};

for (const [query, says] of attacks) {
  test(`refused: ${query}`, async () => {
    assert.match(await refused(query), says);
  });
}

// Which of the two comes first is a matter of how busy the machine is.
const NO_MEMORY = /^out of memory|^invalid memory alloc request|^requested length too large|^it took longer/;
const greedy: [what: string, query: string, says: RegExp][] = [
  ['a billion letters', "select repeat('x', 1000000000)", NO_MEMORY],
  ['many large values', "select array_agg(repeat('x', 10000000)) from generate_series(1, 1000)", NO_MEMORY],
  [
    'many at once',
    `select ${Array.from({ length: 20 }, (_, at) => `repeat('x', 200000000 + ${at})`).join(', ')}`,
    NO_MEMORY,
  ],
  [
    'a row in a row',
    "with recursive x(t) as (select 'x' union all select t || t from x) select t from x where length(t) < 0",
    NO_MEMORY,
  ],
  [
    'rows without end on the disk',
    'select * from generate_series(1, 1000000000000) x',
    /temporary file size exceeds temp_file_limit|longer than/,
  ],
  [
    'a sort on the disk',
    "select repeat('x', 1000) from generate_series(1, 100000000) order by random()",
    /temp_file_limit|longer than/,
  ],
  [
    'time',
    'with recursive x(n) as (select 1 union all select 1 from x) select count(*) from x',
    /^it took longer than 0\.8 seconds and was ended$/,
  ],
  [
    'a product',
    'select count(*) from pg_class a, pg_class b, pg_class c, pg_class d',
    /^it took longer than/,
  ],
];
for (const [what, query, says] of greedy) {
  test(`bounded: ${what}`, async () => {
    const startedAt = performance.now();
    assert.match(await refused(query), says);
    assert.ok(performance.now() - startedAt < 40_000, `${performance.now() - startedAt} ms`);
    assert.equal(await value('select 42'), '42');
  });
}

test('of more rows than are read there are the first ones, and of rows too large those before them', async () => {
  const { db, url } = database;
  const settings = { databaseUrl: url, readerUrl: null, showsBodies: false };
  const patient = openReader({ db, settings, limits: SQL_LIMITS, limitMemory, now: () => new Date() });
  const ask = async (query: string) =>
    (await patient.run({ name: null, query, parameters: [] }, ADMIN)).result;
  const many = await ask(
    'select x from (values (1)) one(y), lateral (select generate_series(1, 1000000000000) x) z',
  );
  assert.equal(many.kind, 'rows', JSON.stringify(many));
  assert.equal(many.cut, 'rows');
  assert.equal(many.rows.length, LIMITS.rows);
  const large = await ask("select 'first' union all select repeat('x', 20000000) from generate_series(1, 5)");
  assert.equal(large.kind, 'rows', JSON.stringify(large));
  assert.equal(large.cut, 'bytes');
  assert.deepEqual(large.rows, [['first']]);
});

test('the role itself can do no more, whatever connects as it', async () => {
  const { db, url } = database;
  const settings = { databaseUrl: url, readerUrl: null, showsBodies: false };
  const { databaseUrl } = await ensureReadingRole(db, settings);
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  const says = async (query: string): Promise<string> =>
    client.query(query).then(
      () => 'done',
      (error: Error) => error.message,
    );
  assert.equal(await says('set default_transaction_read_only = off; set statement_timeout = 0'), 'done');
  const denied = [
    "copy threadbox_admin.users to '/tmp/threadbox-stolen'",
    "copy (select 1) to program 'touch /tmp/threadbox-stolen'",
    'set role threadbox',
    'set session authorization threadbox',
    'set temp_file_limit = -1',
    'delete from public.users',
    'delete from threadbox_admin.users',
    'update threadbox_admin.users set name = 1',
    "insert into threadbox_admin.saved_queries values ('x', 'select 1', 'eve', now())",
    'create temp table x (y int)',
    'create table threadbox_admin.x (y int)',
    'create table public.x (y int)',
    'select pg_advisory_lock(7482332)',
    'select pg_sleep(0)',
    'select (7482332::bigint).pg_advisory_lock',
    "select ('/etc/passwd'::text).pg_read_file",
    "select set_config('a.b', 'c', false)",
    'select lo_creat(-1)',
    "select pg_notify('x', 'y')",
    "select pg_read_file('/etc/passwd')",
    'select pg_terminate_backend(pid) from pg_stat_activity',
    'select token_key from public.installation',
    'begin; lock table threadbox_admin.users in exclusive mode',
    'rollback; lock table public.users in share mode',
    'create function x() returns int language sql as $$ select 1 $$',
    'create extension dblink',
    'alter role current_user superuser',
    `alter role ${new URL(databaseUrl).username} superuser`,
  ];
  for (const query of denied) {
    assert.match(await says(query), /permission denied|must be|must have|not allowed|cannot|reserved/, query);
  }
  await client.end();
});

test('what is shown has no secrets; keys and bodies cannot be seen', async () => {
  assert.equal(await value('select url from repositories'), 'https://git.example.com/web.git');
  const { rows } = await database.db.raw<{ rows: { table: string; column: string }[] }>(
    `select table_name as table, column_name as column from information_schema.columns where table_schema = 'threadbox_admin'`,
  );
  const secret = rows.filter(({ column }) => /password|token|key|raw|secret|source|hash/.test(column));
  assert.deepEqual(secret.map(({ table, column }) => `${table}.${column}`).toSorted(), [
    'message_sources.source',
    'saved_states.commit_hash',
  ]);
  await ensureReadingRole(database.db, { databaseUrl: database.url, readerUrl: null, showsBodies: true });
  assert.equal(await value('select count(*) from message_sources'), '0');
  await ensureReadingRole(database.db, { databaseUrl: database.url, readerUrl: null, showsBodies: false });
  assert.match(await refused('select source from message_sources'), NO_RIGHT);
});

test('where no role can be made it says what to run; a role of somebody else has to be as powerless', async () => {
  const { db: admin, url } = database;
  await admin.raw(`create role owner login password 'x'`);
  await admin.raw('create database managed owner owner');
  const as = (user: string): string => {
    const own = new URL(url);
    [own.username, own.password, own.pathname] = [user, 'x', 'managed'];
    return own.href;
  };
  const db = openDatabase(as('owner'));
  try {
    await migrate(db);
    const open = (readerUrl: string | null): Reader => {
      const settings = { databaseUrl: as('owner'), readerUrl, showsBodies: false };
      return openReader({ db, settings, limits: LIMITS, limitMemory: null, now: () => new Date() });
    };
    const said = async (reader: Reader, query: string): Promise<string> => {
      const { result } = await reader.run({ name: null, query, parameters: [] }, ADMIN);
      return result.kind === 'fault' ? result.message : JSON.stringify('rows' in result && result.rows);
    };
    const words = await said(open(null), 'select 1');
    assert.match(
      words,
      /^The database does not let Threadbox make a role that can only read: .*permission denied/,
    );
    assert.match(words, /\n {2}create role threadbox_sql login password '\.\.\.' connection limit 4;\n/);
    assert.match(words, /\n {2}grant create on database managed to owner;\nThen set SQL_DATABASE_URL/);
    assert.match(await said(open(as('threadbox_sql')), 'select 1'), /role "threadbox_sql" does not exist/);

    await admin.raw(`create role threadbox_sql login password 'x'`);
    const reader = open(as('threadbox_sql'));
    assert.equal(await said(reader, 'select count(*) from users'), '[["0"]]');
    // Nobody could take these from it in PostgreSQL itself.
    for (const query of [
      'select pg_advisory_lock(7482332)',
      "select set_config('role', 'owner', false)",
      'select pg_sleep(9)',
      'select (7482332::bigint).pg_advisory_lock',
      "select E'a'\n'b\\'', pg_sleep(9) --'",
    ]) {
      assert.match(await said(reader, query), NO_FUNCTION);
    }
    assert.match(await said(reader, 'select token_key from public.installation'), NO_RIGHT);
    assert.match(await said(reader, 'set role owner'), NOT_READING);
    await admin.raw('grant owner to threadbox_sql');
    assert.match(
      await said(open(as('threadbox_sql')), 'select 1'),
      /^No query is run: the role threadbox_sql, .*is a member of owner/,
    );
  } finally {
    await db.destroy();
  }
});

test('after all this the bot has its tables, its connections and nothing changed', async () => {
  const { db } = database;
  assert.deepEqual(await db('users').pluck('address'), [ADMIN]);
  await ensureUser(db, 'later@example.com', '');
  assert.equal(await value('select count(*) from users'), '2');
  await until(async () => {
    const { rows } = await db.raw<{ rows: unknown[] }>(
      `select pid from pg_stat_activity where usename like 'threadbox_sql%'`,
    );
    return rows.length === 0;
  });
  assert.deepEqual((await db.raw('select pg_try_advisory_lock(7482332) as free')).rows, [{ free: true }]);
});
