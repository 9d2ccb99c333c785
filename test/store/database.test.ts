import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { migrations } from '../../migrations/index.ts';
import {
  installationId,
  isDatabaseAway,
  isDatabaseBusy,
  migrate,
  openDatabase,
  type Db,
} from '../../src/store/database.ts';
import { shownUrl } from '../../src/store/repositories.ts';
import { startPrivateDatabase, type PrivateDatabase } from '../support/private-database.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

let database: PrivateDatabase;
let db: Db;

before(async () => {
  database = await startPrivateDatabase();
  ({ db } = database);
});
after(() => database.close());

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

test('a shown URL has no credentials', () => {
  assert.equal(shownUrl('https://me:token@git.example.com/a.git'), 'https://git.example.com/a.git');
  assert.equal(shownUrl('ssh://git:pw@git.example.com/a.git'), 'ssh://git@git.example.com/a.git');
  assert.equal(shownUrl('git@git.example.com:a.git'), 'git@git.example.com:a.git');
});

test('a server that is away is told from a wrong query', async () => {
  const nowhere = openDatabase('postgres://a:b@127.0.0.1:1/x');
  const away = await nowhere.raw('select 1').then(
    () => null,
    (error: unknown) => error,
  );
  await nowhere.destroy();
  assert.equal(isDatabaseAway(away), true);
  const wrong = await db.raw('select nothing_like_it').then(
    () => null,
    (error: unknown) => error,
  );
  assert.equal(isDatabaseAway(wrong), false);
});

test('what a transaction has locked whose connection is dead is free again soon', async (t) => {
  const url = new URL(database.url);
  const wire = await startTcpProxy(Number(url.port));
  t.after(() => wire.close());
  url.port = String(wire.port);
  const cutOff = openDatabase(url.href, { poolSize: 1, idleInTransactionMs: 300 });
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
  const error: unknown = await lost.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  assert.equal(isDatabaseAway(error), true, String(error));
  assert.equal(isDatabaseAway(Object.assign(new Error('given up'), { code: '25P03' })), true);
  const readOnly: unknown = await db
    .transaction(async (transaction) => {
      await transaction.raw('set transaction read only');
      await transaction.raw('update installation set id = id');
    })
    .then(
      () => null,
      (thrown: unknown) => thrown,
    );
  assert.equal(isDatabaseAway(readOnly), true, String(readOnly));
});

test('a server on which something takes too long is busy, and tried again; it is not called away', async () => {
  const ofDatabase = async (limit: string, statement: string): Promise<unknown> =>
    db
      .transaction(async (transaction) => {
        await transaction.raw(`set local ${limit} = 20`);
        await transaction.raw(statement);
      })
      .then(
        () => null,
        (error: unknown) => error,
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
