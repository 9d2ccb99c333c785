import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type Docker from 'dockerode';
import { SYSTEM_PATH } from '../root.ts';
import { LIMIT_MS } from './disk-scripts.ts';
import { engineFacts } from './engine-facts.ts';
import { END, runHere, runInHelper } from './host-script.ts';

/** How what needs root on the engine's machine is done to disk images. */
export type DiskTools = {
  way: 'direct' | 'helper';
  /**
   * Runs a script, to which nothing is said but its arguments.
   *
   * @param dir of the images, which the script sees under the same path; it need not be there. null: it needs none
   * @param limitMs so long may it take; two minutes, where nothing is said
   * @returns what it has printed
   * @throws Error with its last words where it has failed; {ContainersError} as the engine fails
   */
  run: (script: string, args: readonly string[], dir: string | null, limitMs?: number) => Promise<string>;
};

/** In words, for people. */
export const TOOLS_WORDS: Record<DiskTools['way'], string> = {
  direct: 'made directly',
  helper: 'made by a helper container',
};

const PROGRAMS = ['losetup', 'mkfs.ext4', 'debugfs', 'e2fsck', 'resize2fs', 'flock', 'truncate'];
const NO_DEVICES = 'there are no loop devices';

const toItsEnd = (script: string): string => `set -e\n${script}\necho '${END}'`;

/** This process itself, as root. */
export const DIRECT: DiskTools = {
  way: 'direct',
  run: (script, args, _, limitMs = LIMIT_MS) => runHere(toItsEnd(script), args, limitMs),
};

/** Loop devices, and what hands them out (Documentation/admin-guide/devices.txt of the kernel). */
const LOOP_DEVICES = ['b 7:* rw', 'c 10:237 rw'];

/**
 * Containers on the engine that live for one script each: where the bot is not root, or in a container itself. They see the
 * images and the loop devices of the machine, and no other. Of all capabilities they have the one that lets them
 * write into a directory of the bot's: whose files the loop devices are, the kernel asks for nothing more.
 *
 * @param image has {@link PROGRAMS}
 */
export function helperTools(
  docker: Docker,
  { image, instance }: { image: string; instance: string },
): DiskTools {
  return {
    way: 'helper',
    async run(script, args, dir, limitMs = LIMIT_MS) {
      // What a device was made from is known by the end of its path alone once the container has gone.
      const images = dir === null ? null : dirname(dir);
      const Mounts: Docker.MountSettings[] = [
        { Type: 'bind', Source: '/dev', Target: '/dev', ReadOnly: true },
      ];
      if (images !== null && (await isThere(images)))
        Mounts.push({ Type: 'bind', Source: images, Target: images, ReadOnly: false });
      const host = { CapAdd: ['DAC_OVERRIDE'], DeviceCgroupRules: LOOP_DEVICES, Mounts };
      const doing = 'see to the disks of workspaces';
      const of = { image, instance, doing, host, limitMs };
      return runInHelper(docker, { ...of, script: toItsEnd(script), args });
    },
  };
}

/**
 * Directly where that is possible; else by a helper.
 *
 * @throws {ContainersError} `DOCKER_UNREACHABLE`, `DOCKER_REFUSED`
 */
export async function toolsFor(
  docker: Docker,
  helper: { image: string; instance: string },
): Promise<DiskTools> {
  return (await directObstacle(docker)) === null ? DIRECT : helperTools(docker, helper);
}

/** What is missing for doing it directly, as far as it can be seen without making a disk. */
export async function directObstacle(docker: Docker): Promise<string | null> {
  if (process.getuid?.() !== 0) return 'the bot is not root';
  for (const program of PROGRAMS) {
    const places = SYSTEM_PATH.split(':').map((dir) => isThere(join(dir, program), constants.X_OK));
    if (!(await Promise.all(places)).includes(true)) return `${program} is not installed`;
  }
  if (!(await isThere('/dev/loop-control'))) return NO_DEVICES;
  const { rootDir } = await engineFacts(docker);
  return (await isThere(rootDir)) ? null : ELSEWHERE;
}

export const ELSEWHERE = 'the engine runs on another machine, or the bot in a container';

const LOOK = `for program in ${PROGRAMS.join(' ')}; do
  command -v "$program" >/dev/null || { echo "its image has no $program" >&2; exit 1; }
done
[ -e /dev/loop-control ] || { echo '${NO_DEVICES}' >&2; exit 1; }
losetup -f >/dev/null`;

/**
 * What a helper lacks, as far as it can be seen without making a disk.
 *
 * @throws {ContainersError} as the engine fails
 */
export async function helperObstacle(tools: DiskTools): Promise<string | null> {
  try {
    await tools.run(LOOK, [], null);
    return null;
  } catch (error) {
    if ((error as { code?: string }).code === 'DOCKER_UNREACHABLE') throw error;
    return (error as Error).message;
  }
}

async function isThere(path: string, mode = constants.F_OK): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}
