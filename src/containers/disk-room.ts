import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { WorkspaceLimit } from './workspace-limit.ts';

/** With less on its disk a bot is not well, and starts nothing that writes to disk images. */
export const LEAST_FREE_BYTES = 256 << 20;
/** So much has to be there again before it does: else it would be told anew with each file that comes and goes. */
const ENOUGH_FREE_BYTES = 384 << 20;
/** With so little, what is written may have been lost already, unsaid: the page cache takes it first. */
const LOST_BELOW_BYTES = 32 << 20;

/**
 * Whether the disk below the images has too little room. What is beyond it when a disk image writes is lost: the file system in the
 * image has room, and finds out too late. The margin is for what runs already.
 *
 * @param freeBytes null: there are no images
 */
export function isShortOfDisk(freeBytes: number | null, wasShort: boolean): boolean {
  return freeBytes !== null && freeBytes < (wasShort ? ENOUGH_FREE_BYTES : LEAST_FREE_BYTES);
}

/** What stands in the answer of a command that ended when nearly nothing was left. @returns null where there was room */
export const mayBeLostNote = (freeBytes: number | null): string | null =>
  freeBytes === null || freeBytes >= LOST_BELOW_BYTES
    ? null
    : 'The disk of the machine is full: what this command has written last may be lost, though it ended well. Look at it before you go on, and tell whoever runs this Threadbox.';

/**
 * Room on the disk that images lie on.
 *
 * @returns null where there are none
 * @throws where it cannot be found out
 */
export async function freeForImages({
  way,
  imagesDir,
}: Pick<WorkspaceLimit, 'way' | 'imagesDir'>): Promise<number | null> {
  // Images stay images where the way has changed. Before the first there is no directory.
  const places = way === 'image' ? [imagesDir, dirname(imagesDir), dirname(dirname(imagesDir))] : [imagesDir];
  for (const dir of places) {
    try {
      const { bavail, bsize } = await statfs(dir);
      return bavail * bsize;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return null;
}
