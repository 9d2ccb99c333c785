import { spawnSync } from 'node:child_process';

/** What programs that the embedded parts start find on their path: Debian's own, root's included. */
export const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * The same command, run by root: as it is, or through sudo. sudo may ask for a password only where somebody sees
 * the question.
 */
export function asRoot(command: string, args: readonly string[]): [command: string, args: string[]] {
  if (process.getuid?.() === 0) return [command, [...args]];
  const quiet = process.stderr.isTTY ? [] : ['-n'];
  return ['sudo', [...quiet, '--', command, ...args]];
}

/** True when {@link asRoot} will work. May ask for the password, so that a later, silent use does not have to. */
export function canBecomeRoot(): boolean {
  if (process.getuid?.() === 0) return true;
  const [command, args] = asRoot('true', []);
  return spawnSync(command, args, { stdio: ['inherit', 'ignore', 'inherit'] }).status === 0;
}
