import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { openReader, SQL_LIMITS } from '../../src/admin/run-query.ts';
import { startQueryDesk, type QueryDesk } from '../../src/commands/query-desk.ts';
import type { Taken } from '../../src/commands/settle.ts';
import { takeMessage, type Intake } from '../../src/commands/take-message.ts';
import { loadConfig } from '../../src/config.ts';
import { limitMemory } from '../../src/embedded/limit-memory.ts';
import { parseMessage, type ParsedMessage } from '../../src/mail/parse.ts';
import { readMime } from '../../src/mail/mime.ts';
import { composeUserMail } from '../../src/mail/user-mail.ts';
import { HourlyCaps } from '../../src/store/hourly.ts';
import { nextReceived, recordIncoming } from '../../src/store/messages.ts';
import { addRepository } from '../../src/store/repositories.ts';
import { shareQueries } from '../../src/store/shared-queries.ts';
import { ensureUser, registerUser, setUser } from '../../src/store/users.ts';
import { collectedLog } from '../support/collected-log.ts';
import { startPrivateDatabase, type PrivateDatabase } from '../support/private-database.ts';
import { until } from '../support/until.ts';

// The way of an admin's query from the mail to the answer, as far as the database decides it.

const ADMIN = 'admin@example.com';
const OTHER = 'other@example.com';
const GUEST = 'guest@example.com';
const HOUR_MS = 3_600_000;

let database: PrivateDatabase;
let intake: Intake;
let startDesk: (change?: { readerUrl?: string; log?: Intake['log'] }) => QueryDesk;
let desks: QueryDesk[];
let aheadMs = 0;
let lastUid = 0;
const now = (): Date => new Date(Date.now() + aheadMs);
before(async () => {
  database = await startPrivateDatabase();
  const { db, url: databaseUrl } = database;
  const { config } = loadConfig({ ALLOWED_SENDERS: '*@example.com', ADMIN_ADDRESSES: ADMIN });
  intake = {
    db,
    config,
    queries: shareQueries(db),
    hourlyCaps: new HourlyCaps(db, { perSender: 1e4, perThread: 1e4, overall: 1e4, writtenPerAddress: 1e4 }),
    maxMessageBytes: 1_000_000,
    now,
    log: collectedLog().log,
    checkSender: () =>
      Promise.resolve({ kind: 'verified', how: 'not at all', signatureIds: [], hasLooseCc: false }),
    answerControl: () => Promise.reject(new Error('no control word is meant here')),
  };
  const url = 'https://git.example.com/x.git';
  await addRepository(db, { name: 'web', url, branch: null, threadBy: null });
  startDesk = ({ readerUrl = null, ...change }: { readerUrl?: string | null; log?: Intake['log'] } = {}) => {
    const settings = { databaseUrl, readerUrl, showsBodies: false };
    const reader = openReader({ db, settings, limits: SQL_LIMITS, limitMemory, now });
    const around = { ...intake, ...change, isOurs: () => true, onAnswered: () => undefined };
    return startQueryDesk({ ...around, reader });
  };
  desks = [startDesk()];
});
after(async () => {
  await Promise.all(desks.map((desk) => desk.close()));
  await database.close();
});
beforeEach(() => {
  aheadMs = 0;
});

type Sent = { taken: Taken; answer: () => Promise<ParsedMessage & { raw: Buffer }> };

async function send(
  subject: string,
  body: string,
  { from = ADMIN, to = 'bot@threadbox.test' }: { from?: string; to?: string } = {},
): Promise<Sent> {
  const { db } = database;
  const { raw } = await composeUserMail({ from, to, subject, body });
  lastUid += 1;
  const mail = { uid: lastUid, raw, sizeBytes: raw.length, isTruncated: false, receivedAt: now() };
  await recordIncoming(db, 'box', [mail], { uidValidity: 1, lastUid });
  const [received] = await nextReceived(db, 0, { count: 1, bytes: 0 });
  assert.ok(received);
  const taken = await takeMessage(intake, { received, message: await parseMessage(received.raw) });
  if (taken.kind === 'queries') for (const desk of desks) desk.wake();
  return {
    taken,
    answer: () =>
      until(async () => {
        const row = await db('messages').first('raw').where({ in_reply_to_message: received.id });
        return row && { ...(await parseMessage(row.raw)), raw: row.raw as Buffer };
      }),
  };
}

const replyTo = ({ headers }: ParsedMessage): string =>
  /<(.*)>/.exec(headers.get('reply-to')?.[0] ?? '')?.[1] ?? '';
const audit = (query: string) =>
  database
    .db('sql_queries')
    .select('asked_by', 'state', 'outcome', 'error', 'row_count')
    .where({ query })
    .orderBy('id');

/** A conversation that was confirmed. @returns where to write to, and the answer to its first query */
async function confirmed(query: string, from = ADMIN) {
  const question = await (await send('[sql] Look', query, { from })).answer();
  const answer = await (
    await send(`Re: ${question.subject}`, 'yes', { from, to: replyTo(question) })
  ).answer();
  return { to: replyTo(answer), answer };
}

test('the first query waits until its sender has answered; then the conversation is trusted for 12 hours', async () => {
  const first = await send('[sql] Who is there', "SELECT 40 + 2 AS answer, 'it''s; fine' AS text");
  assert.deepEqual(first.taken, { kind: 'answered', reason: 'sql-confirm' });
  const question = await first.answer();
  assert.match(question.text, /^Reply to this mail to confirm that you asked\n/);
  assert.match(
    question.text,
    /Nothing was run yet\. .*\n\n {2}SELECT 40 \+ 2 AS answer, 'it''s; fine' AS text\n/,
  );
  assert.equal((await audit("SELECT 40 + 2 AS answer, 'it''s; fine' AS text"))[0]?.state, 'waiting');

  const stolen = await send('Re: [sql] Who is there', 'yes', { from: OTHER, to: replyTo(question) });
  assert.equal(stolen.taken.kind, 'answered');
  assert.match((await stolen.answer()).text, /no repository called sql/i);
  const forged = await send('Re: [sql] Who is there', 'SELECT 1');
  assert.deepEqual(forged.taken, { kind: 'answered', reason: 'sql-confirm' });

  const yes = await send('Re: [sql] Who is there', 'yes', { to: replyTo(question) });
  const answer = await yes.answer();
  assert.match(answer.text, /^1 row in 0\.\d\d s\n\nanswer {2}text\n-{6} {2}-{10}\n {4}42 {2}it's; fine\n/);
  assert.match(answer.text, /This conversation is trusted until .* UTC\./);
  assert.equal((await audit("SELECT 40 + 2 AS answer, 'it''s; fine' AS text"))[0]?.outcome, 'rows');

  aheadMs = 11 * HOUR_MS;
  const next = await send('Re: [sql] Who is there', 'SELECT 1 AS one;\n\nselect 2 as two', {
    to: replyTo(answer),
  });
  assert.match(
    (await next.answer()).text,
    /^2 queries\n\n1\. SELECT 1 AS one\n=+\n\n1 row .*\n\none\n---\n {2}1\n[^]*2\. select 2 as two\n/,
  );
  aheadMs = 13 * HOUR_MS;
  const late = await send('Re: [sql] Who is there', 'SELECT 3', { to: replyTo(answer) });
  assert.match((await late.answer()).text, /confirmed more than 12 hours ago/);
});

test('what is declined, or confirmed too late, is not run', async () => {
  const asked = await (await send('[sql]', "SELECT 'declined'")).answer();
  const no = await send('Re: [sql]', 'No, that was not me!', { to: replyTo(asked) });
  assert.match((await no.answer()).text, /^Nothing was run, and nothing waits any more\n/);
  assert.equal((await audit("SELECT 'declined'"))[0]?.error, 'declined by its sender');
  const question = await (await send('[sql]', "SELECT 'too late'")).answer();
  aheadMs = 61 * 60_000;
  const late = await send('Re: [sql]', "SELECT 'again'", { to: replyTo(question) });
  assert.match((await late.answer()).text, /was asked more than an hour ago, and is not run/);
  assert.equal((await audit("SELECT 'too late'"))[0]?.error, 'not confirmed in time');
});

test('who is no admin gets what anybody gets who names a repository that is not there, and it is recorded', async () => {
  const asked = await send('[sql]', 'SELECT * FROM users', { from: GUEST });
  const other = await send('[sqlx]', 'SELECT * FROM users', { from: GUEST });
  const [text, otherText] = [(await asked.answer()).text, (await other.answer()).text];
  assert.equal(text, otherText.replaceAll('sqlx', 'sql'));
  assert.deepEqual(
    (await database.db('sql_queries').select('outcome', 'error').where({ asked_by: GUEST })) as unknown,
    [{ outcome: 'refused', error: 'not an admin' }],
  );
  await registerUser(database.db, GUEST, '');
  await setUser(database.db, GUEST, { role: 'admin' });
  assert.deepEqual((await send('[sql]', 'SELECT 1', { from: GUEST })).taken, {
    kind: 'answered',
    reason: 'sql-confirm',
  });
});

test("the guide's three queries work as written, and tell what a question mark wants", async () => {
  const { db } = database;
  const user = await ensureUser(db, 'john@example.com', 'John');
  const repository = await db('repositories').first('id');
  await db('threads').insert({ id: 'john@example.com-web', user_id: user.id, repository_id: repository.id });
  const session = { image: 'i', volume_name: 'v', thread_id: 'john@example.com-web', user_id: user.id };
  await db('container_sessions').insert([
    {
      ...session,
      container_name: 'idle',
      repository_id: repository.id,
      last_activity_at: new Date(Date.now() - HOUR_MS),
    },
    { ...session, container_name: 'ended', repository_id: repository.id, is_active: false, state: 'ended' },
  ]);
  const GUIDE = `-- Active containers
SELECT * FROM container_sessions WHERE is_active = true;

-- Idle containers
SELECT * FROM container_sessions
WHERE last_activity_at < NOW() - INTERVAL '30 minutes'
AND is_active = true;

-- Container history
SELECT * FROM container_sessions
WHERE user_id = ?
ORDER BY created_at DESC;`;
  const { answer, to } = await confirmed(GUIDE);
  assert.match(answer.text, /^3 queries, 1 with an error\n/);
  assert.match(answer.text, /^container_name +idle$/m);
  assert.match(
    answer.text,
    /wants one value for its question marks, and got none\.\n\nPut the value .*: \? = VALUE/,
  );
  const whole = await (await send('Re: [sql]', `${GUIDE}\n\n? = ${user.id}`, { to })).answer();
  assert.match(whole.text, /^3 queries\n/);
  const { attachments } = await readMime(whole.raw);
  assert.deepEqual(
    attachments.map(({ fileName, contentType }) => [fileName, contentType]),
    ['result-1.csv', 'result-2.csv', 'result-3.csv'].map((name) => [name, 'text/csv']),
  );
  assert.match(whole.text, /result-3\.csv has the same as a file/);
});

test('errors are told with their place and a hint; what is no reading, too', async () => {
  const { to } = await confirmed('SELECT 1');
  const say = async (query: string): Promise<string> =>
    (await (await send('Re: [sql] Look', query, { to })).answer()).text;
  const wrong = await say('SELECT id,\n  adress FROM users');
  assert.match(
    wrong,
    /^This query could not be run\n\nColumn "adress" does not exist\.\n\n {2}LINE 2: {3}adress FROM users\n {12}\^\n/,
  );
  assert.match(wrong, /Perhaps you meant to reference the column "users\.address"\./);
  assert.match(
    await say('delete from users'),
    /^This query could not be run\n\nDELETE cannot be run here\.\n[^]*Queries only read/,
  );
  assert.match(
    await say('SELECT pg_sleep(1000)'),
    /^This query was not run\n\nPg_sleep cannot be used here: a query only reads/,
  );
  assert.match(await say('SELECT ‘x’'), /curly quotes/);
  assert.match(await say('hstory john@example.com'), /Did you mean the saved query history\?/);
  assert.match(
    await say('SELECT * FROM users WHERE false'),
    /^0 rows in .*\n\nNo rows\. The columns: id, address,/,
  );
  assert.match(
    await say('SELECT n FROM generate_series(1, 60) n'),
    /\n50\n\nThese are the first 50 of 60 rows\. result\.csv has them all\.\n/,
  );
});

test('queries are saved under a name, listed, and asked for in the subject; the shipped ones all run', async () => {
  const { to } = await confirmed('save Big-ones: SELECT id FROM users WHERE id > ?;');
  const saved = await (await send('[sql] big-ones 0', '', { to })).answer();
  assert.match(saved.text, /^\d+ rows in/);
  const taken = await (await send('Re: [sql]', 'save active: SELECT 1', { to })).answer();
  assert.match(taken.text, /Not saved: active comes with Threadbox: choose another name\./);
  const list = await (await send('Re: [sql]', 'queries', { to })).answer();
  assert.match(list.text, /^active +containers that are there now/m);
  assert.match(list.text, /^big-ones +saved by admin@example\.com: SELECT id FROM users WHERE id > \?$/m);
  const all = "active; idle; history 'john@example.com'; slowest; failures; disk; refused";
  const { text } = await (await send('Re: [sql]', all, { to })).answer();
  assert.match(text, /^7 queries\n/);
  assert.match(text, /^3\. history\n=+\n\n2 rows/m);
});

test('queries that a bot has left are run by the next one, once; a mail with much stays short', async () => {
  const { to } = await confirmed('SELECT 1');
  const written = () => database.db('messages').where({ direction: 'out' }).pluck('id');
  await Promise.all(desks.splice(0).map((desk) => desk.close()));
  const big = "SELECT repeat('x', 5000) AS x, n FROM generate_series(1, 3000) n";
  const left = await send('Re: [sql]', `${big}; SELECT 7 AS small`, { to });
  const before = (await written()).length;
  desks = [startDesk(), startDesk()];
  const answer = await left.answer();
  assert.match(
    answer.text,
    /These are the first \d+ of \d+ rows\. result-1\.csv \([\d.]+ MB\) would make this mail too large\. Ask for fewer columns or rows, or ask it on the machine: npx threadbox sql --format csv\n/,
  );
  assert.match(answer.text, /result-2\.csv has the same as a file\./);
  const { attachments } = await readMime(answer.raw);
  assert.deepEqual(
    attachments.map(({ fileName }) => fileName),
    ['result-2.csv'],
  );
  assert.match(answer.text, /There is more: no more than 8 MB of a result is read/);
  assert.ok(answer.text.length < 60_000, `${answer.text.length}`);
  assert.equal((await audit(big))[0]?.outcome, 'cut');
  assert.equal((await written()).length, before + 1);
});

test('queries whose connection is not made, or that take the bot down, are answered with that after three attempts', async () => {
  const { db, url } = database;
  const { to } = await confirmed('SELECT 1');
  await Promise.all(desks.splice(0).map((desk) => desk.close()));
  const [role] = await db('pg_roles').pluck('rolname').whereLike('rolname', 'threadbox_sql_%');
  const { log, lines } = collectedLog();
  const elsewhere = `postgres://${role}:x@127.0.0.1:1${new URL(url).pathname}`;
  desks = [startDesk({ readerUrl: elsewhere, log })];
  const { text } = await (await send('Re: [sql]', "SELECT 'nowhere'", { to })).answer();
  assert.match(
    text,
    /^No query was run\n\nThese queries were begun 3 times, and each time the connection for queries was not made, or broke: connect ECONNREFUSED 127\.0\.0\.1:1\. They are not tried again: /,
  );
  assert.deepEqual(
    (await audit("SELECT 'nowhere'")).map(({ outcome }) => outcome as unknown),
    ['error'],
  );
  assert.equal(lines.filter(({ part, level }) => part !== undefined && level > 30).length, 1, 'told once');

  await Promise.all(desks.splice(0).map((desk) => desk.close()));
  const left = await send('Re: [sql]', "SELECT 'it goes down'", { to });
  await db('sql_queries').where({ state: 'queued' }).update({ attempts: 3 });
  desks = [startDesk()];
  assert.match((await left.answer()).text, /begun 3 times, and each time Threadbox or its database ended\./);
});

test('it is off where it is switched off, nobody is verified, or no answer has a token', async () => {
  const { config } = intake;
  const answered = async (change: Partial<Intake['config']>): Promise<string> => {
    intake = { ...intake, config: { ...config, ...change } };
    try {
      return (await (await send('[sql]', 'SELECT 1')).answer()).text;
    } finally {
      intake = { ...intake, config };
    }
  };
  const imap = { host: 'mail.example.com' } as NonNullable<Intake['config']['imap']>;
  assert.match(await answered({ sqlByMail: false }), /^There is no repository called sql\n/);
  assert.match(await answered({ imap, senderAuth: 'none' }), /^No SQL by mail while nobody is verified\n/);
  assert.match(await answered({ imap, senderAuth: 'dkim' }), /^Reply to this mail to confirm/);
  assert.match(await answered({ replyToken: false }), /^SQL by mail needs REPLY_TOKEN=on\n/);
  assert.match((await (await send('[sql]', '')).answer()).text, /^There was no query in this mail\n/);
  const { taken } = await send('Anything', 'SELECT 1', { to: 'bot+sql@threadbox.test' });
  assert.equal((taken as { reason?: string }).reason, 'sql-confirm');
});
