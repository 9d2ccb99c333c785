import type Docker from 'dockerode';
import {
  attachDisk,
  dropDisk,
  forgetLostDevices,
  isDiskLink,
  linkOf,
  listDisks,
  makeDisk,
} from './disk-image.ts';
import { ContainersError, engineError, statusOf } from './errors.ts';
import { quotaOptions, type WorkspaceLimit } from './workspace-limit.ts';

/** How the workspace of a thread is limited, and to what. */
export type WorkspaceRoom = { limit: WorkspaceLimit; sizeBytes: number };

/** Disks that are being made: they have no volume yet. */
const inMaking = new Set<string>();

/**
 * Makes sure of a volume, ready to be mounted. One that is there stays as it was made, with a limit or without; where it
 * is a disk of its own, that is attached, and grows to its size.
 *
 * @param room null: there is no limit
 * @returns false when the disk of the volume has gone: it has to be made anew
 * @throws {ContainersError} `DOCKER_UNREACHABLE`, `DOCKER_REFUSED`; `WORKSPACE` where the disk cannot be made or attached
 */
export async function readyVolume(
  docker: Docker,
  { name, labels, room }: { name: string; labels: Record<string, string>; room: WorkspaceRoom | null },
): Promise<boolean> {
  const link = await diskOf(docker, name);
  if (link === undefined) {
    await makeVolume(docker, { name, labels, room });
    return true;
  }
  if (link === null) return true;
  const onFault = (error: unknown): void =>
    room?.limit.log.warn({ err: error, volume: name }, 'a workspace could not grow to its size');
  return attachDisk(link, room?.sizeBytes ?? 0, onFault).catch((error: unknown) => {
    throw diskFault('attached', error);
  });
}

async function makeVolume(
  docker: Docker,
  { name, labels, room }: { name: string; labels: Record<string, string>; room: WorkspaceRoom | null },
): Promise<void> {
  const way = room?.limit.way ?? 'off';
  const create = async (options: Record<string, string>): Promise<void> => {
    await docker.createVolume({ Name: name, Labels: labels, DriverOpts: options }).catch((error: unknown) => {
      throw engineError(error, `make the volume ${name}`);
    });
  };
  if (room && way === 'quota') return create(quotaOptions(room.sizeBytes));
  if (!room || way !== 'image') return create({});
  const link = linkOf(room.limit.imagesDir, name);
  inMaking.add(link);
  try {
    await makeDisk(link, room.sizeBytes).catch((error: unknown) => {
      throw diskFault('made', error);
    });
    await create({ type: 'ext4', device: link, o: MOUNT_OPTIONS });
  } finally {
    inMaking.delete(link);
  }
}

/** Nothing is written that nobody needs, and what is deleted takes no room any more. */
const MOUNT_OPTIONS = 'nosuid,nodev,noatime,noinit_itable,discard';

function diskFault(what: string, cause: unknown): ContainersError {
  const words = cause instanceof Error ? cause.message : String(cause);
  return new ContainersError('WORKSPACE', `The disk of the workspace cannot be ${what}: ${words}`, { cause });
}

/** @returns null when a volume has no disk of its own; undefined when it is not there */
async function diskOf(docker: Docker, name: string): Promise<string | null | undefined> {
  try {
    const { Options, Labels } = await docker.getVolume(name).inspect();
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
 * @throws {ContainersError} `DOCKER_UNREACHABLE`; `DOCKER_REFUSED`, also while a container has it; `WORKSPACE` where its
 *   disk cannot be removed
 */
export async function removeVolume(docker: Docker, name: string): Promise<void> {
  const link = await diskOf(docker, name);
  if (link === undefined) return;
  try {
    await docker.getVolume(name).remove();
  } catch (error) {
    if (statusOf(error) !== 404) throw engineError(error, `remove the volume ${name}`);
  }
  // A crash in between leaves a disk without a volume: see `removeStrayDisks`.
  if (link === null) return;
  await dropDisk(link).catch((error: unknown) => {
    throw diskFault('removed', error);
  });
}

/**
 * Removes disks of which no volume knows: what a crash has left between the one and the other. And what is left of those
 * that somebody else has removed.
 */
export async function removeStrayDisks(
  docker: Docker,
  instance: string,
  limit: WorkspaceLimit,
): Promise<void> {
  if (limit.way !== 'image') return;
  // What is made while this looks has a volume before it is listed, or is in making.
  const made = new Set(inMaking);
  const disks = await listDisks(limit.imagesDir);
  for (const link of inMaking) made.add(link);
  const filters = JSON.stringify({ label: [`threadbox.instance=${instance}`] });
  const { Volumes: volumes } = await docker.listVolumes({ filters }).catch((error: unknown) => {
    throw engineError(error, 'list the volumes');
  });
  const known = new Set((volumes ?? []).map(({ Name }) => linkOf(limit.imagesDir, Name)));
  for (const link of disks) {
    if (known.has(link) || made.has(link)) continue;
    await dropDisk(link);
    limit.log.warn({ disk: link }, 'a disk without a volume, left by a crash, was removed');
  }
  await forgetLostDevices(limit.imagesDir);
}
