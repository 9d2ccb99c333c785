import { pino, type Logger } from 'pino';
import type { LogLevel } from './config.ts';

export type Log = Logger;

/** One JSON line an event on standard output; readable lines where that is a terminal. */
export function createLog(level: LogLevel): Log {
  if (!process.stdout.isTTY) return pino({ level });
  return pino({ level, transport: { target: 'pino-pretty', options: { ignore: 'pid,hostname' } } });
}
