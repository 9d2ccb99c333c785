import { readFileSync } from 'node:fs';

const readLines = read('read-lines');
const common = readLines + read('common');
const ending = read('ending');
const reserve = read('reserve');
const running = common + reserve + read('changes') + ending + read('leftovers') + read('run');
const collecting = read('collect');

/** The scripts that run inside a container: see inside/common.sh. */
export const scripts = {
  runner: running + read('runner'),
  runOrCollect: `${running}${collecting}${read('take-secrets')}take_execution\nrun_or_collect\n`,
  collect: `${common}${reserve}${read('changes')}${ending}${collecting}take_execution\ncollect\n`,
  stop: common + read('stop'),
  elapsed: common + read('elapsed'),
  inbox: read('inbox'),
  outbox: read('outbox'),
  command: read('command'),
  prepare: readLines + read('take-place') + reserve + read('prepare'),
  save: ['read-lines', 'take-place', 'save-common', 'save-commit', 'save-tree', 'save-git', 'save']
    .map(read)
    .join(''),
  restore: readLines + read('take-place') + read('save-common') + read('restore'),
} as const;

/** Runs what {@link scripts} has, out of the environment: so `ps` in a command's output shows one short line. */
export const RUN_FROM_ENVIRONMENT = ['bash', '-c', 'eval "$_THREADBOX_RUN"'] as const;

/** The same under a name of its own, by which it is not taken for a command's or a running one. */
export const RUNNER_FROM_ENVIRONMENT = [
  'bash',
  '-c',
  `exec -a threadbox-runner bash -c 'eval "$_THREADBOX_RUN"'`,
] as const;

/**
 * A process that may be there while a command runs, or ends, and is none of the user's, nor is what it starts: the leader
 * of its session has that name for as long as it lives. See `find_others` in inside/common.sh.
 */
export const asOurs = (name: `threadbox-${string}`, command: readonly string[]): string[] => [
  'bash',
  '-c',
  `exec -a ${name} bash -c '"$@"; exit' bash "$@"`,
  name,
  ...command,
];

// Comments would be sent again with every command.
function read(name: string): string {
  const text = readFileSync(new URL(`inside/${name}.sh`, import.meta.url), 'utf8');
  return text.replaceAll(/^\s*#.*\n/gm, '');
}
