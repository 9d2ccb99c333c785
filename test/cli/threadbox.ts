import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { until } from '../support/until.ts';
import type { Asked } from './warm-host.ts';

const warmHost = fileURLToPath(new URL('warm-host.ts', import.meta.url));
export const bin = fileURLToPath(new URL('../../bin/threadbox.mjs', import.meta.url));

export type Finished = { code: number | null; out: string; err: string };

type Surroundings = {
  env?: Readonly<Record<string, string>>;
  /** Default: a directory without `.env`. */
  cwd?: string;
  input?: string;
};

/** A directory of its own for one installation; gone after `close`. */
export async function privateDir(): Promise<{ path: string; close: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'threadbox-cli-'));
  return { path, close: () => rm(path, { recursive: true, force: true }) };
}

/** Nothing of the developer's own settings. */
function environment(env: Readonly<Record<string, string>> = {}): Record<string, string | undefined> {
  const { PATH, HOME, DOCKER_HOST, CONTAINER_IMAGE, NODE_COMPILE_CACHE } = process.env;
  return { PATH, HOME, DOCKER_HOST, CONTAINER_IMAGE, NODE_COMPILE_CACHE, HTTP_LISTEN: 'off', ...env };
}

function spawnThreadbox(words: readonly string[], { env, cwd = tmpdir() }: Surroundings): ChildProcess {
  return spawn(process.execPath, [bin, ...words], { cwd, env: environment(env) });
}

type Host = { child: ChildProcess; ended: Promise<never> };
let host: Host | null = null;
let last: Promise<unknown> = Promise.resolve();
after(() => host?.child.disconnect());

function startHost(): Host {
  const child = fork(warmHost, { env: environment() });
  const ended = once(child, 'exit').then(() =>
    Promise.reject(new Error('the process of the commands has ended')),
  );
  ended.catch(() => undefined);
  return { child, ended };
}

/** Runs one command to its end, in a process that has run others before; two of the same moment one after the other. */
export function threadbox(words: readonly string[], surroundings: Surroundings = {}): Promise<Finished> {
  const { env, cwd = tmpdir(), input = '' } = surroundings;
  const finished = last.then(async () => {
    host ??= startHost();
    const answered = once(host.child, 'message') as Promise<[Finished]>;
    host.child.send({ words, env: environment(env), cwd, input } satisfies Asked);
    return (await Promise.race([answered, host.ended]))[0];
  });
  last = finished.catch(() => undefined);
  return finished;
}

/** Runs one command to its end, as a user would. */
export async function threadboxProcess(
  words: readonly string[],
  surroundings: Surroundings = {},
): Promise<Finished> {
  const child = spawnThreadbox(words, surroundings);
  const said = collected(child);
  child.stdin?.end(surroundings.input ?? '');
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out: said.out, err: said.err };
}

export type Running = {
  said: { out: string; err: string };
  /** Resolves when standard output has it. Rejects when the process ends before, or nothing comes in time. */
  says: (pattern: RegExp, timeoutMs?: number) => Promise<void>;
  /** Sends the signal. @returns the exit code and how long it took */
  stop: (signal: NodeJS.Signals) => Promise<{ code: number | null; tookMs: number }>;
  /** For the end of a test, whatever state it is in. */
  kill: () => Promise<void>;
};

/** Starts a command that goes on until it is stopped. */
export function startThreadbox(words: readonly string[], surroundings: Surroundings = {}): Running {
  const child = spawnThreadbox(words, surroundings);
  const said = collected(child);
  const ended = once(child, 'close') as Promise<[number | null]>;
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  return {
    said,
    async says(pattern, timeoutMs) {
      await until(() => {
        if (pattern.test(said.out)) return true;
        if (hasEnded()) throw new Error(`it ended with ${child.exitCode}:\n${said.out}${said.err}`);
        return false;
      }, timeoutMs);
    },
    async stop(signal) {
      const startedAt = performance.now();
      child.kill(signal);
      const [code] = await ended;
      return { code, tookMs: performance.now() - startedAt };
    },
    async kill() {
      if (hasEnded()) return;
      child.kill('SIGTERM');
      await ended;
    },
  };
}

function collected(child: ChildProcess): { out: string; err: string } {
  const said = { out: '', err: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (said.out += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said.err += text));
  return said;
}
