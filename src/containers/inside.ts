import { readFileSync } from 'node:fs';

/** The scripts that run inside a container: see inside/common.sh. */
export const scripts = {
  run: read('common') + read('run'),
  collect: read('common') + read('collect'),
  stop: read('common') + read('stop'),
  command: read('command'),
  prepare: read('prepare'),
} as const;

/** Runs what {@link scripts} has, out of the environment: so `ps` in a command's output shows one short line. */
export const RUN_FROM_ENVIRONMENT = ['bash', '-c', 'eval "$_THREADBOX_RUN"'] as const;

// Comments would be sent again with every command.
function read(name: string): string {
  const text = readFileSync(new URL(`inside/${name}.sh`, import.meta.url), 'utf8');
  return text.replaceAll(/^\s*#.*\n/gm, '');
}
