import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { LogLine } from './collected-log.ts';
import { tellWhenFailing } from './told-when-failing.ts';
import { until } from './until.ts';

export type BotProcess = {
  pid: number;
  lines: LogLine[];
  /** What it wrote to standard error. */
  complaints: () => string;
  isReady: () => boolean;
  /** Resolves when it waits for mail. @throws when it ends before */
  ready: () => Promise<void>;
  /** Resolves at its end. */
  ended: Promise<{ exitCode: number | null; signal: NodeJS.Signals | null }>;
  /** Sends it a signal and waits for its end. */
  kill: (signal: NodeJS.Signals) => Promise<{ exitCode: number | null; tookMs: number }>;
};

const program = fileURLToPath(new URL('../../bin/threadbox.mjs', import.meta.url));

/**
 * `threadbox start` in a process of its own, as an operator starts it. It ends with the test's process at the latest.
 *
 * @param cwd where no `.env` lies
 * @param env its settings; none of this process's own are handed on
 */
export function spawnBot(cwd: string, env: Readonly<Record<string, string>>): BotProcess {
  const inherited = Object.fromEntries(
    ['PATH', 'HOME', 'SSL_CERT_FILE', 'NODE_COMPILE_CACHE'].flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', process.execPath, program, 'start'], {
    cwd,
    env: { HTTP_LISTEN: 'off', WORKSPACE_LIMIT: 'off', ...inherited, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: LogLine[] = [];
  tellWhenFailing(lines);
  let complaints = '';
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (process.env['TEST_LOG_LEVEL']) process.stdout.write(`${line}\n`);
    lines.push(JSON.parse(line) as LogLine);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaints += text));
  const ended = once(child, 'close').then(([exitCode, signal]) => ({
    exitCode: exitCode as number | null,
    signal: signal as NodeJS.Signals | null,
  }));
  const isReady = (): boolean => lines.some(({ msg }) => msg.startsWith('Threadbox waits for mail'));
  return {
    pid: child.pid as number,
    lines,
    complaints: () => complaints,
    isReady,
    async ready() {
      await until(() => isReady() || child.exitCode !== null || child.signalCode !== null);
      if (!isReady())
        throw new Error(`the bot has ended: ${complaints}${lines.map(({ msg }) => msg).join('\n')}`);
    },
    ended,
    async kill(signal) {
      const startedAt = performance.now();
      child.kill(signal);
      const { exitCode } = await ended;
      return { exitCode, tookMs: performance.now() - startedAt };
    },
  };
}
