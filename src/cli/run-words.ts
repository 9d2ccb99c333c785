import { readFileSync } from 'node:fs';
import { commands } from './commands.ts';
import { explain } from './explain.ts';
import { commandHelp, overview } from './help.ts';
import { readWords, type Request } from './read-words.ts';

/**
 * Does what the words of a command line say, and tells what came of it.
 *
 * @returns the exit code: 0 done, 1 could not be done, 2 wrong usage or settings, 130 ended by Ctrl-C
 */
export async function runWords(words: readonly string[]): Promise<number> {
  try {
    return await answer(readWords(commands, words));
  } catch (error) {
    const { text, exitCode } = explain(error, await isDebugging());
    process.stderr.write(text);
    return exitCode;
  }
}

async function answer(request: Request): Promise<number> {
  if (request.kind === 'run') return (await request.command.run(request.args, request.options)) ?? 0;
  if (request.kind === 'overview' && !request.isAskedFor) {
    process.stderr.write(overview(commands, request.family));
    return 2;
  }
  process.stdout.write(informationFor(request));
  return 0;
}

function informationFor(request: Exclude<Request, { kind: 'run' }>): string {
  if (request.kind === 'command-help') return commandHelp(request.command);
  if (request.kind === 'overview') return overview(commands, request.family);
  return `threadbox ${version()} on Node ${process.versions.node}\n`;
}

function version(): string {
  const path = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
}

/** Read as leniently as can be: it is about how to tell a fault, which may be one in the settings. */
async function isDebugging(): Promise<boolean> {
  try {
    const { readEnvironment } = await import('../config.ts');
    return ['debug', 'trace'].includes(readEnvironment()['LOG_LEVEL'] ?? '');
  } catch {
    return false;
  }
}
