import { readFile } from 'node:fs/promises';
import type { Config } from '../config.ts';
import { isGvisor } from '../containers/container-options.ts';
import { ok, warn, type Finding } from './doctor-findings.ts';

const DIR = '/proc/sys/fs/inotify';
/** A watcher (a development server, a test runner) takes one instance, and a watch for each directory or file. */
const ENOUGH_INSTANCES = 1024;
/** Each takes about 1 KB of the kernel's memory, while it is used. */
const ENOUGH_WATCHES = 524_288;

/** `null`: it could not be read. */
export type InotifyLimits = { instances: number | null; watches: number | null };

/** What Linux lets a user have, who is the same in all containers: only where the bot is on the engine's machine. */
export async function lookAtInotify(
  dockerHost: string,
  { containerRuntime }: Pick<Config, 'containerRuntime'>,
): Promise<Finding[]> {
  if (!dockerHost.startsWith('unix:') || isGvisor(containerRuntime)) return [];
  return inotifyFindings({
    instances: await numberIn(`${DIR}/max_user_instances`),
    watches: await numberIn(`${DIR}/max_user_watches`),
  });
}

export function inotifyFindings({ instances, watches }: InotifyLimits): Finding[] {
  if (instances === null || watches === null) return [];
  const says = `all containers together can have ${instances} watchers of files with ${watches} watches (inotify)`;
  const low = [
    ...(instances < ENOUGH_INSTANCES ? [`fs.inotify.max_user_instances=${ENOUGH_INSTANCES}`] : []),
    ...(watches < ENOUGH_WATCHES ? [`fs.inotify.max_user_watches=${ENOUGH_WATCHES}`] : []),
  ];
  if (low.length === 0) return [ok('watchers', says)];
  const todo = `One command can use them up, and watchers in other threads fail: sysctl -w ${low.join(' ')}, as root, and the same below /etc/sysctl.d (docs/operations.md).`;
  return [warn('watchers', says, todo)];
}

async function numberIn(path: string): Promise<number | null> {
  try {
    const text = (await readFile(path, 'utf8')).trim();
    return /^\d+$/.test(text) ? Number(text) : null;
  } catch (error) {
    // A kernel without inotify has no such limit.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
