import { chmod, mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import type { Log } from '../../src/log.ts';
import { layPostgres } from '../support/laid-postgres.ts';

export const silent: Log = pino({ level: 'silent' });

/** A log that can be read. */
export function readableLog(): { log: Log; lines: { level: number; msg: string; reason?: string }[] } {
  const lines: { level: number; msg: string; reason?: string }[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => lines.push(JSON.parse(line)) });
  return { log, lines };
}

const stacks = new WeakMap<TestContext, AsyncDisposableStack>();

/** Runs at the end of a test, however that goes: what was registered last comes first, unlike with `test.after`. */
export function atEnd(test: TestContext, close: () => unknown): void {
  let stack = stacks.get(test);
  if (!stack) {
    const fresh = new AsyncDisposableStack();
    stacks.set(test, fresh);
    test.after(() => fresh.disposeAsync());
    stack = fresh;
  }
  stack.defer(async () => {
    await close();
  });
}

/** A directory for one test, gone after it. @param mode who may pass through it, if this user is root */
export async function makeDataDir(test: TestContext, mode = 0o711): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'tb-embedded-'));
  atEnd(test, () => rm(dir, { recursive: true, force: true }));
  await chmod(dir, mode);
  return dir;
}

/** The same, with an empty database in it: for what is not about the first start. */
export async function makeUsedDataDir(test: TestContext): Promise<string> {
  const dir = await makeDataDir(test);
  await layPostgres(join(dir, 'postgres'));
  return dir;
}

/** The processes that run from below a directory: by their command line, a file they have open, or where they are. */
export async function processesOf(dir: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  const found = await Promise.all(
    pids.map(async (pid) => {
      // A process may end while we look, and a dead one has neither.
      const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      const fds = await readdir(`/proc/${pid}/fd`).catch(() => []);
      const links = ['cwd', ...fds.map((fd) => `fd/${fd}`)];
      const files = await Promise.all(links.map((link) => readlink(`/proc/${pid}/${link}`).catch(() => '')));
      return [commandLine, ...files].some((text) => text.includes(dir)) ? [Number(pid)] : [];
    }),
  );
  return found.flat();
}

/** The worst that can happen to the servers of a directory. */
export async function killAll(dir: string): Promise<void> {
  for (const pid of await processesOf(dir)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      // Gone with one that was killed before.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}
