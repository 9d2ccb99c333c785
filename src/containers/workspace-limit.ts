import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type Docker from 'dockerode';
import type { Log } from '../log.ts';
import { SYSTEM_PATH } from '../root.ts';
import { dropDisk, linkOf, makeDisk } from './disk-image.ts';
import { engineFacts } from './engine-facts.ts';
import { ContainersError, engineError } from './errors.ts';

/**
 * How workspaces are kept to their size.
 *
 * - `quota`: the engine has XFS with project quotas, and sets one on each volume.
 * - `image`: each is a disk of its own: see disk-image.ts.
 * - `measured`: they are looked at: see workspace-watch.ts.
 * - `off`: they are not.
 */
type LimitWay = 'quota' | 'image' | 'measured' | 'off';

export type WorkspaceLimit = {
  way: LimitWay;
  /** Of this installation, where the way is `image`. */
  imagesDir: string;
  log: Log;
};

export type WantedLimit = LimitWay | 'auto';

/** In words, for people. */
export const LIMIT_WORDS: Record<LimitWay, string> = {
  quota: 'by project quotas of the engine',
  image: 'by a disk image for each',
  measured: 'by a look at them while a command runs, which is no hard limit',
  off: 'they are not',
};

/** What a way needs that cannot be had here. */
type Obstacles = Partial<Record<LimitWay, string>>;

/**
 * The first way that can be had, of the one that is wanted. It is tried: what an engine says of itself does not tell.
 *
 * @returns why it cannot be had, where another than `auto` was wanted; with `auto` they are measured then
 * @throws {ContainersError} `DOCKER_UNREACHABLE`
 */
export async function chooseWay(
  docker: Docker,
  { wanted, instance, imagesDir }: { wanted: WantedLimit; instance: string; imagesDir: string },
): Promise<{ way: LimitWay; obstacles: Obstacles } | { way: null; reason: string }> {
  const obstacles: Obstacles = {};
  for (const way of ['quota', 'image'] as const) {
    if (wanted !== way && wanted !== 'auto') continue;
    const of = { instance, imagesDir };
    const obstacle = way === 'quota' ? await tryQuota(docker, of) : await tryImage(docker, of);
    if (obstacle === null) return { way, obstacles };
    if (wanted !== 'auto') return { way: null, reason: obstacle };
    obstacles[way] = obstacle;
  }
  return { way: wanted === 'auto' ? 'measured' : wanted, obstacles };
}

const TRIED_BYTES = 8 * 2 ** 20;

/** @returns why the engine cannot set quotas; null where it can */
export async function tryQuota(docker: Docker, { instance }: { instance: string }): Promise<string | null> {
  try {
    await withVolume(docker, { instance, options: quotaOptions(TRIED_BYTES) }, () => Promise.resolve());
    return null;
  } catch (error) {
    return reasonOf(error);
  }
}

async function tryImage(
  docker: Docker,
  { instance, imagesDir }: { instance: string; imagesDir: string },
): Promise<string | null> {
  const obstacle = await imageObstacle(docker);
  if (obstacle !== null) return obstacle;
  try {
    return await withVolume(docker, { instance }, async (name, mountpoint) => {
      // An engine that answers here may run on another machine, or this program in a container.
      if (!(await isThere(dirname(mountpoint))))
        return 'the engine runs on another machine, or the bot in a container';
      const link = linkOf(imagesDir, name);
      try {
        // What a crash has left of one.
        await dropDisk(link);
        await makeDisk(link, TRIED_BYTES);
      } finally {
        await dropDisk(link);
      }
      return null;
    });
  } catch (error) {
    return reasonOf(error);
  }
}

/** What is missing for disk images, as far as it can be seen without making one. */
export async function imageObstacle(docker: Docker): Promise<string | null> {
  if (process.getuid?.() !== 0) return 'the bot is not root';
  for (const tool of ['losetup', 'mkfs.ext4', 'debugfs', 'e2fsck', 'resize2fs']) {
    const places = SYSTEM_PATH.split(':').map((dir) => isThere(join(dir, tool), constants.X_OK));
    if (!(await Promise.all(places)).includes(true)) return `${tool} is not installed`;
  }
  if (!(await isThere('/dev/loop-control'))) return 'there are no loop devices';
  const { rootDir } = await engineFacts(docker);
  return (await isThere(rootDir)) ? null : 'the engine runs on another machine, or the bot in a container';
}

/** An empty volume for as long as something is tried. */
async function withVolume<Result>(
  docker: Docker,
  { instance, options = {} }: { instance: string; options?: Record<string, string> },
  trial: (name: string, mountpoint: string) => Promise<Result>,
): Promise<Result> {
  const name = `threadbox-${instance}-trial`;
  const volume = docker.getVolume(name);
  try {
    // What a crash has left of one.
    await volume.remove().catch(() => undefined);
    const Labels = { 'threadbox.instance': instance };
    const { Mountpoint } = await docker
      .createVolume({ Name: name, Labels, DriverOpts: options })
      .then(() => volume.inspect())
      .catch((error: unknown) => {
        throw engineError(error, 'try how a volume can be limited');
      });
    return await trial(name, Mountpoint);
  } finally {
    await volume.remove().catch(() => undefined);
  }
}

export const quotaOptions = (sizeBytes: number): Record<string, string> => ({ size: String(sizeBytes) });

/** @throws what says nothing of the way: the engine was away */
function reasonOf(error: unknown): string {
  if (error instanceof ContainersError && error.code === 'DOCKER_UNREACHABLE') throw error;
  return error instanceof Error ? error.message.replaceAll(/\s+/g, ' ').trim() : String(error);
}

async function isThere(path: string, mode = constants.F_OK): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}
