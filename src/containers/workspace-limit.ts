import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import type Docker from 'dockerode';
import type { Log } from '../log.ts';
import { diskOptions, dropDisk, linkOf, makeDisk } from './disk-image.ts';
import { DIRECT, directObstacle, ELSEWHERE, helperTools, type DiskTools } from './disk-tools.ts';
import { newTrial } from './disk-trials.ts';
import { ContainersError, engineError } from './errors.ts';
import { END, runInHelper } from './host-script.ts';
import { isPresent } from './image.ts';

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
  /** How these are made and attached; directly, where nothing is said. */
  tools?: DiskTools;
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

/** The helper container that makes disks where the bot cannot. */
type DiskHelper = {
  image: string;
  /** Makes sure that the engine has the image of workspaces, which most often is the helper's as well. */
  imageReady: () => Promise<void>;
};

type Chosen = { way: LimitWay; tools: DiskTools; obstacles: Obstacles };

/** What is tried, and where. */
type Trial = { instance: string; imagesDir: string; now: () => Date };

/**
 * The first way that can be had, of the one that is wanted. It is tried: what an engine says of itself does not tell. What was
 * cut off is no answer, and neither is what a full disk says: whoever asked has to ask again.
 *
 * @param on `helper`: null where there is none
 * @returns why it cannot be had, where another than `auto` was wanted; with `auto` they are measured then
 * @throws {ContainersError} `DOCKER_UNREACHABLE`, `CUT_OFF`; `WORKSPACE` where the disk is full; what `imageReady` throws, where
 *   a helper is needed
 */
export async function chooseWay(
  docker: Docker,
  {
    wanted,
    instance,
    imagesDir,
    now,
    helper = null,
  }: Trial & { wanted: WantedLimit; helper?: DiskHelper | null },
): Promise<Chosen | { way: null; reason: string }> {
  const obstacles: Obstacles = {};
  const of = { instance, imagesDir, now };
  const helpers = helper && helperTools(docker, { image: helper.image, instance });
  // Of disks that are there: how they can be attached, whatever is made for new workspaces.
  let tools = helpers && (await directObstacle(docker)) !== null ? helpers : DIRECT;
  for (const way of ['quota', 'image'] as const) {
    if (wanted !== way && wanted !== 'auto') continue;
    const trial = way === 'quota' ? tryQuota : tryImage;
    let obstacle = await twice(docker, () => trial(docker, of));
    if (obstacle !== null && way === 'image' && helper && helpers) {
      const failed = await twice(docker, () => tryHelper(docker, { ...of, helper, tools: helpers }));
      if (failed === null) tools = helpers;
      obstacle = failed && `${obstacle}; a helper container of ${helper.image}: ${failed}`;
    }
    if (obstacle === null) return { way, tools, obstacles };
    if (wanted !== 'auto') return { way: null, reason: obstacle };
    obstacles[way] = obstacle;
  }
  return { way: wanted === 'auto' ? 'measured' : wanted, tools, obstacles };
}

const TRIED_BYTES = 8 * 2 ** 20;
const TRIAL_MS = 30_000;

/** An engine that is about to stop refuses this and that before it is silent: what stands in the way is still there the next time. */
async function twice(docker: Docker, trial: () => Promise<string | null>): Promise<string | null> {
  const obstacle = await trial();
  if (obstacle === null) return null;
  await docker.ping().catch((error: unknown) => {
    throw engineError(error, 'find out how volumes can be limited');
  });
  return trial();
}

/** @returns why the engine cannot set quotas; null where it can */
export async function tryQuota(
  docker: Docker,
  { instance, now }: Pick<Trial, 'instance' | 'now'>,
): Promise<string | null> {
  try {
    const of = { instance, name: newTrial(instance, now()), options: quotaOptions(TRIED_BYTES) };
    await withVolume(docker, of, () => Promise.resolve());
    return null;
  } catch (error) {
    return reasonOf(error);
  }
}

async function tryImage(docker: Docker, { instance, imagesDir, now }: Trial): Promise<string | null> {
  const obstacle = await directObstacle(docker);
  if (obstacle !== null) return obstacle;
  try {
    const name = newTrial(instance, now());
    return await withVolume(docker, { instance, name }, async (mountpoint) => {
      // An engine that answers here may run on another machine, or this program in a container.
      if (!existsSync(dirname(mountpoint))) return ELSEWHERE;
      const link = linkOf(imagesDir, name);
      try {
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

/** Other than with the direct way, nobody has seen yet that the engine finds the disk where the bot has it. */
async function tryHelper(
  docker: Docker,
  { instance, imagesDir, now, helper, tools }: Trial & { helper: DiskHelper; tools: DiskTools },
): Promise<string | null> {
  await helper.imageReady();
  const { image } = helper;
  const name = newTrial(instance, now());
  const link = linkOf(imagesDir, name);
  try {
    if (!(await isPresent(docker, image))) return 'the engine does not have it';
    try {
      await makeDisk(link, TRIED_BYTES, tools);
      await withVolume(docker, { instance, name, options: diskOptions(link) }, () =>
        mountInHelper(docker, { image, instance, name }),
      );
    } catch (error) {
      // The first fault is the one to tell.
      await dropDisk(link, tools).catch(() => undefined);
      throw error;
    }
    await dropDisk(link, tools);
    return null;
  } catch (error) {
    return reasonOf(error);
  }
}

async function mountInHelper(
  docker: Docker,
  { image, instance, name }: { image: string; instance: string; name: string },
): Promise<void> {
  await runInHelper(docker, {
    image,
    instance,
    script: `touch /mnt/tried && echo '${END}'`,
    args: [],
    limitMs: TRIAL_MS,
    doing: 'mount a disk',
    host: {
      // What is in it belongs to the user of the commands.
      CapAdd: ['DAC_OVERRIDE'],
      Mounts: [{ Type: 'volume', Source: name, Target: '/mnt', ReadOnly: false }],
    },
    waitsForRemoval: true,
  });
}

/** An empty volume for as long as something is tried. What a crash leaves of one goes with a sweep. */
async function withVolume<Result>(
  docker: Docker,
  { instance, name, options = {} }: { instance: string; name: string; options?: Record<string, string> },
  trial: (mountpoint: string) => Promise<Result>,
): Promise<Result> {
  const volume = docker.getVolume(name);
  try {
    const Labels = { 'threadbox.instance': instance };
    const { Mountpoint } = await docker
      .createVolume({ Name: name, Labels, DriverOpts: options })
      .then(() => volume.inspect())
      .catch((error: unknown) => {
        throw engineError(error, 'find out how volumes can be limited');
      });
    return await trial(Mountpoint);
  } finally {
    await volume.remove().catch(() => undefined);
  }
}

export const quotaOptions = (sizeBytes: number): Record<string, string> => ({ size: String(sizeBytes) });

/** @throws what says nothing of the way: the engine was away or has ended what was tried, or there was no room for it */
function reasonOf(error: unknown): string {
  if (error instanceof ContainersError && NO_ANSWERS.has(error.code)) throw error;
  const words = error instanceof Error ? error.message.replaceAll(/\s+/g, ' ').trim() : String(error);
  if (!/no space left on device/i.test(words)) return words;
  const fault = `The disk of the machine is full, so that it cannot be found out how workspaces are kept to their size: ${words}`;
  throw new ContainersError('WORKSPACE', fault, { cause: error });
}

const NO_ANSWERS: ReadonlySet<string> = new Set(['DOCKER_UNREACHABLE', 'CUT_OFF']);

/** Of what {@link chooseWay} throws: whether it may come to something else when it is asked again. */
export const isNoAnswer = (error: Error): boolean =>
  error instanceof ContainersError && (NO_ANSWERS.has(error.code) || error.code === 'WORKSPACE');
