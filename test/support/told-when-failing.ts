import { afterEach } from 'node:test';
import type { LogLine } from './collected-log.ts';
import { LONGEST_WAIT_MS } from './until.ts';

/** Of a test that has failed by waiting, what happened before it began to wait matters most. */
const LOOK_BACK_MS = LONGEST_WAIT_MS + 30_000;
const MOST_LINES = 80;
const WARN = 40;
const LEVELS: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'WARN',
  50: 'ERROR',
  60: 'FATAL',
};

const logs: LogLine[][] = [];

/** When a test of this file fails, the end of this log is shown: of a failure that does not come again, nothing else is left. */
export function tellWhenFailing(lines: LogLine[]): void {
  logs.push(lines);
}

/**
 * What is worth reading of a log after a failure: all of its last moments, and what it warned of before.
 *
 * @param nowMs the machine's clock, as in the lines
 */
function endOfLog(lines: readonly LogLine[], nowMs: number): string[] {
  const worth = lines.filter(({ time, level }) => level >= WARN || Number(time) >= nowMs - LOOK_BACK_MS);
  return worth.slice(-MOST_LINES).map(asText);
}

function asText({ time, level, msg, err, ...more }: LogLine): string {
  const at = new Date(Number(time)).toISOString().slice(11, 23);
  const facts = JSON.stringify({ ...more, pid: undefined, hostname: undefined });
  const { message, stack, ...why } = (err ?? {}) as { message?: string; stack?: string };
  const error = err === undefined ? '' : `\n${stack ?? message ?? ''} ${JSON.stringify(why)}`;
  return `${at} ${LEVELS[level] ?? level} ${msg} ${facts}${error}`.replaceAll('\n', '\n    ');
}

afterEach((context) => {
  if (!('passed' in context) || context.passed) return;
  const nowMs = Date.now();
  for (const [index, lines] of logs.entries()) {
    const end = endOfLog(lines, nowMs);
    if (end.length === 0) continue;
    const title = `"${context.name}" has failed at ${new Date(nowMs).toISOString().slice(11, 23)}; log ${index + 1} of ${logs.length}:`;
    process.stderr.write(`${[title, ...end].join('\n  ')}\n`);
  }
});
