import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import type { Log } from '../log.ts';
import { SYSTEM_PATH } from '../root.ts';
import { PORT_TAKEN } from './access.ts';
import type { RunAs } from './run-as.ts';

export type ServerProgram = {
  /** For people: `the embedded PostgreSQL`. */
  name: string;
  command: readonly string[];
  /** For one that comes from Debian: the program, and the packages that it takes. */
  debian?: { program: string; packages: string; isOnDemand?: boolean };
  /** Gets each line of its standard output. */
  onOutput?: (line: string) => void;
  runAs: RunAs;
  /** What it gets on standard input. */
  input?: string;
  /** True for the line of output that says it serves. */
  isReadyLine: (line: string) => boolean;
  /** What makes it stop cleanly: it gets this from `stop`, and when this process dies. */
  stopSignal: 'SIGINT' | 'SIGTERM';
  /** Held by all its processes: no second one starts on the same data while one of them lives. */
  lockPath: string;
};

export type Server = {
  /** Resolves with how it ended, and its last words. */
  ended: Promise<string>;
  /** Has it read its configuration once more. */
  reload: () => void;
  stop: () => Promise<void>;
};

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 15_000;
/** For the remains of one whose starter was killed a moment ago. */
const LOCK_TIMEOUT_S = 30;
const LOCK_CONFLICT = 75;
const KEPT_LINES = 12;

/**
 * Starts a server, in a session of its own so that Ctrl-C in a terminal reaches only us, and waits until it serves. It
 * ends when this process does, however that dies; strictly, when the thread does that called this (prctl(2)).
 *
 * @throws when it is not installed, with what to do; when it ends before, with its last words, and with code
 *   PORT_TAKEN when that was about its port
 */
export async function startServer(program: ServerProgram, log: Log, signal: AbortSignal): Promise<Server> {
  const { name, stopSignal, debian } = program;
  signal.throwIfAborted();
  if (debian && !isInstalled(debian.program)) {
    throw new Error(
      `Expected ${name} to start, but ${debian.program} is not installed. ${howToInstall(debian)}`,
    );
  }
  const [file, ...args] = commandLine(program) as [string, ...string[]];
  const child = spawn(file, args, {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH: SYSTEM_PATH, LC_ALL: 'C', TZ: 'UTC' },
  });
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  const closed = once(child, 'close').catch(() => undefined);
  // Its end is told by `exited`; here is only why it did not take its input.
  child.stdin.on('error', (error) => log.debug({ part: name, err: error }, 'no input was taken'));
  child.stdin.end(program.input ?? '');

  const lastLines: string[] = [];
  const ready = Promise.withResolvers<'ready'>();
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      log.debug({ part: name }, line);
      lastLines.push(line);
      if (lastLines.length > KEPT_LINES) lastLines.shift();
      if (stream === child.stdout) program.onOutput?.(line);
      if (program.isReadyLine(line)) ready.resolve('ready');
    });
  }

  const ended = (async (): Promise<string> => {
    const [code, killedBy] = await exited;
    // Children that outlive it would keep its port and its lock.
    killGroup(child.pid, 'SIGKILL');
    await Promise.race([closed, pause(500, undefined, { ref: false })]);
    if (code === LOCK_CONFLICT && lastLines.length === 0)
      return `another one still runs on ${program.lockPath}`;
    // One that was killed had no time for last words.
    return killedBy
      ? `it was ended by ${killedBy}`
      : [`it ended with exit code ${code}`, ...lastLines].join('\n');
  })();
  const stop = async (): Promise<void> => {
    child.kill(stopSignal);
    const givenUp = new AbortController();
    const late = pause(STOP_TIMEOUT_MS, 'late', { signal: givenUp.signal });
    if ((await Promise.race([ended, late])) === 'late') {
      log.warn({ part: name }, `${name} did not stop within ${STOP_TIMEOUT_MS / 1000} s, and is killed`);
      killGroup(child.pid, 'SIGKILL');
    }
    givenUp.abort();
    late.catch(() => undefined);
    await ended;
  };

  const deadline = AbortSignal.any([signal, AbortSignal.timeout(START_TIMEOUT_MS)]);
  const aborted = once(deadline, 'abort').then(() => 'aborted' as const);
  const first = await Promise.race([ready.promise, ended, aborted]).catch((error: unknown) => {
    throw new Error(`Expected ${name} to start; ${file} cannot be run`, { cause: error });
  });
  if (first === 'ready') return { ended, stop, reload: () => void child.kill('SIGHUP') };
  if (first === 'aborted') {
    await stop();
    signal.throwIfAborted();
    throw new Error(
      `Expected ${name} to start within ${START_TIMEOUT_MS / 1000} s; it said:\n${lastLines.join('\n')}`,
    );
  }
  const error = new Error(`Expected ${name} to start; ${first}`);
  throw first.includes('Address already in use') ? Object.assign(error, { code: PORT_TAKEN }) : error;
}

/** What is there only for those who want it comes with a service of its own, which the script leaves out. */
function howToInstall({ packages, isOnDemand = false }: NonNullable<ServerProgram['debian']>): string {
  return isOnDemand
    ? `Install it with \`sh scripts/install-debian-packages.sh ${packages}\`, as root.`
    : `Install it with \`apt-get install ${packages}\`; \`npm run demo\` does that by itself.`;
}

/** Whether one of Debian's programs is there. */
export const isInstalled = (program: string): boolean =>
  SYSTEM_PATH.split(':').some((dir) => existsSync(join(dir, program)));

/** One program turns into the next, so that what we have started is in the end the server itself. */
function commandLine({ runAs, lockPath, stopSignal, command }: ServerProgram): string[] {
  const untilLocked = ['setpriv', '--pdeathsig', 'KILL'];
  const lock = ['flock', `--timeout=${LOCK_TIMEOUT_S}`, '--no-fork', `--conflict-exit-code=${LOCK_CONFLICT}`];
  // Where the parent died before it was agreed on what happens then, nothing would happen.
  const unlessOrphan = ['sh', '-c', '[ "$PPID" = "$0" ] && exec "$@"', String(process.pid)];
  return [...untilLocked, ...lock, lockPath, ...runAs.command(stopSignal), ...unlessOrphan, ...command];
}

function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
