import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { commandById, lastCommands, planSwap, queueCommand } from '../../src/store/commands.ts';
import type { Db } from '../../src/store/database.ts';
import * as expiring from '../../src/store/expiring-saves.ts';
import { addRepository, listRepositories, setRepository } from '../../src/store/repositories.ts';
import * as saves from '../../src/store/saved-states.ts';
import { askRemoval, endRemoving, endSession } from '../../src/store/session-ends.ts';
import { NEXT_STATES } from '../../src/store/session-states.ts';
import * as sessions from '../../src/store/sessions.ts';
import { ensureThread, storedThread } from '../../src/store/threads.ts';
import { ensureUser, listUsers, registerUser, setUser } from '../../src/store/users.ts';
import { startPrivateDatabase, type PrivateDatabase } from '../support/private-database.ts';

let database: PrivateDatabase;
let db: Db;

before(async () => {
  database = await startPrivateDatabase();
  ({ db } = database);
});
after(() => database.close());
beforeEach(() => db.raw('truncate users, repositories, mailboxes, messages cascade'));

const NOON = new Date('2026-11-22T12:00:00Z');
const later = (minutes: number): Date => new Date(NOON.getTime() + minutes * 60_000);

type Owned = { threadId: string; userId: number; repositoryId: number };

async function ownedThread(name = 'app', label = ''): Promise<Owned> {
  const user = await ensureUser(db, 'john@example.com', 'John');
  await addRepository(db, { name, url: 'https://git.example.com/x.git', branch: null, threadBy: null });
  const repository = (await listRepositories(db)).find((one) => one.name === name);
  assert.ok(repository);
  const of = { userId: user.id, repositoryId: repository.id, label };
  const { id } = await ensureThread(db, { id: `john@example.com-${name}${label}`, ...of });
  return { threadId: id, userId: user.id, repositoryId: repository.id };
}

async function open(owned: Owned): Promise<{ id: number }> {
  const session = { ...owned, containerId: 'c1', containerName: 'n', volumeName: 'v', image: 'i' };
  const { id } = await sessions.openSession(db, session, { endReason: 'gone', now: NOON });
  await sessions.setNotes(db, id, ['a note']);
  return { id };
}

const warned = (seen: Date | null) => ({ now: later(40), checkAt: later(45), seen });

async function commandOf({ threadId }: Owned): Promise<number> {
  const [row] = await db('messages')
    .insert({ direction: 'in', raw: Buffer.from(''), size_bytes: 0, state: 'handled', thread_id: threadId })
    .returning<{ id: number }[]>('id');
  return queueCommand(db, { threadId, messageId: (row as { id: number }).id, script: 'true\n' });
}

test('a session is due when its time to be looked at has come, unless a command runs or waits in its thread', async () => {
  const owned = await ownedThread();
  const { id } = await open(owned);
  const [due] = await sessions.dueSessions(db, NOON, 10);
  assert.equal(due?.threadId, 'john@example.com-app');
  assert.deepEqual([due.userAddress, due.repositoryName, due.isSaved], ['john@example.com', 'app', true]);
  assert.deepEqual(due.lastActivityAt, NOON);

  await sessions.checkSessionAt(db, id, later(40), NOON);
  assert.deepEqual(await sessions.dueSessions(db, later(39), 10), []);
  assert.equal((await sessions.dueSessions(db, later(40), 10)).length, 1);
  // Something has changed; also where a crash has broken off a removal.
  await sessions.markRemoving(db, id, { reason: 'evicted' });
  await sessions.checkSessionsNow(db);
  assert.equal((await sessions.dueSessions(db, NOON, 10)).length, 1);
  await commandOf(owned);
  assert.deepEqual(await sessions.dueSessions(db, later(40), 10), []);
  assert.equal((await sessions.sessionOfThread(db, owned.threadId))?.isBusy, true);
});

test('of two who finish one removal one does it, and nobody uses the session meanwhile', async () => {
  const { id } = await open(await ownedThread());
  let removals = 0;
  const begun = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  const remove = () => {
    removals += 1;
    begun.resolve();
    return gone.promise;
  };
  const end = () => endRemoving(db, id, { now: () => NOON, remove });
  assert.equal(await end(), false, 'it is in use');
  await sessions.markRemoving(db, id, { reason: 'idle' });
  const first = end();
  await begun.promise;
  // From outside of the queue: nobody waits for Docker.
  await askRemoval(db, id, NOON);
  await sessions.checkSessionsNow(db);
  const [second, reopened] = [end(), sessions.reopenSession(db, id, NOON)];
  gone.resolve();
  assert.deepEqual(await Promise.all([first, second, reopened]), [true, false, false]);
  assert.equal(removals, 1);
  const [row] = await db('container_sessions').where({ id });
  assert.deepEqual([row.state, row.is_active], ['ended', false]);
});

test('a command that ends sets the idle time back, and what its answer told is told', async () => {
  const owned = await ownedThread();
  const { id } = await open(owned);
  assert.equal((await sessions.activeSession(db, owned.threadId))?.hasRun, false);
  assert.ok(await sessions.markWarned(db, id, warned(null)));
  assert.equal(await sessions.markWarned(db, id, warned(null)), false);
  // One that does not count any more, as the end was moved since.
  assert.ok(await sessions.markWarned(db, id, warned(later(40))));
  await sessions.recordActivity(db, id, { now: later(41), isUnsaved: true });
  const session = await sessions.sessionOfThread(db, owned.threadId);
  assert.deepEqual([session?.warnedAt, session?.lastActivityAt], [null, later(41)]);
  assert.deepEqual([session?.notes, session?.isSaved], [[], false]);
  await sessions.markSaved(db, id);
  const saved = await sessions.activeSession(db, owned.threadId);
  assert.deepEqual([saved?.isSaved, saved?.hasRun], [true, true]);
});

test('nobody is warned while a command waits', async () => {
  const owned = await ownedThread();
  const { id } = await open(owned);
  await commandOf(owned);
  assert.equal(await sessions.markWarned(db, id, warned(null)), false);
});

test('an extend that comes while the removal is being prepared wins', async () => {
  const owned = await ownedThread();
  await open(owned);
  const seen = await sessions.sessionOfThread(db, owned.threadId);
  assert.ok(seen);
  await sessions.extendSession(db, seen.id, later(44), null);
  assert.equal(await sessions.markRemoving(db, seen.id, { reason: 'idle', unless: seen }), false);
  const extended = await sessions.sessionOfThread(db, owned.threadId);
  assert.ok(extended);
  await sessions.extendSession(db, seen.id, later(44), later(120));
  assert.equal(await sessions.markRemoving(db, seen.id, { reason: 'idle', unless: extended }), false);
  const kept = await sessions.sessionOfThread(db, owned.threadId);
  assert.ok(kept);
  assert.deepEqual(kept.keepUntil, later(120));
  assert.equal(await sessions.markRemoving(db, seen.id, { reason: 'idle', unless: kept }), true);
  assert.equal((await sessions.activeSession(db, owned.threadId))?.state, 'removing');
  // And from here on whoever else wanted to remove it comes too late, and so does an extend.
  assert.equal(await sessions.markRemoving(db, seen.id, { reason: 'idle', unless: kept }), false);
  const failure = { error: 'its container is gone', retryAt: later(50), isStopped: true };
  assert.equal(await sessions.markSaveFailed(db, seen.id, failure), false);
  assert.equal(await sessions.extendSession(db, seen.id, later(44), null), false);
  await endSession(db, seen.id, later(130));
  assert.equal(await sessions.activeSession(db, owned.threadId), null);
});

test('a shorter extend takes nothing back', async () => {
  const owned = await ownedThread();
  const { id } = await open(owned);
  await sessions.extendSession(db, id, NOON, later(120));
  await sessions.extendSession(db, id, NOON, later(60));
  assert.deepEqual((await sessions.sessionOfThread(db, owned.threadId))?.keepUntil, later(120));
});

test('other timeouts of a repository or a user are seen with the next sweep', async () => {
  const owned = await ownedThread();
  await registerUser(db, 'john@example.com', '');
  const { id } = await open(owned);
  await sessions.checkSessionAt(db, id, later(40), NOON);
  assert.ok(await setRepository(db, 'APP', { idleTimeoutMs: 60_000, restore: 'uncommitted' }));
  const [byRepository] = await sessions.dueSessions(db, NOON, 10);
  assert.equal(byRepository?.repositoryTimeoutMs, 60_000);
  assert.equal((await listRepositories(db))[0]?.restore, 'uncommitted');

  await sessions.checkSessionAt(db, id, later(40), new Date(0));
  assert.ok(await setUser(db, 'John@example.com', { idleTimeoutMs: 7_200_000 }));
  assert.equal((await sessions.dueSessions(db, NOON, 10))[0]?.userTimeoutMs, 7_200_000);
  assert.equal((await listUsers(db))[0]?.idleTimeoutMs, 7_200_000);
  assert.equal(await setRepository(db, 'nothing', {}), false);
  assert.equal(await setUser(db, 'nobody@example.com', {}), false);
});

test('a saved state is current until it is put aside, comes back, or expires; nothing is told twice', async () => {
  const owned = await ownedThread();
  const first = await saves.ensureCurrentSave(db, owned);
  assert.equal((await saves.ensureCurrentSave(db, owned)).id, first.id);
  assert.deepEqual(await saves.listSavedStates(db), []);
  const work = {
    snapshot: 'abc',
    commit: 'def',
    branch: 'main',
    filesModified: 3,
    unpushedCommits: 1,
    leftOut: ['big.bin'],
  };
  await saves.recordSave(db, first.id, work, NOON);
  await saves.retireSave(db, first.id, { expiresAt: later(60), volumeName: 'v', endReason: 'idle' });
  const [listed] = await saves.listSavedStates(db);
  assert.deepEqual([listed?.commitHash, listed?.filesModified, listed?.leftOut], ['def', 3, ['big.bin']]);
  assert.equal((await expiring.savesWithVolumes(db, { limit: 5 })).length, 1);

  const all = { limit: 5, skip: 0 };
  const soon = { now: later(10), aheadMs: 60 * 60_000 };
  assert.equal((await expiring.savesToAnnounce(db, later(60), all)).length, 1);
  assert.deepEqual(await expiring.markAnnounced(db, first.id, soon), later(70));
  assert.equal(await expiring.markAnnounced(db, first.id, soon), null);
  assert.deepEqual(await expiring.savesToAnnounce(db, later(70), all), []);
  assert.deepEqual(await saves.keepLonger(db, owned.threadId, later(120)), later(120));
  assert.equal((await expiring.savesToAnnounce(db, later(120), all)).length, 1);

  await saves.putAside(db, first.id, { expiresAt: later(90), now: later(1) });
  assert.equal(await saves.currentSave(db, owned.threadId), null);
  const second = await saves.ensureCurrentSave(db, owned);
  assert.equal((await saves.newestAside(db, owned.threadId))?.id, first.id);
  await saves.putAside(db, second.id, { expiresAt: later(90), now: later(1) });
  await saves.bringBack(db, first.id);
  assert.equal((await saves.currentSave(db, owned.threadId))?.expiresAt, null);
  await saves.retireSave(db, first.id, { expiresAt: later(60), volumeName: 'v', endReason: 'idle' });
  assert.ok(await expiring.markAnnounced(db, first.id, { now: NOON, aheadMs: 60 * 60_000 }));
  await expiring.markExpired(db, later(60));
  assert.deepEqual(
    (await expiring.savesToClean(db, { threadId: owned.threadId, limit: 5 })).map(({ id }) => id),
    [first.id],
  );
  await expiring.markCleaned(db, first.id, later(61));
  assert.deepEqual(await expiring.savesToClean(db, { limit: 5 }), []);
  assert.equal((await saves.takeExpiredNews(db, owned.threadId, later(61)))?.id, first.id);
  assert.equal(await saves.takeExpiredNews(db, owned.threadId, later(61)), null);
});

test('a time to be looked at that was set meanwhile stays; those that are due are found in portions', async () => {
  const owned = await ownedThread();
  const { id } = await open(owned);
  const other = await open(await ownedThread('other', 'two'));
  await setRepository(db, 'app', { idleTimeoutMs: 60_000 });
  await sessions.checkSessionAt(db, id, later(40), NOON);
  const ids = async (after?: number) =>
    (await sessions.dueSessions(db, NOON, 1, after)).map((session) => session.id);
  assert.deepEqual([await ids(), await ids(id), await ids(other.id)], [[id], [other.id], []]);
});

test('what a control word is about to do stays with it', async () => {
  const owned = await ownedThread('app', '#two');
  const id = await commandOf(owned);
  await db('commands')
    .where({ id })
    .update({ control: { word: 'restore', durationMs: null } });
  await planSwap(db, id, { away: 1, target: 2 });
  assert.deepEqual((await commandById(db, id)).control, {
    word: 'restore',
    durationMs: null,
    plan: { away: 1, target: 2 },
  });
  assert.equal((await lastCommands(db, owned.threadId, 5))[0]?.isControl, true);
  const of = { address: 'john@example.com', repositoryId: owned.repositoryId };
  assert.equal((await storedThread(db, { ...of, label: '#two' }))?.id, owned.threadId);
  assert.equal(await storedThread(db, { ...of, label: '' }), null);
});

test('the states are those that the database takes, and active is what a session begins as', async () => {
  const { rows } = await db.raw<{ rows: { definition: string; column_default: string }[] }>(`
    select pg_get_constraintdef(c.oid) as definition, d.column_default
    from pg_constraint c, information_schema.columns d
    where c.conname = 'container_sessions_state_check'
      and d.table_name = 'container_sessions' and d.column_name = 'state'`);
  const [{ definition, column_default: first } = { definition: '', column_default: '' }] = rows;
  const taken = [...definition.matchAll(/'(\w+)'::text/g)].map(([, state]) => state);
  assert.deepEqual(taken.toSorted(), Object.keys(NEXT_STATES).toSorted());
  assert.match(first, /^'active'/);
});
