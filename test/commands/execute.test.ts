import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import Docker from 'dockerode';
import MailComposer from 'nodemailer/lib/mail-composer';
import { Cancellations } from '../../src/commands/cancellations.ts';
import { NO_SECRETS } from '../../src/commands/repository-secrets.ts';
import { execute, type ExecuteParts, type Tries } from '../../src/commands/execute.ts';
import { loadConfig } from '../../src/config.ts';
import { runCommand, type CommandParts } from '../../src/commands/run-command.ts';
import { commandById, queueCommand, recordAttempt } from '../../src/store/commands.ts';
import { addRepository, repositoryById } from '../../src/store/repositories.ts';
import { openSession, recordActivity } from '../../src/store/sessions.ts';
import { ensureThread } from '../../src/store/threads.ts';
import { ensureUser } from '../../src/store/users.ts';
import { ALICE } from '../support/app.ts';
import { collectedLog } from '../support/collected-log.ts';
import { startPrivateDatabase, type PrivateDatabase } from '../support/private-database.ts';

// Before a command begins, with an engine that never answers.

const THREAD = `${ALICE}-app`;
const asked = Promise.withResolvers<void>();
const engine = createServer(() => asked.resolve());

let database: PrivateDatabase;
let parts: ExecuteParts;
let commandId: number;
before(async () => {
  database = await startPrivateDatabase();
  engine.listen(0, '127.0.0.1');
  await once(engine, 'listening');
  const { db } = database;
  const user = await ensureUser(db, ALICE, '');
  const url = 'https://git.example.com/x.git';
  await addRepository(db, { name: 'app', url, branch: null, threadBy: null });
  await ensureThread(db, { id: THREAD, userId: user.id, repositoryId: 1, label: '' });
  const container = { containerId: 'a'.repeat(64), containerName: 'c', volumeName: 'v', image: 'i' };
  const of = { threadId: THREAD, userId: user.id, repositoryId: 1, network: 'internet' as const };
  const now = new Date();
  const session = await openSession(db, { ...container, ...of }, { endReason: 'lost', now });
  const later = new Date(now.getTime() + 60_000);
  await recordActivity(db, session.id, { now: later, isUnsaved: false });
  parts = {
    db,
    docker: new Docker({ host: '127.0.0.1', port: (engine.address() as AddressInfo).port }),
    config: loadConfig({}).config,
    cancellations: new Cancellations(),
    secretsOf: () => Promise.resolve(NO_SECRETS),
    workspaceLimit: { way: 'off' },
    now: () => new Date(),
    signal: new AbortController().signal,
    log: collectedLog().log,
    mayStart: () => Promise.resolve(),
    allowLists: {
      ensure: () => Promise.resolve(null),
      ensureRules: () => Promise.resolve(),
      refusedSince: () => Promise.resolve([]),
    },
  } as unknown as ExecuteParts;
});
after(async () => {
  engine.closeAllConnections();
  engine.close();
  await database.close();
});
beforeEach(async () => {
  const { db } = database;
  const attachments = [{ filename: 'data.txt', content: 'data' }];
  const raw = await new MailComposer({ from: ALICE, text: 'x', attachments }).compile().build();
  const [message] = await db('messages')
    .insert({ direction: 'in', address: ALICE, subject: '', raw, size_bytes: raw.length, state: 'handled' })
    .returning('id');
  const of = { threadId: THREAD, messageId: message.id as number };
  commandId = await queueCommand(db, { ...of, script: 'echo never', hasFiles: true });
});

const newTries = (): Tries => ({ notBegun: null, givenUp: null, hasBegun: false });

async function run(
  tries: Tries,
  mayStart: () => Promise<void> = () => Promise.resolve(),
  guard: ExecuteParts['guard'] = null,
) {
  const command = await commandById(database.db, commandId);
  return execute({ ...parts, mayStart, guard }, command, await repositoryById(database.db, 1), tries);
}

test('a cancel ends the placing of attached files, and nothing has begun', async () => {
  const tries = newTries();
  const running = run(tries);
  await asked.promise;
  parts.cancellations.request(commandId);
  assert.equal(await running, null);
  assert.deepEqual(tries, { notBegun: 1, givenUp: null, hasBegun: false });
});

test('nothing is recorded as begun before it may start; one cancelled until then never does', async () => {
  const held = Promise.withResolvers<void>();
  const isAsked = Promise.withResolvers<void>();
  const running = run(newTries(), () => {
    isAsked.resolve();
    return held.promise;
  });
  await isAsked.promise;
  const { state, attempt } = await commandById(database.db, commandId);
  assert.deepEqual({ state, attempt }, { state: 'queued', attempt: 0 });
  parts.cancellations.request(commandId);
  held.resolve();
  assert.equal(await running, null);
  assert.equal((await commandById(database.db, commandId)).attempt, 0);
});

test('network rules that went while it was held back hold it back, too', async () => {
  let isInPlace = true;
  const pause = () => Promise.resolve(void (isInPlace = false));
  const guard = {
    expectInPlace: () => {
      // Whoever asks too early ends here instead of with an engine that never answers.
      if (isInPlace) parts.cancellations.request(commandId);
      return isInPlace ? Promise.resolve() : Promise.reject(new Error('the rules have gone'));
    },
  } as NonNullable<ExecuteParts['guard']>;
  await assert.rejects(run(newTries(), pause, guard), /the rules have gone/);
  assert.equal((await commandById(database.db, commandId)).attempt, 0);
});

test('the container of before stays while the proxy of a list that came later does not serve', async () => {
  const repository = await repositoryById(database.db, 1);
  const listed = { ...repository, network: 'allow:example.com' as const };
  const waits = {
    ...parts,
    guard: null,
    mirrorsDir: '/nonexistent',
    allowLists: { ...parts.allowLists, ensure: () => Promise.reject(new Error('no proxy')) },
  };
  let requests = 0;
  engine.on('request', () => (requests += 1));
  const command = await commandById(database.db, commandId);
  await assert.rejects(execute(waits, command, listed, newTries()), /no proxy/);
  assert.equal(requests, 0);
});

test('a command whose end cannot be told, whatever is tried, ends untold', async () => {
  const { db } = database;
  await db('commands')
    .where({ id: commandId })
    .update({ control: { word: 'save', durationMs: null } });
  await recordAttempt(db, commandId, 0);
  let told = 0;
  const isUp = (): void => {};
  const story = {
    ...parts,
    states: { docker: { isUp }, database: { isUp } },
    delay: { isTold: true },
    runControl: () => Promise.reject(Object.assign(new Error('no workspace'), { code: 'WORKSPACE' })),
    tellControlFailure: () => Promise.reject(new Error(`try ${(told += 1)} cannot be stored\0`)),
  } as unknown as CommandParts;
  assert.deepEqual(await runCommand(story, commandId), { hasNewWork: false });
  assert.equal(told, 6);
  const { state, error } = await db('commands').where({ id: commandId }).first();
  assert.deepEqual(
    { state, error },
    { state: 'interrupted', error: 'its answer could not be stored: try 6 cannot be stored' },
  );
});
