import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

/** `threadbox start` as a process of its own, so that its memory is its own. */
export type BotProcess = {
  pid: number;
  /** Aborted when it ends by itself. */
  died: AbortSignal;
  /** The end of its log. */
  lastWords: () => Promise<string>;
  close: () => Promise<void>;
};

const projectRoot = fileURLToPath(new URL('..', import.meta.url));

/** @param env all its settings; @param logFile gets what it logs */
export async function startBot(env: Readonly<Record<string, string>>, logFile: string): Promise<BotProcess> {
  const log = await open(logFile, 'w');
  // With our own options for Node: `node --cpu-prof bench/main.ts` makes a profile of the bot as well.
  // And with that of bin/threadbox.mjs, as it is used.
  const node = [process.execPath, '--max-semi-space-size=8', ...process.execArgv];
  // It stops when this process dies; Ctrl-C in a terminal reaches it only through us.
  const bot = spawn('setpriv', ['--pdeathsig', 'TERM', '--', ...node, 'src/main.ts', 'start'], {
    cwd: projectRoot,
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], HTTP_LISTEN: 'off', ...env },
    stdio: ['ignore', log.fd, log.fd],
    detached: true,
  });
  const exit = once(bot, 'exit');
  await once(bot, 'spawn');
  await log.close();
  const death = new AbortController();
  let isClosing = false;
  exit.then(
    () => {
      if (!isClosing) death.abort(new Error(`The bot ended with ${bot.exitCode ?? bot.signalCode}`));
    },
    (error: unknown) => death.abort(error),
  );
  return {
    pid: bot.pid as number,
    died: death.signal,
    lastWords: async () => (await readFile(logFile, 'utf8')).slice(-2_000),
    async close() {
      isClosing = true;
      if (bot.exitCode !== null || bot.signalCode !== null) return;
      bot.kill('SIGTERM');
      await exit;
    },
  };
}

/** Memory of a process that is in RAM, in MB (proc(5): VmRSS). */
export async function residentMegabytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  if (kilobytes === undefined) throw new Error(`The process ${pid} has no memory any more`);
  return Number(kilobytes) / 1024;
}

/** The least that a program on this Node takes: one that does nothing. */
export async function startIdleNode(): Promise<{ pid: number; close: () => Promise<void> }> {
  const idle = spawn(
    'setpriv',
    ['--pdeathsig', 'KILL', '--', process.execPath, '-e', 'setInterval(() => {}, 1e9)'],
    {
      stdio: 'ignore',
      detached: true,
    },
  );
  const exit = once(idle, 'exit');
  await once(idle, 'spawn');
  return {
    pid: idle.pid as number,
    async close() {
      idle.kill('SIGKILL');
      await exit;
    },
  };
}
