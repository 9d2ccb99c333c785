import assert from 'node:assert/strict';
import { after, before, test, type TestContext } from 'node:test';
import { migrations } from '../../migrations/index.ts';
import { commandById, endCommand, queueCommand } from '../../src/store/commands.ts';
import {
  installationId,
  isDatabaseAway,
  isDatabaseBusy,
  letTakeItsTime,
  migrate,
  openDatabase,
  unhurried,
  type Db,
} from '../../src/store/database.ts';
import { takeLockOnce, takeMailboxLock } from '../../src/store/mailbox-lock.ts';
import { queueAnswer } from '../../src/store/outbox.ts';
import { shownUrl } from '../../src/store/repositories.ts';
import { collectedLog } from '../support/collected-log.ts';
import { startPrivateDatabase, type PrivateDatabase } from '../support/private-database.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';
import { received, threadOf } from './sample-rows.ts';

let database: PrivateDatabase;
let db: Db;

before(async () => {
  database = await startPrivateDatabase();
  ({ db } = database);
});
after(() => database.close());

/** The way to the database, which can be taken away. */
async function startWire(t: TestContext): Promise<{ wire: TcpProxy; url: string }> {
  const url = new URL(database.url);
  const wire = await startTcpProxy(Number(url.port));
  t.after(() => wire.close());
  url.port = String(wire.port);
  return { wire, url: url.href };
}

const errorOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => null,
    (error: unknown) => error,
  );

test('a transaction that takes its time is not given up by a server that has a limit for it', async () => {
  const settings = `select name, setting from pg_settings where name in ('idle_in_transaction_session_timeout', 'transaction_timeout')`;
  const ofOwn = openDatabase(database.url, { poolSize: 1, idleInTransactionMs: 60_000 });
  try {
    const { rows } = await ofOwn.transaction(async (transaction) => {
      await letTakeItsTime(transaction);
      return transaction.raw<{ rows: { name: string; setting: string }[] }>(settings);
    });
    assert.ok(rows.length > 0 && rows.every(({ setting }) => setting === '0'), JSON.stringify(rows));
    const after = await ofOwn.raw<{ rows: { setting: string }[] }>(settings);
    assert.ok(after.rows.some(({ setting }) => setting === '60000'));
  } finally {
    await ofOwn.destroy();
  }
});

test('migrating an up-to-date database changes nothing, also when two processes do it at once', async () => {
  const id = await installationId(db);
  const other = openDatabase(database.url);
  try {
    await Promise.all([migrate(db), migrate(other)]);
  } finally {
    await other.destroy();
  }
  assert.equal(await installationId(db), id);
  assert.equal((await db('knex_migrations').select()).length, Object.keys(migrations).length);
});

test('what changes a large table takes as long as it takes, whatever a statement may take otherwise', async (t) => {
  const url = new URL(database.url);
  // As a server does that has limits of its own.
  url.searchParams.set('options', '-c statement_timeout=1s -c idle_in_transaction_session_timeout=1s');
  const hurried = openDatabase(url.href, { statementMs: 100, answerWithinMs: 200 });
  t.after(() => hurried.destroy());
  const { rows } = await unhurried(hurried, (own) =>
    own.raw<{ rows: { idle: string }[] }>(
      `select pg_sleep(1.1), current_setting('idle_in_transaction_session_timeout') as idle`,
    ),
  );
  assert.equal(rows[0]?.idle, '0');
});

test('a shown URL has no credentials', () => {
  assert.equal(shownUrl('https://me:token@git.example.com/a.git'), 'https://git.example.com/a.git');
  assert.equal(shownUrl('ssh://git:pw@git.example.com/a.git'), 'ssh://git@git.example.com/a.git');
  assert.equal(shownUrl('git@git.example.com:a.git'), 'git@git.example.com:a.git');
});

test('a server that is away is told from a wrong query', async () => {
  const nowhere = openDatabase('postgres://a:b@127.0.0.1:1/x');
  const away = await errorOf(nowhere.raw('select 1'));
  await nowhere.destroy();
  assert.equal(isDatabaseAway(away), true);
  const wrong = await errorOf(db.raw('select nothing_like_it'));
  assert.equal(isDatabaseAway(wrong), false);
});

test('what a transaction has locked whose connection is dead is free again soon', async (t) => {
  const { wire, url } = await startWire(t);
  const cutOff = openDatabase(url, { poolSize: 1, idleInTransactionMs: 2_000 });
  t.after(() => cutOff.destroy());
  const isFree = async (): Promise<boolean> =>
    db
      .transaction((transaction) => transaction.raw('lock table installation nowait'))
      .then(
        () => true,
        () => false,
      );
  const lost = cutOff.transaction(async (transaction) => {
    await transaction.raw('lock table installation');
    wire.hold();
    assert.equal(await isFree(), false);
    await until(isFree);
    wire.cut();
    await transaction.raw('select 1');
  });
  const error = await errorOf(lost);
  assert.equal(isDatabaseAway(error), true, String(error));
  assert.equal(isDatabaseAway(Object.assign(new Error('given up'), { code: '25P03' })), true);
  const readOnly = await errorOf(
    db.transaction(async (transaction) => {
      await transaction.raw('set transaction read only');
      await transaction.raw('update installation set id = id');
    }),
  );
  assert.equal(isDatabaseAway(readOnly), true, String(readOnly));
});

test('a server on which something takes too long is busy, and tried again; it is not called away', async () => {
  const ofDatabase = async (limit: string, statement: string): Promise<unknown> =>
    errorOf(
      db.transaction(async (transaction) => {
        await transaction.raw(`set local ${limit} = 20`);
        await transaction.raw(statement);
      }),
    );
  await db.transaction(async (transaction) => {
    await transaction.raw('lock table installation');
    for (const error of [
      await ofDatabase('statement_timeout', 'select pg_sleep(5)'),
      await ofDatabase('lock_timeout', 'lock table installation'),
    ]) {
      assert.deepEqual([isDatabaseBusy(error), isDatabaseAway(error)], [true, false], String(error));
    }
  });
  assert.equal(isDatabaseBusy(new Error('Connection terminated')), false);
  const wrong = await ofDatabase('lock_timeout', `select 1/0 as "timeoutMs", 'connection closed'`);
  assert.equal(isDatabaseAway(wrong), false);
  for (const words of ['Query read timeout', 'timeout expired', 'Connection terminated unexpectedly'])
    assert.equal(isDatabaseAway(new Error(`select "timeoutMs" - ${words}`)), true, words);
});

/** The sessions that the server has for three connections of a pool. */
async function threeSessions(pool: Db): Promise<number[]> {
  const session = async (on: Db): Promise<number> =>
    (await on.raw<{ rows: { pid: number }[] }>('select pg_backend_pid() as pid')).rows[0]?.pid ?? 0;
  return pool.transaction((one) =>
    pool.transaction(async (other) => [await session(one), await session(other), await session(pool)]),
  );
}

test('after a black hole no connection from before it is used, and what was done in it is not done twice', async (t) => {
  const { wire, url } = await startWire(t);
  const far = openDatabase(url, { poolSize: 3, answerWithinMs: 3_000 });
  t.after(() => far.destroy());
  const thread = await threadOf(db, 'hole@example.com', 'hole');
  const messageId = await received(db, 1);
  const command = await queueCommand(db, { threadId: thread.id, messageId, script: 'true' });
  const addresses = { from: 'bot@example.com', to: 'hole@example.com', subject: 's', subjectKey: 's' };
  const end = (): Promise<void> =>
    far.transaction(async (transaction) => {
      const raw = Buffer.from('done');
      const about = { threadId: thread.id, inReplyToMessage: messageId };
      await queueAnswer(transaction, { ...addresses, ...about, raw, messageId: '<done@example.com>' });
      await endCommand(transaction, command, { state: 'finished' });
    });
  const before = await threeSessions(far);
  const isHeld = Promise.withResolvers<void>();
  // The server gets it, and its answer is lost.
  wire.onData((from, data) => {
    if (from !== 'client' || !data.includes('COMMIT')) return;
    wire.hold();
    isHeld.resolve();
  });
  const unknown = errorOf(end());
  await isHeld.promise;
  // The third connection lies in the pool all the while.
  const lost = await Promise.all([unknown, errorOf(far.raw('select 1'))]);
  for (const error of lost) assert.equal(isDatabaseAway(error), true, String(error));
  wire.onData(() => {});
  wire.release();
  // One of before would end this by its time limit.
  const now = await threeSessions(far);
  assert.equal(new Set([...before, ...now]).size, 6);
  await until(async () => (await commandById(db, command)).state === 'finished');
  await assert.rejects(end(), { code: 'COMMAND_TAKEN' });
  assert.equal((await db('outbox').select()).length, 1);
  wire.hold();
  await far.destroy();
});

test('who holds the mailbox lock can stop in a black hole', async (t) => {
  const { wire, url } = await startWire(t);
  const state = { isUp: () => {}, isDown: () => {} };
  const { log } = collectedLog();
  const { signal } = new AbortController();
  const lock = takeMailboxLock({ databaseUrl: url, onChange: () => {}, database: state, log, signal });
  await lock.held();
  wire.hold();
  await lock.close();
  assert.equal(lock.isHeld(), false);
  // Now its end reaches the server.
  wire.cut();
  const next = await until(() => takeLockOnce(database.url));
  await next.release();
});
