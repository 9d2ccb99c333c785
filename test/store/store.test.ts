import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { recordCancel } from '../../src/store/cancelling.ts';
import {
  commandById,
  endCommand,
  listOpenCommands,
  openCommandsOfThread,
  queueCommand,
  recordAttempt,
  recordToldRunning,
} from '../../src/store/commands.ts';
import type { Db } from '../../src/store/database.ts';
import * as messages from '../../src/store/messages.ts';
import { dueMails, markForRetry, markSent, queueAnswer } from '../../src/store/outbox.ts';
import { addRepository, listRepositories, removeRepository } from '../../src/store/repositories.ts';
import { activeSession, openSession } from '../../src/store/sessions.ts';
import { startPrivateDatabase, type PrivateDatabase } from '../support/private-database.ts';
import { mail, received, threadOf } from './sample-rows.ts';

let database: PrivateDatabase;
let db: Db;

before(async () => {
  database = await startPrivateDatabase();
  ({ db } = database);
});
after(() => database.close());
beforeEach(() => db.raw('truncate users, repositories, mailboxes, messages restart identity cascade'));

test('a message is recorded once, with how far the mailbox is read', async () => {
  const [one, two, three] = [mail(1), mail(2), mail(3)];
  assert.equal(await messages.readCursor(db, 'box'), null);
  await messages.recordIncoming(db, 'box', [one, two], { uidValidity: 7, lastUid: 2 });
  await messages.recordIncoming(db, 'box', [two, three], { uidValidity: 7, lastUid: 3 });
  const seen: string[][] = [];
  for (let afterId = 0; ;) {
    const portion = await messages.nextReceived(db, afterId, { count: 2, bytes: 100 });
    const last = portion.at(-1);
    if (!last) break;
    seen.push(portion.map(({ raw }) => raw.toString()));
    afterId = last.id;
  }
  assert.deepEqual(seen, [['mail 1', 'mail 2'], ['mail 3']]);
  const within = async (bytes: number) =>
    (await messages.nextReceived(db, 0, { count: 10, bytes })).map(({ raw }) => raw.toString());
  assert.deepEqual(await within(17), ['mail 1', 'mail 2']);
  assert.deepEqual(await within(18), ['mail 1', 'mail 2', 'mail 3']);
  assert.deepEqual(await within(5), ['mail 1'], 'one in any case');
  assert.equal((await messages.readCursor(db, 'box'))?.lastUid, 3);
  // One that takes its place: when it was read last is known, and nothing else.
  const other = await messages.readCursor(db, 'other');
  assert.deepEqual([other?.uidValidity, other?.lastUid], [0, 0]);
  assert.ok(other && other.movedAt <= new Date());
});

test('two senders never share a thread, even when their ids would be the same', async () => {
  const first = await threadOf(db, 'john@example.com-x', 'app');
  const second = await threadOf(db, 'john@example.com', 'x-app');
  assert.equal(first.id, 'john@example.com-x-app');
  assert.match(second.id, /^john@example\.com-x-app-[0-9a-f]{8}$/);
  assert.equal((await threadOf(db, 'john@example.com', 'x-app')).id, second.id);
});

test('another mail under a known UID, as after a backup was put back, is recorded', async () => {
  const cursor = { uidValidity: 7, lastUid: 1 };
  await messages.recordIncoming(db, 'box', [{ ...mail(1), receivedAt: new Date(1_000) }], cursor);
  await messages.recordIncoming(db, 'box', [{ ...mail(1, 'new'), receivedAt: new Date(2_000) }], cursor);
  assert.equal((await db('messages').select()).length, 2);
});

test('commands are listed in the order of their arrival until they end, with the number of their attempt', async () => {
  const thread = await threadOf(db, 'john@example.com', 'app');
  const first = await queueCommand(db, {
    threadId: thread.id,
    messageId: await received(db, 1),
    script: 'one',
  });
  const second = await queueCommand(db, {
    threadId: thread.id,
    messageId: await received(db, 2),
    script: 'two',
  });
  assert.equal(await recordAttempt(db, first, 0), 1);
  assert.equal(await recordAttempt(db, first, 1), 2);
  await assert.rejects(recordAttempt(db, first, 1), { code: 'COMMAND_TAKEN' });
  const open = (await listOpenCommands(db)).map(({ id }) => commandById(db, id));
  assert.deepEqual(
    (await Promise.all(open)).map(({ id, state, attempt, userAddress }) => ({
      id,
      state,
      attempt,
      userAddress,
    })),
    [
      { id: first, state: 'running', attempt: 2, userAddress: 'john@example.com' },
      { id: second, state: 'queued', attempt: 0, userAddress: 'john@example.com' },
    ],
  );
  await endCommand(db, first, { state: 'finished', exitCode: 0 });
  await assert.rejects(endCommand(db, first, { state: 'failed' }), { code: 'COMMAND_TAKEN' });
  assert.deepEqual(
    (await listOpenCommands(db)).map(({ id }) => id),
    [second],
  );
});

test('of what waits in a thread no more is read than is told of it, however long the scripts are', async () => {
  const { id: threadId } = await threadOf(db, 'long@example.com', 'web');
  const script = `echo first\n${'x'.repeat(1_000_000)}\n`;
  const ids: number[] = [];
  for (const uid of [901, 902]) {
    ids.push(await queueCommand(db, { threadId, messageId: await received(db, uid), script }));
  }
  const [running = 0, waiting = 0] = ids;
  await recordAttempt(db, running, 0);
  const open = await openCommandsOfThread(db, threadId);
  // What it writes is masked by what stands in it.
  assert.equal(open.find(({ id }) => id === running)?.script, script);
  assert.equal(open.find(({ id }) => id === waiting)?.script, script.slice(0, 8_000));
  const listed = (await listOpenCommands(db)).filter((one) => one.threadId === threadId);
  assert.deepEqual(listed, [
    { id: running, threadId, cancelRequestedAt: null },
    { id: waiting, threadId, cancelRequestedAt: null },
  ]);
});

test('a cancel is recorded for all it is about, or for nothing when one has begun or ended meanwhile', async () => {
  const { id: threadId } = await threadOf(db, 'john@example.com', 'app');
  const ids: number[] = [];
  for (const uid of [1, 2, 3])
    ids.push(await queueCommand(db, { threadId, messageId: await received(db, uid), script: 'x' }));
  const [first = 0, second = 0, third = 0] = ids;
  await recordAttempt(db, first, 0);
  const states = () => db('commands').orderBy('id').pluck('state');
  for (const outdated of [
    { running: [second], queued: [third] },
    { running: [first], queued: [third, first] },
    { running: [first, 999], queued: [] },
  ]) {
    assert.equal(await recordCancel(db, outdated), false);
    assert.deepEqual(await states(), ['running', 'queued', 'queued']);
  }
  assert.equal((await commandById(db, first)).cancelRequestedAt, null);
  assert.equal(await recordCancel(db, { running: [first], queued: [third] }), true);
  assert.deepEqual(await states(), ['running', 'queued', 'cancelled']);
  assert.ok((await commandById(db, first)).cancelRequestedAt);
  await assert.rejects(recordAttempt(db, third, 0), { code: 'COMMAND_TAKEN' });
  const told = { id: first, toldRunningMs: 0 };
  assert.deepEqual(
    [await recordToldRunning(db, told, 60_000), await recordToldRunning(db, told, 60_000)],
    [true, false],
  );
  await endCommand(db, first, { state: 'cancelled' });
  assert.equal(await recordToldRunning(db, { id: first, toldRunningMs: 60_000 }, 300_000), false);
});

test('a thread has one active session at the most, and the guide can ask for it in SQL', async () => {
  const thread = await threadOf(db, 'john@example.com', 'app');
  const session = {
    containerName: 'ai-dev-x',
    volumeName: 'ai-dev-x-workspace',
    image: 'image',
    threadId: thread.id,
    userId: thread.userId,
    repositoryId: thread.repositoryId,
  };
  const over = { endReason: 'gone', now: new Date() };
  await openSession(db, { ...session, containerId: 'a' }, over);
  await openSession(db, { ...session, containerId: 'b' }, over);
  assert.equal((await activeSession(db, thread.id))?.containerId, 'b');
  assert.equal((await db.raw('SELECT * FROM container_sessions WHERE is_active = true')).rowCount, 1);
  const idle = `SELECT * FROM container_sessions
    WHERE last_activity_at < NOW() - INTERVAL '30 minutes' AND is_active = true`;
  assert.equal((await db.raw(idle)).rowCount, 0);
  const history = 'SELECT * FROM container_sessions WHERE user_id = ? ORDER BY created_at DESC';
  assert.equal((await db.raw(history, [thread.userId])).rowCount, 2);
});

test('an answer is due until it is sent, and later when it was put off', async () => {
  const answer = {
    raw: Buffer.from('raw'),
    messageId: '<a@threadbox.test>',
    from: 'bot@threadbox.test',
    to: 'john@example.com',
    subject: 'Re: x',
    subjectKey: 'x',
    threadId: null,
    inReplyToMessage: await received(db, 1),
  };
  await queueAnswer(db, answer);
  await queueAnswer(db, { ...answer, messageId: '<b@threadbox.test>' });
  const [first, second] = await dueMails(db, 10);
  assert.ok(first && second);
  assert.deepEqual([first.to, first.raw.toString(), first.attempts], [['john@example.com'], 'raw', 0]);
  await markSent(db, first.id, { makesCopy: false });
  await markForRetry(db, second.id, 'busy', 60_000);
  assert.deepEqual(await dueMails(db, 10), []);
  // Stored while the clock was ahead of the time: no pause is that long.
  await markForRetry(db, second.id, 'busy', 7_200_000);
  assert.equal((await dueMails(db, 10)).length, 1);
  const ahead = db.raw("now() + interval '30 minutes'");
  await db('outbox').where({ id: second.id }).update({ attempts: 0, next_attempt_at: ahead });
  assert.equal((await dueMails(db, 10)).length, 1);
  await db('outbox').where({ id: second.id }).update({ attempts: 1 });
  assert.deepEqual(await dueMails(db, 10), []);
  await markForRetry(db, second.id, 'busy', -1);
  // Its age is its own, whenever it is due.
  const hourMs = 3_600_000;
  await db('outbox')
    .where({ id: second.id })
    .update({ created_at: db.raw("now() - interval '49 hours'") });
  const [late] = await dueMails(db, 10);
  assert.deepEqual([late?.attempts, Math.floor((late?.ageMs ?? 0) / hourMs)], [2, 49]);
});

test('a repository that was removed comes back with its threads; its name is taken whatever the case', async () => {
  const thread = await threadOf(db, 'john@example.com', 'app');
  const again = { name: 'App', url: 'https://git.example.com/new.git', branch: 'dev', threadBy: null };
  assert.equal(await addRepository(db, again), 'exists');
  assert.equal(await removeRepository(db, 'APP'), true);
  assert.equal(await removeRepository(db, 'app'), false);
  assert.equal(await addRepository(db, again), 'added');
  const [repository] = await listRepositories(db);
  assert.deepEqual([repository?.id, repository?.branch], [thread.repositoryId, 'dev']);
});
