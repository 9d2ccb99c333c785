import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { takeLock, type Lock } from '../lock.ts';
import type { Log } from '../log.ts';
import { recall, remember } from './access.ts';
import { startMailServer, type EmbeddedMail } from './mail-server.ts';
import { startPostgres } from './postgres.ts';
import { startRedis } from './redis.ts';
import { isForbidden, notOurs } from './run-as.ts';

export type { EmbeddedMail } from './mail-server.ts';

/** What is left out was not wanted. */
export type EmbeddedAddresses = { databaseUrl?: string; redisUrl?: string; mail?: EmbeddedMail };

export type Embedded = EmbeddedAddresses & { close: () => Promise<void> };

/** What `dataDir/running.json` says while a bot runs. */
type Running = { pid: number; addresses: EmbeddedAddresses };

/** A command that only wants to look something up has ended by then. */
const WAIT_FOR_COMMAND_MS = 60_000;
const WAIT_FOR_START_MS = 60_000;

/**
 * Starts the wanted parts with their data below `dataDir`, and takes the directory for itself, also where nothing is
 * wanted. They listen on 127.0.0.1 only, and end with `close` or with this process.
 *
 * @param role a `bot` lets others in this directory use its parts; a `command` is done soon, and is waited for
 * @throws Error with code DATA_DIR_BUSY when somebody else works in this directory, or NOT_OURS when it is another user's
 */
export async function startEmbedded({
  dataDir,
  want,
  log,
  role = 'bot',
}: {
  dataDir: string;
  want: { postgres: boolean; redis: boolean; mail: boolean };
  log: Log;
  role?: 'bot' | 'command';
}): Promise<Embedded> {
  const dir = resolve(dataDir);
  try {
    await mkdir(dir, { recursive: true, mode: 0o711 });
    await writeFile(lockFile(dir), '', { flag: 'a', mode: 0o600 });
  } catch (error) {
    throw isForbidden(error) ? notOurs(dir, error) : error;
  }
  const lock = await takeDir(dir, log);
  const closers = new AsyncDisposableStack();
  closers.defer(() => lock.release());
  // Only now that nobody else can be meant by it.
  await rm(runningFile(dir), { force: true });
  const addresses: EmbeddedAddresses = {};
  const starts = [
    want.postgres &&
      startPostgres({ dir: join(dir, 'postgres'), log }).then((part) => {
        addresses.databaseUrl = part.url;
        return part;
      }),
    want.redis &&
      startRedis({ dir: join(dir, 'redis'), log }).then((part) => {
        addresses.redisUrl = part.url;
        return part;
      }),
    want.mail &&
      startMailServer({ dir: join(dir, 'mail'), log }).then((part) => {
        addresses.mail = part.mail;
        return part;
      }),
  ].filter((start) => start !== false);
  const started = await Promise.allSettled(starts);
  for (const start of started) if (start.status === 'fulfilled') closers.defer(() => start.value.close());
  const failed = started.find((start) => start.status === 'rejected');
  if (failed) {
    await closers.disposeAsync();
    throw failed.reason;
  }
  if (role === 'bot') {
    await remember(runningFile(dir), { pid: process.pid, addresses } satisfies Running);
    closers.defer(() => rm(runningFile(dir), { force: true }));
  }
  return { ...addresses, close: () => closers.disposeAsync() };
}

/** How to reach the parts of the bot that runs on `dataDir`, or null where none does. Waits for one that is starting. */
export async function connectEmbedded(dataDir: string): Promise<EmbeddedAddresses | null> {
  const dir = resolve(dataDir);
  const deadlineAt = performance.now() + WAIT_FOR_START_MS;
  for (;;) {
    if (!(await isTaken(dir))) return null;
    const running = await recall<Running>(runningFile(dir));
    if (running) return running.addresses;
    if (performance.now() > deadlineAt) return null;
    await pause(50);
  }
}

const runningFile = (dir: string): string => join(dir, 'running.json');
const lockFile = (dir: string): string => join(dir, 'lock');

async function takeDir(dir: string, log: Log): Promise<Lock> {
  const soon = await takeLock(lockFile(dir), { kind: 'exclusive', waitMs: 1_000 });
  if (soon) return soon;
  const running = await recall<Running>(runningFile(dir));
  if (!running) {
    log.info({ dataDir: dir }, 'waiting for another threadbox command to be done with the data directory');
    const later = await takeLock(lockFile(dir), { kind: 'exclusive', waitMs: WAIT_FOR_COMMAND_MS });
    if (later) return later;
  }
  throw Object.assign(
    new Error(
      `Another Threadbox${running ? ` (process ${running.pid})` : ''} runs on the data directory ${dir}. ` +
        'Stop it first, or give this one a directory of its own (DATA_DIR).',
    ),
    { code: 'DATA_DIR_BUSY' },
  );
}

async function isTaken(dir: string): Promise<boolean> {
  if (!existsSync(lockFile(dir))) return false;
  const lock = await takeLock(lockFile(dir), { kind: 'shared', waitMs: 0 });
  await lock?.release();
  return lock === null;
}
