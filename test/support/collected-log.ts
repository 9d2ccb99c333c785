import { pino } from 'pino';
import { logOptions, type Log } from '../../src/log.ts';

export type LogLine = { level: number; msg: string; [field: string]: unknown };

/** A log whose lines a test can read. */
export function collectedLog(): { log: Log; lines: LogLine[] } {
  const lines: LogLine[] = [];
  const write = (line: string): number => lines.push(JSON.parse(line) as LogLine);
  return { log: pino(logOptions('trace'), { write }), lines };
}
