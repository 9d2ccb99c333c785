import { pino, type Logger, type LoggerOptions } from 'pino';
import type { LogLevel } from './config.ts';
import { plainJson } from './harmless-json.ts';
import { openLogOutput } from './log-output.ts';
import { maskedLine } from './secrets/log-masks.ts';

export type Log = Logger;

/**
 * One JSON line an event on standard output; readable lines where that is a terminal. Secrets are masked, and what a
 * terminal would obey is made visible: an error may say what a repository or a server has said.
 */
export function createLog(level: LogLevel): Log {
  if (!process.stdout.isTTY) return pino(logOptions(level), openLogOutput(process.stdout.fd));
  const transport = { target: 'pino-pretty', options: { ignore: 'pid,hostname' } };
  return pino({ ...logOptions(level), transport });
}

/** Of the log, wherever it is written to. */
export const logOptions = (
  level: LogLevel,
): LoggerOptions & { hooks: { streamWrite: (line: string) => string } } => ({
  level,
  hooks: { streamWrite: (line) => plainJson(maskedLine(line)) },
});
