import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Intake } from '../../src/commands/judge.ts';
import { readMime } from '../../src/mail/mime.ts';
import { ensureUser, registerUser, setUser } from '../../src/store/users.ts';
import { collectedLog } from '../support/collected-log.ts';
import { loginTests } from './login-mail.ts';
import { audit, confirmed, GUEST, HOUR_MS, OTHER, replyTo, send, stage } from './sql-stage.ts';

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
  assert.match(answer.text, /^1 row in \d+\.\d+ s\n\nanswer {2}text\n-{6} {2}-{10}\n {4}42 {2}it's; fine\n/);
  assert.match(answer.text, /This conversation is trusted until .* UTC\./);
  assert.equal((await audit("SELECT 40 + 2 AS answer, 'it''s; fine' AS text"))[0]?.outcome, 'rows');

  stage.aheadMs = 11 * HOUR_MS;
  const next = await send('Re: [sql] Who is there', 'SELECT 1 AS one;\n\nselect 2 as two', {
    to: replyTo(answer),
  });
  assert.match(
    (await next.answer()).text,
    /^2 queries\n\n1\. SELECT 1 AS one\n=+\n\n1 row .*\n\none\n---\n {2}1\n[^]*2\. select 2 as two\n/,
  );
  stage.aheadMs = 13 * HOUR_MS;
  const late = await send('Re: [sql] Who is there', 'SELECT 3', { to: replyTo(answer) });
  assert.match((await late.answer()).text, /confirmed more than 12 hours ago/);
});

test('what is declined, or confirmed too late, is not run', async () => {
  const asked = await (await send('[sql]', "SELECT 'declined'")).answer();
  const no = await send('Re: [sql]', 'No, that was not me!', { to: replyTo(asked) });
  assert.match((await no.answer()).text, /^Nothing was run, and nothing waits any more\n/);
  assert.equal((await audit("SELECT 'declined'"))[0]?.error, 'declined by its sender');
  const question = await (await send('[sql]', "SELECT 'too late'")).answer();
  stage.aheadMs = 61 * 60_000;
  const late = await send('Re: [sql]', "SELECT 'again'", { to: replyTo(question) });
  assert.match((await late.answer()).text, /asked more than an hour ago; [^]*SELECT 'again'/);
  assert.equal((await audit("SELECT 'too late'"))[0]?.error, 'not confirmed in time');
});

test('only a plain yes confirms; anything else is asked about again, a late yes with what was asked', async () => {
  const question = await (await send('[sql]', "SELECT 'mine'")).answer();
  const to = replyTo(question);
  const again = await (await send('Re: [sql]', "This wasn't me", { to })).answer();
  assert.match(
    again.text,
    /^Reply to this mail to confirm [^]*is neither yes nor a query\. This is what would be run:\n\n {2}SELECT 'mine'\n\nWithin an hour of asking it, /,
  );
  assert.equal((await audit("SELECT 'mine'"))[0]?.state, 'waiting');
  stage.aheadMs = 61 * 60_000;
  const late = await (await send('Re: [sql]', 'Yes', { to: replyTo(again) })).answer();
  assert.match(
    late.text,
    /asked more than an hour ago; [^]*would be run:\n\n {2}SELECT 'mine'\n\nWithin an hour, /,
  );
  const twice = await (await send('Re: [sql]', 'yes', { to })).answer();
  assert.match(twice.text, /^Nothing waits to be confirmed here\n\nNothing was run\. If a newer mail asks/);
  const answer = await (await send('Re: [sql]', 'OK!', { to: replyTo(late) })).answer();
  assert.match(answer.text, /^1 row in [^]*\nmine\n/);
  const rows = await audit("SELECT 'mine'");
  assert.deepEqual(
    rows.map(({ outcome }) => outcome as unknown),
    ['refused', 'rows'],
  );

  const yes = await (await send('Re: [sql]', 'yes', { to: replyTo(answer) })).answer();
  assert.match(yes.text, /This conversation is confirmed: write your query, and it is run at once\./);
  const no = await (await send('Re: [sql]', 'no', { to: replyTo(answer) })).answer();
  assert.match(no.text, /^Nothing was run, and nothing waits any more\n/);
  const after = await send('Re: [sql]', "SELECT 'after'", { to: replyTo(answer) });
  assert.deepEqual(after.taken, { kind: 'answered', reason: 'sql-confirm' });
});

test('who is no admin gets what anybody gets who names a repository that is not there, and it is recorded', async () => {
  const asked = await send('[sql]', 'SELECT * FROM users', { from: GUEST });
  const other = await send('[sqlx]', 'SELECT * FROM users', { from: GUEST });
  const [text, otherText] = [(await asked.answer()).text, (await other.answer()).text];
  assert.equal(text, otherText.replaceAll('sqlx', 'sql'));
  assert.deepEqual(
    (await stage.database.db('sql_queries').select('outcome', 'error').where({ asked_by: GUEST })) as unknown,
    [{ outcome: 'refused', error: 'not an admin' }],
  );
  await registerUser(stage.database.db, GUEST, '');
  await setUser(stage.database.db, GUEST, { role: 'admin' });
  assert.deepEqual((await send('[sql]', 'SELECT 1', { from: GUEST })).taken, {
    kind: 'answered',
    reason: 'sql-confirm',
  });
});

test("the guide's three queries work as written, and tell what a question mark wants", async () => {
  const { db } = stage.database;
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

test('a query that is saved in one mail is known in the next, before the first has run; the last word on it counts', async () => {
  const { to } = await confirmed('SELECT 1');
  await Promise.all(stage.desks.splice(0).map((desk) => desk.close()));
  await send('Re: [sql]', 'save soon: SELECT 41 AS answer', { to });
  await send('Re: [sql]', 'save soon: SELECT 42 AS answer', { to });
  const asked = await send('Re: [sql]', 'soon', { to });
  stage.desks = [stage.startDesk()];
  assert.match((await asked.answer()).text, /^answer\n-+\n +42$/m);
});

test('queries that a bot has left are run by the next one, once; a mail with much stays short', async () => {
  const { to } = await confirmed('SELECT 1');
  const written = () => stage.database.db('messages').where({ direction: 'out' }).pluck('id');
  await Promise.all(stage.desks.splice(0).map((desk) => desk.close()));
  const big = "SELECT repeat('x', 5000) AS x, n FROM generate_series(1, 3000) n";
  const left = await send('Re: [sql]', `${big}; SELECT 7 AS small`, { to });
  const before = (await written()).length;
  stage.desks = [stage.startDesk(), stage.startDesk()];
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
  const { db, url } = stage.database;
  const { to } = await confirmed('SELECT 1');
  await Promise.all(stage.desks.splice(0).map((desk) => desk.close()));
  const [role] = await db('pg_roles').pluck('rolname').whereLike('rolname', 'threadbox_sql_%');
  const { log, lines } = collectedLog();
  const elsewhere = `postgres://${role}:x@127.0.0.1:1${new URL(url).pathname}`;
  stage.desks = [stage.startDesk({ readerUrl: elsewhere, log })];
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

  await Promise.all(stage.desks.splice(0).map((desk) => desk.close()));
  const left = await send('Re: [sql]', "SELECT 'it goes down'", { to });
  await db('sql_queries').where({ state: 'queued' }).update({ attempts: 3 });
  stage.desks = [stage.startDesk()];
  assert.match((await left.answer()).text, /begun 3 times, and each time Threadbox or its database ended\./);
});

test('it is off where it is switched off, nobody is verified, or no answer has a token', async () => {
  const { config } = stage.intake;
  const answered = async (change: Partial<Intake['config']>): Promise<string> => {
    stage.intake = { ...stage.intake, config: { ...config, ...change } };
    try {
      return (await (await send('[sql]', 'SELECT 1')).answer()).text;
    } finally {
      stage.intake = { ...stage.intake, config };
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

loginTests();
