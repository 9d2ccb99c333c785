import { pino } from 'pino';
import { logOptions, type Log } from '../../src/log.ts';
import { tellWhenFailing } from './told-when-failing.ts';

export type LogLine = { level: number; msg: string; [field: string]: unknown };

/** A log whose lines a test can read; when it fails, they are shown. */
export function collectedLog(): { log: Log; lines: LogLine[] } {
  const lines: LogLine[] = [];
  tellWhenFailing(lines);
  const write = (line: string): number => lines.push(JSON.parse(line) as LogLine);
  return { log: pino(logOptions('trace'), { write }), lines };
}
