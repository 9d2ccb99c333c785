import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import type { Config } from '../../src/config.ts';
import { removeOld } from '../../src/lifecycle/retention.ts';
import type { Db } from '../../src/store/database.ts';
import * as expiring from '../../src/store/expiring-saves.ts';
import { addRepository, listRepositories } from '../../src/store/repositories.ts';
import * as saves from '../../src/store/saved-states.ts';
import { endSession } from '../../src/store/session-ends.ts';
import * as sessions from '../../src/store/sessions.ts';
import { ensureThread } from '../../src/store/threads.ts';
import { ensureUser } from '../../src/store/users.ts';
import { collectedLog } from '../support/collected-log.ts';
import { startPrivateDatabase, type PrivateDatabase } from '../support/private-database.ts';

let database: PrivateDatabase;
let db: Db;

before(async () => {
  database = await startPrivateDatabase();
  ({ db } = database);
});
after(() => database.close());
beforeEach(() => db.raw('truncate saved_states, container_sessions, threads, repositories, users cascade'));

const NOON = new Date('2026-11-22T12:00:00Z');
const later = (minutes: number): Date => new Date(NOON.getTime() + minutes * 60_000);

async function ownedThread(name = 'app', label = '') {
  const user = await ensureUser(db, 'john@example.com', 'John');
  await addRepository(db, { name, url: 'https://git.example.com/x.git', branch: null, threadBy: null });
  const repository = (await listRepositories(db)).find((one) => one.name === name);
  assert.ok(repository);
  const of = { userId: user.id, repositoryId: repository.id, label };
  const { id } = await ensureThread(db, { id: `john@example.com-${name}${label}`, ...of });
  return { threadId: id, userId: user.id, repositoryId: repository.id };
}

const DAY_MS = 86_400_000;
const SAVED = {
  snapshot: 'abc',
  commit: null,
  branch: null,
  filesModified: 0,
  unpushedCommits: 0,
  leftOut: [],
};

test('no saved state expires before it was announced for a whole while, one put aside neither', async () => {
  const owned = await ownedThread();
  const soon = { now: later(0), aheadMs: DAY_MS };
  const none = await saves.ensureCurrentSave(db, await ownedThread('never', 'saved'));
  await saves.retireSave(db, none.id, { expiresAt: later(-60), volumeName: null, endReason: 'idle' });
  const aside = await saves.ensureCurrentSave(db, owned);
  await saves.recordSave(db, aside.id, SAVED, NOON);
  await saves.putAside(db, aside.id, { expiresAt: later(-60), now: NOON });
  const current = await saves.ensureCurrentSave(db, owned);
  await saves.recordSave(db, current.id, SAVED, NOON);
  await saves.retireSave(db, current.id, { expiresAt: later(-60), volumeName: null, endReason: 'idle' });

  await expiring.markExpired(db, NOON);
  assert.deepEqual(
    (await expiring.savesToClean(db, { limit: 5 })).map(({ id }) => id),
    [none.id],
  );
  const found = await expiring.savesToAnnounce(db, NOON, { limit: 5, skip: 0 });
  assert.deepEqual(
    found.map(({ id }) => id),
    [aside.id, current.id],
  );
  for (const { id } of found) {
    assert.deepEqual(await expiring.markAnnounced(db, id, soon), later(24 * 60));
  }
  await expiring.markExpired(db, later(24 * 60 - 1));
  assert.equal((await expiring.savesToClean(db, { limit: 5 })).length, 1);
  await expiring.markExpired(db, later(24 * 60));
  assert.equal((await expiring.savesToClean(db, { limit: 5 })).length, 3);
  assert.equal((await expiring.savesToClean(db, { limit: 5, skip: 1 })).length, 2);
});

test('what is deleted is over at once, is announced to nobody and told nobody later; what a container has stays', async () => {
  const owned = await ownedThread();
  const { id } = await saves.ensureCurrentSave(db, owned);
  await saves.recordSave(db, id, SAVED, NOON);
  assert.equal(await expiring.expireNow(db, owned.threadId), 0);
  await saves.retireSave(db, id, { expiresAt: later(60), volumeName: 'v', endReason: 'idle' });
  assert.equal(await expiring.expireNow(db, owned.threadId), 1);
  assert.equal(await saves.currentSave(db, owned.threadId), null);
  assert.deepEqual(await expiring.savesToAnnounce(db, later(90), { limit: 5, skip: 0 }), []);
  assert.equal(await saves.takeExpiredNews(db, owned.threadId, later(90)), null);
  assert.equal(await expiring.isVolumeToClean(db, 'v'), true);
  await expiring.markCleaned(db, id, later(1));
  assert.equal(await expiring.isVolumeToClean(db, 'v'), false);
});

test('the work of a thread with a session neither expires nor loses its volume', async () => {
  const owned = await ownedThread();
  const session = await sessions.openSession(
    db,
    { ...owned, containerId: 'c', containerName: 'n', volumeName: 'v', image: 'i' },
    { endReason: '', now: NOON },
  );
  const { id } = await saves.ensureCurrentSave(db, owned);
  await saves.recordSave(db, id, SAVED, NOON);
  await saves.retireSave(db, id, { expiresAt: later(-60), volumeName: 'v', endReason: 'idle' });
  assert.deepEqual(await expiring.savesWithVolumes(db, { limit: 5 }), []);
  assert.deepEqual(await expiring.savesToAnnounce(db, NOON, { limit: 5, skip: 0 }), []);
  await endSession(db, session.id, NOON);
  assert.equal((await expiring.savesWithVolumes(db, { limit: 5 })).length, 1);
  assert.equal((await expiring.savesToAnnounce(db, NOON, { limit: 5, skip: 0 })).length, 1);
});

test('outputs of commands and queries of admins go when they are old, a portion at a time; what is to be run stays', async () => {
  const { threadId } = await ownedThread();
  await db.raw(
    `insert into messages (direction, raw, size_bytes, state, outcome, thread_id, address)
       select 'in', ''::bytea, 0, 'handled', 'command', ?, 'john@example.com' from generate_series(1, 250)`,
    [threadId],
  );
  // One a day, the oldest first; the last is of now.
  await db.raw(
    `insert into commands (thread_id, message_id, script, state, created_at)
       select thread_id, id, 'true', 'finished', ?::timestamptz - (249 - row_number() over (order by id) + 1) * interval '1 day'
       from messages order by id`,
    [NOON],
  );
  await db.raw(
    `insert into command_outputs (command_id, head, tail, omitted_bytes) select id, 'out'::bytea, ''::bytea, 0 from commands`,
  );
  await db.raw(
    `insert into sql_queries (via, asked_by, query, state, outcome, asked_at)
       select 'command-line', 'root', 'SELECT 1', 'ended', 'rows', created_at from commands order by id`,
  );
  await db.raw(
    `update sql_queries set state = 'queued', outcome = null where id = (select min(id) from sql_queries)`,
  );
  const log = collectedLog();
  const sweep = (at: Date) =>
    removeOld({
      db,
      now: () => at,
      config: { outputKeptDays: 90, auditKeptDays: 365 } as Config,
      signal: new AbortController().signal,
      log: log.log,
    });
  await sweep(NOON);
  const left = async () =>
    Promise.all(['command_outputs', 'sql_queries'].map(async (table) => (await db(table)).length));
  assert.deepEqual(await left(), [91, 250]);
  assert.deepEqual(
    log.lines.map(({ msg, ['count']: count }) => [msg, count]),
    [['old outputs of commands were removed', 159]],
  );
  await sweep(new Date(NOON.getTime() + 1_000 * DAY_MS));
  await sweep(new Date(NOON.getTime() + 1_000 * DAY_MS));
  await sweep(new Date(NOON.getTime() + 1_000 * DAY_MS));
  assert.deepEqual(await left(), [0, 1]);
  assert.equal((await db('commands')).length, 250);
});
