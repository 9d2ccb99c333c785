import type { Config } from '../config.ts';
import type { TimeAllowed } from '../mail/time-in-words.ts';
import type { Command } from '../store/commands.ts';
import type { Repository } from '../store/repositories.ts';
import { durationOf } from './duration.ts';

export type TimeConfig = Pick<Config, 'commandTimeoutMs' | 'commandTimeoutMaxMs' | 'backgroundProcesses'>;

/** What its mail asks for goes before what its repository is set to, and that before the server. */
export function timeAllowed(
  asked: Pick<Command, 'timeoutMs'>,
  repository: Pick<Repository, 'commandTimeoutMs' | 'backgroundProcesses'>,
  config: TimeConfig,
): TimeAllowed {
  const usualMs = repository.commandTimeoutMs ?? config.commandTimeoutMs;
  const mostMs = mostAllowedMs(repository, config);
  return {
    timeoutMs: Math.min(asked.timeoutMs ?? usualMs, mostMs),
    mostMs,
    keepsBackground: (repository.backgroundProcesses ?? config.backgroundProcesses) === 'keep',
  };
}

/** The most that a mail can ask for. An operator who lets all commands run for longer than that has meant it. */
export function mostAllowedMs(
  repository: Pick<Repository, 'commandTimeoutMs'> | undefined,
  config: Omit<TimeConfig, 'backgroundProcesses'>,
): number {
  return Math.max(repository?.commandTimeoutMs ?? config.commandTimeoutMs, config.commandTimeoutMaxMs);
}

/** A line that says how long the command below it may run; `durationMs` is null where it names no length of time. */
export type TimeoutLine = { line: string; durationMs: number | null; rest: string };

/**
 * The first line of what was typed, where it is `timeout 2h` and no more: a shell would only say that the command is
 * missing. `timeout 2h npm test` is the shell's.
 */
export function timeoutLine(text: string): TimeoutLine | null {
  const [, first = '', rest = ''] = /^\s*([^\r\n]*)(?:\r?\n)?([^]*)$/.exec(text) ?? [];
  const line = first.trim();
  const [, sign, words = ''] = /^timeout(:?)\s+(\S.*?)[.!]?$/i.exec(line) ?? [];
  const durationMs = durationOf(words.toLowerCase());
  if (durationMs !== null && durationMs >= LEAST_MS) return { line, durationMs, rest };
  const isMeant = sign === ':' || durationMs !== null || /^\d+(?:[.,]\d+)?$/.test(words);
  return isMeant ? { line, durationMs: null, rest } : null;
}

const LEAST_MS = 1000;
