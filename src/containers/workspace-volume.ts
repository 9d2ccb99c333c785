import type Docker from 'dockerode';
import {
  aloneWithDisk,
  attachDisk,
  diskOptions,
  dropDisk,
  forgetLostDevices,
  hasDisk,
  isDiskLink,
  linkOf,
  listDisks,
  makeDisk,
  nameOf,
} from './disk-image.ts';
import { isTrial, removeLeftTrials } from './disk-trials.ts';
import { engineFacts } from './engine-facts.ts';
import { ContainersError, engineError, statusOf } from './errors.ts';
import { quotaOptions, type WorkspaceLimit } from './workspace-limit.ts';

/** How the workspace of a thread is limited, and to what. */
export type WorkspaceRoom = { limit: WorkspaceLimit; sizeBytes: number };

type Wanted = {
  name: string;
  labels: Record<string, string>;
  /** null: there is no limit. */
  room: WorkspaceRoom | null;
  /** False: what is wanted is the work in it, so no empty one is made in its place. */
  mayBeEmpty: boolean;
};

/**
 * Makes sure of a volume, ready to be mounted. One that is there stays as it was made, with a limit or without; where it
 * is a disk of its own, that is attached, and grows to its size.
 *
 * @returns false when its disk is not where the volume has it, or when there is no work: {@link renewVolume}
 * @throws {ContainersError} `DOCKER_UNREACHABLE`, `DOCKER_REFUSED`; `WORKSPACE` where the disk cannot be made or attached
 */
export async function readyVolume(docker: Docker, wanted: Wanted): Promise<boolean> {
  const { name, mayBeEmpty } = wanted;
  return aloneWithDisk(name, async () => {
    const link = await diskOf(docker, name);
    if (link === null) return true;
    if (link !== undefined) return attach(link, wanted);
    if (!mayBeEmpty && !(await seesDisk(linkFor(wanted)))) return false;
    await makeVolume(docker, wanted);
    return true;
  });
}

/**
 * Makes a volume anew whose disk is not where it was: around the disk, where that has been moved with the directory of
 * all; an empty one where it has gone. No container may have it.
 *
 * @throws {ContainersError} `WORKSPACE_LOST` where the disk has gone and no empty one will do; as {@link readyVolume}
 */
export async function renewVolume(docker: Docker, wanted: Wanted): Promise<void> {
  const { name, room, mayBeEmpty } = wanted;
  await aloneWithDisk(name, async () => {
    const isThere = await hasDisk(linkFor(wanted)).catch((error: unknown) => {
      throw diskFault('looked for', error);
    });
    await removeDefinition(docker, name);
    if (isThere) return makeVolume(docker, wanted);
    room?.limit.log.error(
      { volume: name },
      'the disk of a workspace has gone: what was saved before is all there is',
    );
    if (!mayBeEmpty) throw new ContainersError('WORKSPACE_LOST', 'The disk of the workspace has gone.');
    await makeVolume(docker, wanted);
  });
}

/** Whether there is a workspace of that name: a volume, or a disk that can be given one. */
export async function hasWorkspace(docker: Docker, name: string, limit: WorkspaceLimit): Promise<boolean> {
  return (await diskOf(docker, name)) !== undefined || seesDisk(linkOf(limit.imagesDir, name));
}

/** Where this program may not look, no disk of its own is. */
const seesDisk = (link: string): Promise<boolean> => hasDisk(link).catch(() => false);

/** Where the disk of a volume would be made now. */
const linkFor = ({ name, room }: Wanted): string => linkOf(room?.limit.imagesDir ?? '/', name);

async function attach(link: string, { name, room }: Wanted): Promise<boolean> {
  const onFault = (error: unknown): void =>
    room?.limit.log.warn(
      { err: error, volume: name },
      'the disk of a workspace is damaged, or could not grow to its size',
    );
  return attachDisk(link, room?.sizeBytes ?? 0, onFault, room?.limit.tools).catch((error: unknown) => {
    throw diskFault('attached', error);
  });
}

async function makeVolume(docker: Docker, wanted: Wanted): Promise<void> {
  const { name, labels, room } = wanted;
  const way = room?.limit.way ?? 'off';
  const create = async (options: Record<string, string>): Promise<void> => {
    await docker.createVolume({ Name: name, Labels: labels, DriverOpts: options }).catch((error: unknown) => {
      throw engineError(error, `make the volume ${name}`);
    });
    rememberLimit(docker, name, options);
  };
  const link = linkFor(wanted);
  const isThere = await seesDisk(link);
  if (isThere) {
    room?.limit.log.warn({ volume: name, disk: link }, 'the disk of a workspace is given its volume again');
    await attach(link, wanted);
  } else if (room && way === 'image') {
    const { root } = await engineFacts(docker);
    await makeDisk(link, room.sizeBytes, room.limit.tools, root).catch(async (error: unknown) => {
      // It comes to its name as a whole: by a helper of a bot that was killed since, or by one that was cut off after that.
      if (!(await seesDisk(link))) throw diskFault('made', error);
      await attach(link, wanted);
    });
  } else return create(room && way === 'quota' ? quotaOptions(room.sizeBytes) : {});
  await create(diskOptions(link));
}

/** What the engine has said of a helper is its own, and may pass. */
function diskFault(what: string, cause: unknown): ContainersError {
  if (cause instanceof ContainersError) return cause;
  const words = cause instanceof Error ? cause.message : String(cause);
  return new ContainersError('WORKSPACE', `The disk of the workspace cannot be ${what}: ${words}`, { cause });
}

/** Whether the engine keeps each volume to its size, as it was when it was looked at last: it stays as it was made. */
const limited = new WeakMap<Docker, Map<string, boolean>>();

/**
 * Whether a volume has a size that it cannot go beyond, whatever is set for the others.
 *
 * @throws {ContainersError} `DOCKER_UNREACHABLE`, `DOCKER_REFUSED`
 */
export async function isLimited(docker: Docker, name: string): Promise<boolean> {
  if (limited.get(docker)?.get(name) === undefined) await diskOf(docker, name);
  return limited.get(docker)?.get(name) ?? false;
}

/**
 * Whether a workspace lies on a disk of its own, with its volume or still without.
 *
 * @throws {ContainersError} `DOCKER_UNREACHABLE`, `DOCKER_REFUSED`
 */
export async function isOnDisk(docker: Docker, name: string, limit: WorkspaceLimit): Promise<boolean> {
  const link = await diskOf(docker, name);
  return link === undefined ? seesDisk(linkOf(limit.imagesDir, name)) : link !== null;
}

function rememberLimit(docker: Docker, name: string, options: Record<string, string> | null): void {
  const known = limited.get(docker) ?? new Map<string, boolean>();
  limited.set(
    docker,
    known.set(name, options?.['size'] !== undefined || isDiskLink(options?.['device'] ?? '')),
  );
}

/** @returns null when a volume has no disk of its own; undefined when it is not there */
async function diskOf(docker: Docker, name: string): Promise<string | null | undefined> {
  limited.get(docker)?.delete(name);
  try {
    const { Options, Labels } = await docker.getVolume(name).inspect();
    rememberLimit(docker, name, Options);
    const device = Options?.['device'] ?? '';
    return isDiskLink(device) && Labels?.['threadbox.instance'] !== undefined ? device : null;
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw engineError(error, `look at the volume ${name}`);
  }
}

/**
 * Removes a volume with all that is in it, and its disk. One that is missing is fine.
 *
 * @param limit where a disk may lie that has no volume any more: what a crash in between has left, or an engine that was
 *   begun anew
 * @throws {ContainersError} `DOCKER_UNREACHABLE`; `DOCKER_REFUSED`, also while a container has it; `WORKSPACE` where its
 *   disk cannot be removed
 */
export async function removeVolume(
  docker: Docker,
  name: string,
  limit: Pick<WorkspaceLimit, 'tools'> & { imagesDir?: string } = {},
): Promise<void> {
  await aloneWithDisk(name, async () => {
    const links = new Set([await removeDefinition(docker, name)]);
    const ours = limit.imagesDir === undefined ? null : linkOf(limit.imagesDir, name);
    if (ours !== null && (await seesDisk(ours))) links.add(ours);
    for (const link of links) {
      if (link === null) continue;
      await dropDisk(link, limit.tools).catch((error: unknown) => {
        throw diskFault('removed', error);
      });
    }
  });
}

/** Its disk stays. @returns the link of that; null when it has none */
async function removeDefinition(docker: Docker, name: string): Promise<string | null> {
  const link = await diskOf(docker, name);
  if (link === undefined) return null;
  limited.get(docker)?.delete(name);
  try {
    await docker.getVolume(name).remove();
  } catch (error) {
    if (statusOf(error) !== 404) throw engineError(error, `remove the volume ${name}`);
  }
  return link;
}

/** Told once: it stays so until threads have work again. */
const toldOfNoVolumes = new WeakSet<WorkspaceLimit>();

/**
 * Removes disks of which nobody knows, neither the engine nor the database: what a crash has left between the one and the
 * other. And what is left of those that somebody else has removed. An engine without a single volume of ours is another
 * one than before: nothing is removed then.
 *
 * @param isKept whether somebody's work is in that volume, by what is recorded
 */
export async function removeStrayDisks(
  docker: Docker,
  { instance, limit, now }: { instance: string; limit: WorkspaceLimit; now: Date },
  isKept: (volumeName: string) => Promise<boolean>,
): Promise<void> {
  await removeLeftTrials(docker, { instance, imagesDir: limit.imagesDir, tools: limit.tools }, now);
  if (limit.way !== 'image') return;
  const disks = await listDisks(limit.imagesDir);
  const filters = JSON.stringify({ label: [`threadbox.instance=${instance}`, 'threadbox.thread'] });
  const { Volumes: volumes } = await docker.listVolumes({ filters }).catch((error: unknown) => {
    throw engineError(error, 'list the volumes');
  });
  const known = new Set((volumes ?? []).map(({ Name }) => Name));
  const strays = disks.map(nameOf).filter((name) => !known.has(name) && !isTrial(name, instance));
  if (known.size > 0) for (const name of strays) await removeStray(docker, { name, limit }, isKept);
  else if (strays.length > 0 && !toldOfNoVolumes.has(limit)) {
    toldOfNoVolumes.add(limit);
    limit.log.warn(
      { disks: strays.length, dir: limit.imagesDir },
      'the Docker Engine has no volume of this installation, but there are disks of workspaces. Is it another engine? They are kept',
    );
  }
  await forgetLostDevices(limit.imagesDir, limit.tools);
}

/** Looked at again, with nobody else at it: since it was listed, a thread may have begun to use it. */
async function removeStray(
  docker: Docker,
  { name, limit }: { name: string; limit: WorkspaceLimit },
  isKept: (volumeName: string) => Promise<boolean>,
): Promise<void> {
  await aloneWithDisk(name, async () => {
    if ((await diskOf(docker, name)) !== undefined || (await isKept(name))) return;
    const link = linkOf(limit.imagesDir, name);
    await dropDisk(link, limit.tools);
    limit.log.warn({ disk: link }, 'a disk without a volume, left by a crash, was removed');
  });
}
