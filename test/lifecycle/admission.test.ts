import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { pino } from 'pino';
import { ThreadQueues } from '../../src/commands/queues.ts';
import { startEmbedded, type Embedded } from '../../src/embedded/embedded.ts';
import { Admission, type WaitingFor } from '../../src/lifecycle/admission.ts';
import { LifecycleEvents } from '../../src/lifecycle/events.ts';
import type { LifecycleParts } from '../../src/lifecycle/parts.ts';
import { migrate, openDatabase, type Db } from '../../src/store/database.ts';
import { addRepository, listRepositories } from '../../src/store/repositories.ts';
import { endSession } from '../../src/store/session-ends.ts';
import { openSession } from '../../src/store/sessions.ts';
import type { SharedState } from '../../src/store/shared-state.ts';
import { ensureThread } from '../../src/store/threads.ts';
import { ensureUser } from '../../src/store/users.ts';
import { until } from '../support/until.ts';

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

/** @param memoryBytes of the host */
function startAdmission(t: TestContext, config: object, memoryBytes = 0) {
  const stopping = new AbortController();
  t.after(() => stopping.abort());
  const queues = new ThreadQueues(4);
  const part = { isUp() {}, isDown() {} };
  const admission = new Admission({
    db,
    queues,
    events: new LifecycleEvents({ publish() {} } as unknown as SharedState),
    docker: { info: () => Promise.resolve({ MemTotal: memoryBytes, DockerRootDir: '/' }) },
    log,
    signal: stopping.signal,
    states: { docker: part, database: part },
    config,
  } as unknown as LifecycleParts);
  return { queues, admission };
}

const onDelay = (): Promise<void> => Promise.resolve();

test('a newcomer whose victim has become busy waits, is told, and holds up nobody: not even that victim', async (t) => {
  const { queues, admission } = startAdmission(t, { containerMaxPerUser: 1, hostMaxContainers: 2 });
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
  const asks = (userId: number, onWait: OnWait = () => Promise.resolve()) => ({ userId, onWait, onDelay });
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
});

test('where HOST_MAX_CONTAINERS is not set the memory of the host says how many there may be', async (t) => {
  const { admission } = startAdmission(
    t,
    { containerMaxPerUser: 9, hostMaxContainers: null },
    5.5 * 1024 ** 3,
  );
  const john = await threadOf('john@example.com');
  const newcomer = (label: string) => {
    const told = Promise.withResolvers<WaitingFor>();
    const onWait = (waiting: WaitingFor) => Promise.resolve(told.resolve(waiting));
    const admitted = admission.admit(label, () => Promise.resolve({ userId: john.userId, onWait, onDelay }));
    return { admitted, told: told.promise };
  };
  for (const label of ['one', 'two', 'three', 'four', 'five']) await newcomer(label).admitted;
  const sixth = newcomer('six');
  assert.deepEqual(await sixth.told, { limit: 'host', maximum: 5 });
  admission.release('one');
  await sixth.admitted;
});

test('a container that only the absence of Docker has kept makes room as soon as Docker is back', async (t) => {
  const queues = new ThreadQueues(4);
  const stopping = new AbortController();
  t.after(() => stopping.abort());
  const part = { isUp() {}, isDown() {} };
  let isAway = true;
  let tries = 0;
  const away = () => Promise.reject(new Error('connect ECONNREFUSED'));
  const docker = {
    ping: () => (isAway ? away() : Promise.resolve()),
    getContainer: () => ({
      inspect() {
        tries += 1;
        return isAway ? away() : new Promise(() => {});
      },
    }),
  };
  const admission = new Admission({
    db,
    docker,
    queues,
    events: new LifecycleEvents({ publish() {} } as unknown as SharedState),
    log,
    signal: stopping.signal,
    now: () => new Date(),
    wakeOutbox() {},
    states: { docker: part, database: part },
    config: { containerMaxPerUser: 1, hostMaxContainers: 5 },
  } as unknown as LifecycleParts);
  const ann = await threadOf('ann@example.com');
  await openSession(
    db,
    { ...ann, containerId: 'a', containerName: 'a', volumeName: 'a', image: 'i' },
    { endReason: '', now: new Date() },
  );
  const newcomer = admission.admit('next', () =>
    Promise.resolve({ userId: ann.userId, onWait: () => Promise.resolve(), onDelay }),
  );
  newcomer.catch(() => undefined);
  await until(() => tries === 1);
  await until(async () => {
    admission.lookAgain();
    return (await db('container_sessions').where({ thread_id: ann.threadId }).first()).save_failures === 1;
  });
  admission.lookAgain();
  assert.equal(tries, 1);
  isAway = false;
  await until(() => {
    admission.lookAgain();
    return tries === 2;
  });
});
