import { readFileSync } from 'node:fs';
import { backupCommands } from './cli/backup.ts';
import type { CliCommand } from './cli/command.ts';
import { demoCommand } from './cli/demo.ts';
import { doctorCommand } from './cli/doctor.ts';
import { explain } from './cli/explain.ts';
import { commandHelp, overview } from './cli/help.ts';
import { inboxCommand } from './cli/inbox.ts';
import { mailCommand } from './cli/mail.ts';
import { pauseCommands } from './cli/pause.ts';
import { readWords, type Request } from './cli/read-words.ts';
import { outboxCommand } from './cli/outbox.ts';
import { repoCommands } from './cli/repo.ts';
import { savesCommands } from './cli/saves.ts';
import { secretCommands } from './cli/secret.ts';
import { sqlCommand } from './cli/sql.ts';
import { startCommand } from './cli/start.ts';
import { tokenCommands } from './cli/token.ts';
import { userCommands } from './cli/user.ts';
import { allowCommand, denyCommand } from './cli/user-access.ts';

const commands: readonly CliCommand[] = [
  startCommand,
  demoCommand,
  ...repoCommands,
  ...userCommands,
  allowCommand,
  denyCommand,
  ...tokenCommands,
  ...secretCommands,
  ...savesCommands,
  inboxCommand,
  ...pauseCommands,
  outboxCommand,
  mailCommand,
  sqlCommand,
  doctorCommand,
  ...backupCommands,
];

/** @returns the exit code: 0 done, 1 could not be done, 2 wrong usage or settings, 130 ended by Ctrl-C */
async function main(words: readonly string[]): Promise<number> {
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
  const path = new URL('../package.json', import.meta.url);
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
}

/** Read as leniently as can be: it is about how to tell a fault, which may be one in the settings. */
async function isDebugging(): Promise<boolean> {
  try {
    const { readEnvironment } = await import('./config.ts');
    return ['debug', 'trace'].includes(readEnvironment()['LOG_LEVEL'] ?? '');
  } catch {
    return false;
  }
}

// Whoever read our output has gone (`| head`): there is nobody to tell it to.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

// An image build that was interrupted ends only with this process.
process.exit(await main(process.argv.slice(2)));
