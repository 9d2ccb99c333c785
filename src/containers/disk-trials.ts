import { randomBytes } from 'node:crypto';
import type Docker from 'dockerode';
import { aloneWithDisk, dropDisk, listDisks, nameOf } from './disk-image.ts';
import type { DiskTools } from './disk-tools.ts';
import { engineError, statusOf } from './errors.ts';

/** None lasts so long. */
const OLD_MS = 3_600_000;

const beginningOf = (instance: string): string => `threadbox-${instance}-trial`;

/**
 * Of the volume, and of its disk, by which is tried how workspaces can be limited: of its own for each, as two bots may start at
 * once. It tells when it was made.
 */
export const newTrial = (instance: string, now: Date): string =>
  `${beginningOf(instance)}-${now.getTime().toString(36)}-${randomBytes(4).toString('hex')}`;

export const isTrial = (name: string, instance: string): boolean =>
  name === beginningOf(instance) || name.startsWith(`${beginningOf(instance)}-`);

/** Whether it is what a trial has left that was cut off. Those of before had one name for all. */
export function isLeftTrial(name: string, instance: string, now: Date): boolean {
  if (!isTrial(name, instance)) return false;
  const [, madeAt] = /-trial-([a-z\d]+)-[a-f\d]{8}$/.exec(name) ?? [];
  // Clocks are set back, too.
  return madeAt === undefined || Math.abs(now.getTime() - Number.parseInt(madeAt, 36)) > OLD_MS;
}

/**
 * Removes what trials have left that were cut off.
 *
 * @throws {ContainersError} `DOCKER_UNREACHABLE`, `DOCKER_REFUSED`; Error where a disk cannot be removed
 */
export async function removeLeftTrials(
  docker: Docker,
  { instance, imagesDir, tools }: { instance: string; imagesDir: string; tools: DiskTools | undefined },
  now: Date,
): Promise<void> {
  const isLeft = (name: string): boolean => isLeftTrial(name, instance, now);
  const filters = JSON.stringify({ label: [`threadbox.instance=${instance}`] });
  try {
    const { Volumes: volumes } = await docker.listVolumes({ filters });
    for (const { Name } of (volumes ?? []).filter(({ Name: name }) => isLeft(name)))
      await docker.getVolume(Name).remove();
  } catch (error) {
    // Somebody else has removed it, or is at it.
    if (statusOf(error) !== 404 && statusOf(error) !== 409)
      throw engineError(error, 'remove what trials have left');
  }
  for (const link of await listDisks(imagesDir)) {
    if (isLeft(nameOf(link))) await aloneWithDisk(nameOf(link), () => dropDisk(link, tools));
  }
}
