import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { Cancellations } from '../../src/commands/cancellations.ts';
import { NO_SECRETS } from '../../src/commands/repository-secrets.ts';
import { endForbidden } from '../../src/commands/end-forbidden.ts';
import type { Taken } from '../../src/commands/settle.ts';
import type { Intake } from '../../src/commands/judge.ts';
import { takeMessage } from '../../src/commands/take-message.ts';
import { DiskRoom, hasNoDiskRoom, untilDiskRoom } from '../../src/commands/until-disk-room.ts';
import { untilResumed } from '../../src/commands/until-resumed.ts';
import { loadConfig } from '../../src/config.ts';
import { cancel } from '../../src/lifecycle/cancel.ts';
import type { LifecycleParts } from '../../src/lifecycle/parts.ts';
import { parseMessage } from '../../src/mail/parse.ts';
import { composeUserMail } from '../../src/mail/user-mail.ts';
import { commandById, endCommand, queueCommand } from '../../src/store/commands.ts';
import { nextReceived, recordIncoming } from '../../src/store/messages.ts';
import { endPause, startPause } from '../../src/store/pause.ts';
import { denyRepository } from '../../src/store/permissions.ts';
import { addRepository, repositoryById } from '../../src/store/repositories.ts';
import { shareQueries } from '../../src/store/shared-queries.ts';
import { registerUser, unregisterUser } from '../../src/store/users.ts';
import { ALICE } from '../support/app.ts';
import { collectedLog } from '../support/collected-log.ts';
import { until } from '../support/until.ts';
import { HourlyCaps } from '../../src/store/hourly.ts';
import { startPrivateDatabase, type PrivateDatabase } from '../support/private-database.ts';

// The way of a message and of a waiting command as far as the database alone decides it.

const GUEST = 'guest@elsewhere.test';
const MANY = { perSender: 100, perThread: 100, overall: 100, writtenPerAddress: 100 };

let database: PrivateDatabase;
let intake: Intake;
let lastUid = 0;
before(async () => {
  database = await startPrivateDatabase();
  const { db } = database;
  const { config } = loadConfig({ ALLOWED_SENDERS: '*@example.com' });
  intake = {
    db,
    queries: shareQueries(db),
    config: { ...config, threadBy: 'subject' },
    hourlyCaps: new HourlyCaps(database.db, MANY),
    maxMessageBytes: 1_000_000,
    now: () => new Date(),
    log: collectedLog().log,
    checkSender: () =>
      Promise.resolve({ kind: 'verified', how: 'not at all', signatureIds: [], hasLooseCc: false }),
    noteBounce: () => Promise.reject(new Error('no bounce is meant here')),
    secretsOf: () => Promise.resolve(NO_SECRETS),
    answerControl: ({ threadId }) =>
      cancel({ db, cancellations: new Cancellations() } as LifecycleParts, threadId, false),
  };
  for (const name of ['web', 'web-api']) {
    await addRepository(db, { name, url: 'https://git.example.com/x.git', branch: null, threadBy: null });
  }
});
after(() => database.close());
beforeEach(async () => {
  await database.db.raw('truncate messages, commands, outbox, told_notices, threads cascade');
});

async function take(subject: string, body: string, from = ALICE): Promise<Taken> {
  const { raw } = await composeUserMail({ from, to: intake.config.botAddress, subject, body });
  lastUid += 1;
  const mail = { uid: lastUid, uidValidity: 1, raw, sizeBytes: raw.length, isTruncated: false };
  const receivedAt = new Date();
  await recordIncoming(database.db, 'box', [{ ...mail, receivedAt }], { uidValidity: 1, lastUid });
  const [received] = await nextReceived(database.db, 0, { count: 1, bytes: 0 });
  assert.ok(received);
  return takeMessage(intake, { received, message: await parseMessage(received.raw) });
}

function commandOf(taken: Taken): number {
  assert.equal(taken.kind, 'command', JSON.stringify(taken));
  return taken.commandId;
}

/** The texts of all mails so far, the oldest first. */
async function mails(): Promise<string[]> {
  const raws = await database.db('messages').where({ direction: 'out' }).orderBy('id').pluck<Buffer[]>('raw');
  return Promise.all(raws.map(async (raw) => (await parseMessage(raw)).text ?? ''));
}

test('caps and the guard against echoes know a thread whose id somebody else had first', async () => {
  const { db } = database;
  const first = await take('[web] api x', 'echo first');
  const second = await take('[web-api] x', 'hello there');
  const id = commandOf(second);
  const { threadId } = await commandById(db, id);
  assert.match(threadId, /^alice@example\.com-web-api-x-[0-9a-f]{8}$/);
  assert.equal((first as { threadId?: string }).threadId, 'alice@example.com-web-api-x');
  await endCommand(db, id, { state: 'finished', exitCode: 127 });
  assert.notEqual((await take('[web-api] x', 'hello there')).kind, 'command');
  intake = { ...intake, hourlyCaps: new HourlyCaps(database.db, { ...MANY, perThread: 1 }) };
  const dropped = await take('[web-api] x', 'echo more');
  intake = { ...intake, hourlyCaps: new HourlyCaps(database.db, MANY) };
  assert.deepEqual(dropped, {
    kind: 'dropped',
    reason: 'more than 1 mails of one thread in one hour',
    isTold: true,
  });
});

test('each cap is told for itself, once until the time at which there is room again', async () => {
  const { db } = database;
  const over = async (caps: Partial<typeof MANY>, subject = '[web] api'): Promise<boolean> => {
    intake = { ...intake, hourlyCaps: new HourlyCaps(database.db, { ...MANY, ...caps }) };
    const taken = await take(subject, `echo ${lastUid}`);
    intake = { ...intake, hourlyCaps: new HourlyCaps(database.db, MANY) };
    assert.equal(taken.kind, 'dropped', JSON.stringify(taken));
    return (taken as { isTold?: boolean }).isTold ?? false;
  };
  for (const subject of ['[web] api', '[web] other']) await take(subject, 'echo first');
  assert.equal(await over({ perThread: 1 }), true);
  assert.equal(await over({ perThread: 1 }), false);
  assert.equal(await over({ perThread: 1 }, '[web] other'), true, 'another thread');
  assert.equal(await over({ perSender: 1 }), true);
  assert.equal(await over({ overall: 1 }), true);
  assert.equal(await over({ overall: 1, perSender: 1 }), false);
  await db('told_notices').update({ holds_until: new Date(Date.now() - 1_000) });
  assert.equal(await over({ perThread: 1 }), true, 'after the time that was promised');
  assert.equal((await mails()).length, 5);
});

test('a command that waits does not start when its sender may not run it any more', async () => {
  const { db } = database;
  await registerUser(db, GUEST, '');
  const words: string[] = [];
  const parts = {
    ...intake,
    wakeOutbox: () => undefined,
    tellControlFailure: (_: unknown, error: Error) => Promise.resolve(void words.push(error.message)),
  };
  const look = async (id: number) => {
    const command = await commandById(db, id);
    return endForbidden(parts, command, await repositoryById(db, command.repositoryId));
  };
  const stateOf = (id: number) => db('commands').first('state', 'error').where({ id });
  const first = await take('[web] api', 'echo first', GUEST);
  const ids = [commandOf(first), commandOf(await take('[web] api', 'echo second', GUEST))];
  const threadId = (first as { threadId?: string }).threadId ?? '';
  const queueWord = async (word: 'stop' | 'fresh') => {
    const [message] = await db('messages')
      .insert({
        direction: 'in',
        address: GUEST,
        subject: '',
        raw: Buffer.alloc(0),
        size_bytes: 0,
        state: 'handled',
      })
      .returning('id');
    const control = { word, durationMs: null };
    return queueCommand(db, { threadId, messageId: message.id, script: word, control });
  };
  const [stop, fresh] = [await queueWord('stop'), await queueWord('fresh')];
  assert.equal(await look(ids[0] ?? 0), false);

  await denyRepository(db, GUEST, 'web');
  assert.equal(await look(ids[0] ?? 0), true);
  assert.equal((await stateOf(ids[0] ?? 0)).state, 'failed');
  const told = await mails();
  assert.equal(told.length, 1);
  assert.match(told[0] ?? '', /^Could not run this command\n[^]*You may not use web any more: whoever runs/);
  assert.equal(await look(stop), false);
  assert.equal(await look(fresh), true);
  assert.match(words.join('\n'), /^You may not use web any more: /);
  // One that has begun is followed to its end.
  await db('commands').where({ id: ids[1] }).update({ state: 'running' });
  assert.equal(await look(ids[1] ?? 0), false);

  await db('commands').where({ id: ids[1] }).update({ state: 'queued' });
  await unregisterUser(db, GUEST);
  for (const id of [ids[1] ?? 0, stop]) {
    assert.equal(await look(id), true);
    assert.deepEqual(await stateOf(id), { state: 'failed', error: 'the sender is not allowed any more' });
  }
  assert.equal((await mails()).length, 1, 'who is not allowed gets no mail');
});

test('a pause holds what never began, after a restart too; what is to be cancelled is let through', async () => {
  const { db } = database;
  const parts = {
    ...intake,
    wakeOutbox: () => undefined,
    states: { database: { isUp: () => undefined, isDown: () => undefined } },
    signal: new AbortController().signal,
  };
  const id = commandOf(await take('[web] api', 'echo held'));
  await db('commands').where({ id }).update({ state: 'running', attempt: 1 });
  assert.equal(await untilResumed(parts, id, ['queued']), true, 'no pause');
  await startPause(db, '');
  assert.equal(await untilResumed(parts, id, ['queued']), false, 'it may be running all the while');
  let isThrough: boolean | null = null;
  const waiting = untilResumed(parts, id, ['queued', 'running']).then((through) => (isThrough = through));
  await until(async () => (await mails()).length === 1);
  assert.equal(isThrough, null);
  await endPause(db);
  assert.equal(await waiting, true);
  await startPause(db, '');
  await db('commands').where({ id }).update({ cancel_requested_at: new Date() });
  assert.equal(await untilResumed(parts, id, ['queued', 'running']), false);
  await endPause(db);
});

test('without room on the disk what never began is held, which is said; and a control word or what is to be cancelled is not', async () => {
  const { db } = database;
  // Nothing is free there; below, much is.
  const workspaceLimit = { way: 'image' as const, imagesDir: '/proc' };
  const parts = {
    ...intake,
    workspaceLimit,
    wakeOutbox: () => undefined,
    states: { database: { isUp: () => undefined, isDown: () => undefined } },
    signal: new AbortController().signal,
  };
  const id = commandOf(await take('[web] api', 'echo held'));
  const of = { room: new DiskRoom(), commandId: id, delay: { isTold: false } };
  assert.equal(await hasNoDiskRoom(parts, of, ['queued']), true);
  assert.equal(await hasNoDiskRoom(parts, of, ['running']), false);
  const waiting = untilDiskRoom(parts, of, ['queued']);
  await until(async () => (await mails()).length === 1);
  assert.equal(of.delay.isTold, true);
  workspaceLimit.imagesDir = import.meta.dirname;
  assert.equal(await waiting, true, 'hours may have gone by');
  assert.equal(await untilDiskRoom(parts, of, ['queued']), false);
  workspaceLimit.imagesDir = '/proc';
  await db('commands').where({ id }).update({ cancel_requested_at: new Date() });
  assert.equal(await untilDiskRoom(parts, of, ['queued']), false);
  const stop = { cancel_requested_at: null, control: JSON.stringify({ word: 'stop', durationMs: null }) };
  await db('commands').where({ id }).update(stop);
  assert.equal(await hasNoDiskRoom(parts, of, ['queued']), false);
});

test('who may not use a repository any more can still cancel what runs there, and nothing else', async () => {
  const { db } = database;
  await registerUser(db, ALICE, '');
  const id = commandOf(await take('[web] api', 'sleep 1000'));
  await denyRepository(db, ALICE, 'web');
  assert.deepEqual(await take('[web] api', 'echo more'), {
    kind: 'answered',
    reason: 'unknown-repository',
  });
  assert.deepEqual(await take('[web] api', 'fresh'), { kind: 'answered', reason: 'unknown-repository' });
  assert.deepEqual(await take('[web] api', 'cancel'), { kind: 'answered', reason: 'cancel' });
  assert.equal((await commandById(db, id)).state, 'cancelled');
  assert.deepEqual(await take('[web] api', 'cancel'), { kind: 'answered', reason: 'unknown-repository' });
});
