import { Client } from 'pg';
import { createBell } from '../bell.ts';
import type { Log } from '../log.ts';
import type { PartState } from '../part-state.ts';
import { PATIENT, pauseMs } from '../retry.ts';
import { hangUp, KEEP_ALIVE } from './connections.ts';

/** Only the bot that holds it begins anything: reads a message, starts a command, sends, sweeps. */
export type MailboxLock = {
  isHeld: () => boolean;
  /** Resolves while it is held. @throws the signal's reason when the bot stops first */
  held: () => Promise<void>;
  close: () => Promise<void>;
};

export type MailboxLockParts = {
  databaseUrl: string;
  /** It was taken, or lost. */
  onChange: () => void;
  database: PartState;
  log: Log;
  signal: AbortSignal;
};

/** Any number the whole of Threadbox agrees on, and not that of the migrations. */
const LOCK = 7_482_332;
/** How long another bot's end may go unnoticed. */
const TRY_EVERY_MS = 1_000;
/** How long a connection may be dead before we know. */
const CHECK_EVERY_MS = 10_000;

/**
 * Keeps two bots that were started by mistake from working on one mailbox: an advisory lock of PostgreSQL, held by a
 * connection of its own, so that it ends with the process however that dies. It covers the whole database and not one
 * mailbox of it, as the queue of messages, the commands and the outbox are one. Who does not have it tries again for
 * ever; who loses it goes on only when it is back.
 */
export function takeMailboxLock(parts: MailboxLockParts): MailboxLock {
  const { log, onChange, database } = parts;
  const stopping = new AbortController();
  const signal = AbortSignal.any([parts.signal, stopping.signal]);
  const bell = createBell();
  let waiters: (() => void)[] = [];
  let isHeld = false;
  let isTold = false;
  let lastSession: Session | null = null;
  signal.addEventListener('abort', () => bell.ring(), { once: true });

  function change(held: boolean): void {
    if (isHeld === held) return;
    isHeld = held;
    if (held) for (const resolve of waiters.splice(0)) resolve();
    onChange();
  }

  async function holdOnce(): Promise<void> {
    const client = await connect(parts.databaseUrl);
    client.on('error', () => bell.ring());
    client.on('end', () => bell.ring());
    try {
      if (lastSession) await endSession(client, lastSession);
      lastSession = await ownSession(client);
      while (!signal.aborted && !(await tryLock(client))) {
        database.isUp();
        if (!isTold) log.warn('another Threadbox works on this database: this one waits until it has gone');
        isTold = true;
        await bell.wait(TRY_EVERY_MS);
      }
      database.isUp();
      if (isTold && !signal.aborted) log.info('the other Threadbox has gone: this one goes on');
      isTold = false;
      while (!signal.aborted) {
        change(true);
        await bell.wait(CHECK_EVERY_MS);
        if (!signal.aborted) await client.query('select 1');
      }
    } finally {
      change(false);
      await hangUp(client);
    }
  }

  async function run(): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      const startedAt = performance.now();
      try {
        await holdOnce();
      } catch (error) {
        if (signal.aborted) return;
        database.isDown(error as Error);
        failures = performance.now() - startedAt > PATIENT.longestMs ? 1 : failures + 1;
        await bell.wait(pauseMs(failures, PATIENT));
      }
    }
  }

  const running = run();
  return {
    isHeld: () => isHeld,
    async held() {
      signal.throwIfAborted();
      if (isHeld) return;
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const onAbort = (): void => reject(signal.reason as Error);
      signal.addEventListener('abort', onAbort, { once: true });
      waiters.push(resolve);
      try {
        await promise;
      } finally {
        signal.removeEventListener('abort', onAbort);
        waiters = waiters.filter((waiter) => waiter !== resolve);
      }
    },
    async close() {
      stopping.abort(new Error('Closed'));
      await running;
    },
  };
}

/** The same for one piece of work that no bot may meet. @returns null where a bot holds it */
export async function takeLockOnce(databaseUrl: string): Promise<{ release: () => Promise<void> } | null> {
  const client = await connect(databaseUrl);
  try {
    if (await tryLock(client)) return { release: () => hangUp(client) };
  } catch (error) {
    await hangUp(client);
    throw error;
  }
  await hangUp(client);
  return null;
}

async function connect(databaseUrl: string): Promise<Client> {
  const client = new Client({
    connectionString: databaseUrl,
    application_name: 'threadbox (mailbox lock)',
    ...KEEP_ALIVE,
    connectionTimeoutMillis: 5_000,
    query_timeout: 5_000,
  });
  // Before connect: an error that nobody listens to would end the process.
  client.on('error', () => {});
  try {
    await client.connect();
    // A machine that is gone must not keep the lock for the hours that TCP allows it.
    await client.query(
      'set tcp_keepalives_idle = 10; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3',
    );
    return client;
  } catch (error) {
    await hangUp(client);
    throw error;
  }
}

/** One connection as the server knows it: process ids come again. */
type Session = { pid: number; startedAt: string };

async function ownSession(client: Client): Promise<Session | null> {
  const { rows } = await client.query<Session>(
    `select pid, backend_start::text as "startedAt" from pg_stat_activity where pid = pg_backend_pid()`,
  );
  return rows[0] ?? null;
}

/** What was cut off on our side may go on holding the lock on the server's. */
async function endSession(client: Client, { pid, startedAt }: Session): Promise<void> {
  await client.query(
    'select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and backend_start::text = $2',
    [pid, startedAt],
  );
}

async function tryLock(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ isOurs: boolean }>('select pg_try_advisory_lock($1) as "isOurs"', [
    LOCK,
  ]);
  return rows[0]?.isOurs ?? false;
}
