import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pino } from 'pino';
import { ThreadQueues } from '../../src/commands/queues.ts';
import { startEmbedded, type Embedded } from '../../src/embedded/embedded.ts';
import { Admission, type WaitingFor } from '../../src/lifecycle/admission.ts';
import { LifecycleEvents } from '../../src/lifecycle/events.ts';
import type { LifecycleParts } from '../../src/lifecycle/parts.ts';
import { migrate, openDatabase, type Db } from '../../src/store/database.ts';
import { addRepository, listRepositories } from '../../src/store/repositories.ts';
import { endSession } from '../../src/store/end-session.ts';
import { openSession } from '../../src/store/sessions.ts';
import type { SharedState } from '../../src/store/shared-state.ts';
import { ensureThread } from '../../src/store/threads.ts';
import { ensureUser } from '../../src/store/users.ts';

const log = pino({ level: 'silent' });
let dataDir: string;
let embedded: Embedded;
let db: Db;
before(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'threadbox-admission-'));
  embedded = await startEmbedded({ dataDir, want: { postgres: true, redis: false, mail: false }, log });
  db = openDatabase(embedded.databaseUrl as string);
  await migrate(db);
});
after(async () => {
  await db.destroy();
  await embedded.close();
  await rm(dataDir, { recursive: true, force: true });
});

async function threadOf(
  address: string,
): Promise<{ threadId: string; userId: number; repositoryId: number }> {
  const { id: userId } = await ensureUser(db, address, '');
  await addRepository(db, {
    name: 'app',
    url: 'https://git.example.com/x.git',
    branch: null,
    threadBy: null,
  });
  const repositoryId = (await listRepositories(db))[0]?.id as number;
  const { id } = await ensureThread(db, { id: `${address}-app`, userId, repositoryId, label: '' });
  return { threadId: id, userId, repositoryId };
}

test('a newcomer whose victim has become busy waits, is told, and holds up nobody: not even that victim', async () => {
  const queues = new ThreadQueues(4);
  const stopping = new AbortController();
  const part = { isUp() {}, isDown() {} };
  const events = new LifecycleEvents({ publish() {} } as unknown as SharedState);
  const admission = new Admission({
    db,
    queues,
    events,
    log,
    signal: stopping.signal,
    states: { docker: part, database: part },
    config: { containerMaxPerUser: 1, hostMaxContainers: 2 },
  } as unknown as LifecycleParts);
  const john = await threadOf('john@example.com');
  const mary = await threadOf('mary@example.com');
  const now = new Date();
  const { id } = await openSession(
    db,
    { ...john, containerId: 'c', containerName: 'n', volumeName: 'v', image: 'i' },
    { endReason: '', now },
  );

  // The mail has just come: it is in the queue, and what the newcomer knows of the thread is older.
  const gate = Promise.withResolvers<void>();
  const ran = Promise.withResolvers<void>();
  type OnWait = (waiting: WaitingFor) => Promise<void>;
  const asks = (userId: number, onWait: OnWait = () => Promise.resolve()) => ({ userId, onWait });
  const busy = {
    prepare: async () => {
      await gate.promise;
      await admission.admit(john.threadId, () => Promise.resolve(asks(john.userId)));
    },
    run: () => Promise.resolve(ran.resolve()),
  };
  queues.add(john.threadId, busy, (error) => ran.reject(error));
  const told = Promise.withResolvers<WaitingFor>();
  const onWait = (waiting: WaitingFor) => Promise.resolve(told.resolve(waiting));
  const newcomer = admission.admit('late', () => Promise.resolve(asks(john.userId, onWait)));
  await admission.admit(mary.threadId, () => Promise.resolve(asks(mary.userId)));
  assert.deepEqual(await told.promise, { limit: 'user', maximum: 1 });
  gate.resolve();
  await ran.promise;

  await endSession(db, id, now);
  admission.lookAgain();
  await newcomer;
  stopping.abort();
});
