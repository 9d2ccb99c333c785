import { inspect } from 'node:util';
import type { ConfigError } from '../config.ts';
import { visibleText } from '../mail/visible-text.ts';
import { CliError } from './command.ts';

/** What a person reads when a command could not be done, and what a shell gets. */
export type Explained = { text: string; exitCode: number };

/**
 * A fault in plain words: what went wrong and what to do. The place in the code is shown to those who ask for it.
 *
 * @param isDebugging LOG_LEVEL is debug or trace
 */
export function explain(error: unknown, isDebugging: boolean): Explained {
  const { lines, exitCode } = inWords(error, isDebugging);
  if (isDebugging) lines.push(inspect(error));
  // What git says of a repository's branches, say, is somebody else's.
  return { text: visibleText(`threadbox: ${lines.join('\n')}\n`), exitCode };
}

function inWords(error: unknown, isDebugging: boolean): { lines: string[]; exitCode: number } {
  if (error instanceof CliError) return { lines: [error.message], exitCode: error.exitCode };
  if (isConfigError(error)) {
    const heading =
      error.faults.length === 1 ? 'a setting is wrong' : `${error.faults.length} settings are wrong`;
    const faults = error.faults.map((fault) => `  ${fault}`);
    return {
      lines: [`${heading}, in the environment or in .env (.env.example explains them all):`, ...faults],
      exitCode: 2,
    };
  }
  const place = fileTrouble(error);
  if (place) return { lines: [place], exitCode: 1 };
  const lines = [withCauses(error)];
  // An error with a code of ours says itself what to do; of any other one wants to know more.
  const hasCode = typeof (error as { code?: unknown } | null)?.code === 'string';
  if (!hasCode && !isDebugging) lines.push('LOG_LEVEL=debug shows where in the code this happened.');
  return { lines, exitCode: 1 };
}

/** By its code, as the class comes with all that checks settings. */
const isConfigError = (error: unknown): error is ConfigError =>
  error instanceof Error && (error as { code?: unknown }).code === 'CONFIG';

const FILE_TROUBLES: Readonly<Record<string, string>> = {
  EACCES: 'this user may not write there',
  EPERM: 'this user may not do that',
  EROFS: 'it is on a file system that is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota of this user is used up',
  ENOTDIR: 'a part of that path is not a directory',
  EEXIST: 'it is there, and is not a directory',
};

function fileTrouble(error: unknown): string | null {
  const { code, path, syscall } = (error ?? {}) as NodeJS.ErrnoException;
  const trouble = FILE_TROUBLES[code ?? ''];
  if (trouble === undefined || path === undefined || syscall === 'spawn') return null;
  return `${path} cannot be used: ${trouble}.\nDATA_DIR (for the demo: --dir) says where Threadbox keeps its data.`;
}

/** The message of an error, and of what caused it where that says something new. */
export function withCauses(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  let words = messageOf(error);
  let { cause } = error;
  for (let depth = 0; cause instanceof Error && depth < 4; depth += 1) {
    const more = messageOf(cause);
    if (!words.includes(more)) words += `\n  because: ${more}`;
    ({ cause } = cause);
  }
  return words;
}

/** Node reports a name with several addresses, none of which answers, as an error without a message. */
function messageOf(error: Error): string {
  if (error.message !== '') return error.message;
  if (error instanceof AggregateError) {
    return error.errors.map((one) => (one instanceof Error ? one.message : String(one))).join('; ');
  }
  return (error as NodeJS.ErrnoException).code ?? error.name;
}
