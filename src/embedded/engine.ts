import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, realpathSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { takeLock, type Lock } from '../lock.ts';
import type { Log } from '../log.ts';
import { asRoot, canBecomeRoot } from '../root.ts';
import { pingEngine } from './engine-ping.ts';

/**
 * A Docker Engine to work with. `isOurs`: it, or the relay that leads to the machine's own, was started by Threadbox,
 * and the address is good until `close`.
 */
export type Engine = { dockerHost: string; isOurs: boolean; close(): Promise<void> };

type Wanted = {
  /** What the settings say; null where they say nothing. */
  dockerHost: string | null;
  /** Where an engine of our own keeps its images, containers and volumes. */
  engineDir: string;
  log: Log;
  /** How long an engine of our own outlives its last user, so that a restart finds its containers running. */
  lingerMs?: number;
};

const LOCAL_SOCKET = '/var/run/docker.sock';
/** Longer than an engine takes that first stops 50 containers. */
const STOP_TIMEOUT_MS = 45_000;
const START_TIMEOUT_MS = 60_000;

/** Below the project: the same for the bot, the command line and the tests, so that they share one engine. */
export function defaultEngineDir(): string {
  return fileURLToPath(new URL('../../.threadbox/engine', import.meta.url));
}

/**
 * A Docker Engine that answers: the one of the settings, the machine's own, or a private one, started here.
 *
 * A private engine is shared by all processes that name the same `engineDir`, and stops when the last of them has
 * closed it or died. Once one has been used, it comes before the machine's own: the workspaces are there.
 *
 * @throws Error with code NO_ENGINE and what to do, when there is none and none can be started.
 */
export async function ensureEngine({ dockerHost, engineDir, log, lingerMs = 0 }: Wanted): Promise<Engine> {
  if (dockerHost !== null) {
    const ping = await pingEngine(dockerHost);
    if (ping.answers) return foreign(dockerHost);
    log.warn({ dockerHost, reason: ping.reason }, 'The Docker Engine of DOCKER_HOST does not answer');
  }
  const local = await pingEngine(`unix://${LOCAL_SOCKET}`);
  const wasUsed = existsSync(join(engineDir, 'used'));
  if (local.answers && !wasUsed) return foreign(`unix://${LOCAL_SOCKET}`);

  const shared = await useShared(engineDir, async (runDir) => {
    if (!canBecomeRoot()) throw noEngine(local.answers ? null : local);
    if (!local.answers && local.isForbidden && !wasUsed) {
      log.info('The Docker Engine of this machine is not open to this user: it is reached through sudo');
      if (await startRelay(engineDir, runDir, lingerMs)) return;
    }
    log.info({ engineDir }, 'Starting a private Docker Engine');
    await startDockerd(engineDir, runDir, lingerMs);
    await writeFile(join(engineDir, 'used'), 'This directory holds the data of a private Docker Engine.\n');
  });
  return {
    dockerHost: shared.dockerHost,
    isOurs: true,
    close: async () => {
      await shared.lock.release();
      if (lingerMs === 0) await stoppedUnlessUsed(engineDir);
    },
  };
}

/** The engine that `ensureEngine` would find running, or null: nothing is started. */
export async function runningEngine(engineDir: string): Promise<string | null> {
  const own = existsSync(engineDir) ? `unix://${join(runDirOf(engineDir), 'docker.sock')}` : null;
  if (own !== null && (await pingEngine(own)).answers) return own;
  const local = await pingEngine(`unix://${LOCAL_SOCKET}`);
  return local.answers || local.isForbidden ? `unix://${LOCAL_SOCKET}` : null;
}

/**
 * Socket names are limited to 107 bytes (unix(7)), so a deep project needs a short place beside it. In /run, as nobody
 * but root can put something else there first.
 */
function runDirOf(engineDir: string): string {
  return `/run/threadbox-${createHash('sha256').update(realpathSync(engineDir)).digest('hex').slice(0, 8)}`;
}

function foreign(dockerHost: string): Engine {
  return { dockerHost, isOurs: false, close: () => Promise.resolve() };
}

/** Joins the engine of `engineDir`; where none runs, `start` makes one, in one process at a time. */
async function useShared(
  engineDir: string,
  start: (runDir: string) => Promise<void>,
): Promise<{ dockerHost: string; lock: Lock }> {
  await mkdir(engineDir, { recursive: true, mode: 0o755 });
  const runDir = runDirOf(engineDir);
  const dockerHost = `unix://${join(runDir, 'docker.sock')}`;
  // Waits only while a keeper is busy stopping.
  const lock = await takeLock(join(engineDir, 'users.lock'), { kind: 'shared', waitMs: STOP_TIMEOUT_MS });
  if (!lock) throw noEngine(null, 'the one in ' + engineDir + ' has been stopping for too long');
  try {
    const starting = await takeLock(join(engineDir, 'start.lock'), {
      kind: 'exclusive',
      waitMs: START_TIMEOUT_MS,
    });
    if (!starting) throw noEngine(null, 'another process has been starting one for too long');
    try {
      if (!(await pingEngine(dockerHost)).answers) await start(runDir);
    } finally {
      await starting.release();
    }
    return { dockerHost, lock };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function startDockerd(engineDir: string, runDir: string, lingerMs: number): Promise<void> {
  const dockerd = ['/usr/bin/dockerd', '/usr/sbin/dockerd', '/usr/local/bin/dockerd'].find((path) =>
    existsSync(path),
  );
  if (!dockerd) throw noEngine(null, 'none is installed');
  // Its directory is open to its owner alone; the group is for that owner to use the socket.
  const group = String(process.getgid?.() ?? 0);
  const options = [
    `--host=unix://${join(runDir, 'docker.sock')}`,
    `--group=${group}`,
    `--data-root=${join(engineDir, 'data')}`,
    `--exec-root=${join(runDir, 'exec')}`,
    `--pidfile=${join(runDir, 'dockerd.pid')}`,
    '--log-level=warn',
    // Threadbox makes its own networks. The usual docker0 may belong to another engine; see the keeper.
    '--bridge=none',
    // Those it would choose by itself are 31, less what the machine's own networks overlap; each list of hosts needs one.
    '--default-address-pool=base=172.16.0.0/12,size=20',
    '--default-address-pool=base=192.168.0.0/16,size=20',
    // Where the machine is on both of these.
    '--default-address-pool=base=10.192.0.0/11,size=20',
  ];
  await startKeeper(engineDir, runDir, lingerMs, [dockerd, ...options]);
  const failure = await answering(runDir, START_TIMEOUT_MS);
  if (failure) throw noEngine(null, `dockerd does not start: ${failure}\n${await logTail(engineDir)}`);
}

async function startRelay(engineDir: string, runDir: string, lingerMs: number): Promise<boolean> {
  const relay = fileURLToPath(new URL('engine-relay.ts', import.meta.url));
  const listenPath = join(runDir, 'docker.sock');
  await startKeeper(engineDir, runDir, lingerMs, [
    process.execPath,
    relay,
    listenPath,
    LOCAL_SOCKET,
    String(process.getuid?.() ?? 0),
  ]);
  return (await answering(runDir, 15_000)) === null;
}

/** Leaves the keeper running in a session of its own: neither Ctrl-C nor the end of this process is its end. */
async function startKeeper(
  engineDir: string,
  runDir: string,
  lingerMs: number,
  command: string[],
): Promise<void> {
  const keeper = fileURLToPath(new URL('engine-keeper.sh', import.meta.url));
  const owner = String(process.getuid?.() ?? 0);
  const lingerSeconds = String(Math.ceil(lingerMs / 1000));
  // An earlier keeper may still be on its way out.
  await keeperGone(engineDir);
  const child = spawn(
    ...asRoot('setsid', ['--fork', 'sh', keeper, engineDir, runDir, owner, lingerSeconds, ...command]),
    { stdio: ['inherit', 'ignore', 'inherit'] },
  );
  const [status] = (await once(child, 'exit')) as [number | null];
  if (status !== 0) throw noEngine(null, `one cannot be started as root (exit code ${status})`);
}

/** Null as soon as the engine answers; after `timeoutMs` why it does not. */
async function answering(runDir: string, timeoutMs: number): Promise<string | null> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const ping = await pingEngine(`unix://${join(runDir, 'docker.sock')}`, 2_000);
    if (ping.answers) return null;
    if (Date.now() > deadline) return ping.reason;
    await sleep(50);
  }
}

/** Waits for the keeper to end, unless somebody else uses the engine as well. */
async function stoppedUnlessUsed(engineDir: string): Promise<void> {
  const users = join(engineDir, 'users.lock');
  const alone = await takeLock(users, { kind: 'exclusive', waitMs: 0 });
  if (alone) {
    await alone.release();
  } else {
    // Either others share it, and then so can we; or the keeper has it and is stopping.
    const others = await takeLock(users, { kind: 'shared', waitMs: 0 });
    if (others) {
      await others.release();
      return;
    }
  }
  await keeperGone(engineDir);
}

async function keeperGone(engineDir: string): Promise<void> {
  const path = join(engineDir, 'keeper.lock');
  if (!existsSync(path)) return;
  const gone = await takeLock(path, { kind: 'shared', waitMs: STOP_TIMEOUT_MS });
  await gone?.release();
}

async function logTail(engineDir: string): Promise<string> {
  const text = await readFile(join(engineDir, 'engine.log'), 'utf8').catch(() => '');
  return text.trimEnd().split('\n').slice(-8).join('\n');
}

function noEngine(local: { reason: string } | null, reason?: string): Error {
  const why = reason ?? local?.reason ?? 'none answers';
  return Object.assign(
    new Error(
      `Expected a Docker Engine, but ${why}.\nStart Docker on this machine and let this user use it ` +
        '(group docker), or set DOCKER_HOST, or install docker.io and run this as root or with sudo.',
    ),
    { code: 'NO_ENGINE' },
  );
}
