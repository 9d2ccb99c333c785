import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { removeVolume } from '../containers/container.ts';
import { isOnDisk } from '../containers/workspace-volume.ts';
import { engineFacts } from '../containers/engine-facts.ts';
import {
  markAnnounced,
  markExpired,
  savesToAnnounce,
  savesToClean,
  savesWithVolumes,
} from '../store/expiring-saves.ts';
import { repositoryById } from '../store/repositories.ts';
import { forgetVolume, type SavedState } from '../store/saved-states.ts';
import { cleanSave } from './clean-save.ts';
import { isStoreAway, noteFault } from './part-faults.ts';
import { keptMs, type LifecycleParts } from './parts.ts';
import { usableThread } from '../store/threads.ts';
import { tellOwner } from './tell-owner.ts';

const MOST_AT_ONCE = 50;
const DAY_MS = 86_400_000;

/** Announces the saved states that are about to expire, a day before; removes those that have. */
export async function expireSaves(parts: LifecycleParts): Promise<void> {
  const { db, now } = parts;
  // One that is kept for a day only would be announced when it is made.
  const aheadMs = Math.min(DAY_MS, keptMs(parts) / 7);
  const soon = new Date(now().getTime() + aheadMs);
  await forEach(parts, {
    find: (portion) => savesToAnnounce(db, soon, portion),
    attend: (saved) => announce(parts, saved, aheadMs),
    fault: 'the end of a saved state could not be announced',
  });
  await markExpired(db, now());
  await forEach(parts, {
    find: (portion) => savesToClean(db, portion),
    attend: async (saved) => {
      // Busy: the next sweep takes it, or the command itself.
      const cleaning = parts.queues.runIfIdle(saved.threadId, () => cleanSave(parts, saved));
      await cleaning;
      return cleaning !== null;
    },
    fault: 'a saved state that is over could not be removed',
  });
}

/**
 * Attends to what is found, in portions. One that cannot be attended to stops nobody else.
 *
 * @param how `attend`: false when it is found again all the same
 */
async function forEach(
  parts: LifecycleParts,
  how: {
    find: (portion: { limit: number; skip: number }) => Promise<SavedState[]>;
    attend: (saved: SavedState) => Promise<boolean>;
    fault: string;
    isEnough?: () => Promise<boolean>;
  },
): Promise<void> {
  for (let skip = 0; ;) {
    const found = await how.find({ limit: MOST_AT_ONCE, skip });
    for (const saved of found) {
      if (await how.isEnough?.()) return;
      parts.signal.throwIfAborted();
      let isDone = false;
      try {
        isDone = await how.attend(saved);
      } catch (error) {
        if (parts.signal.aborted || isStoreAway(error)) throw error;
        noteFault(parts, error, how.fault, { thread: saved.threadId, savedState: saved.id });
      }
      if (!isDone) skip += 1;
    }
    if (found.length < MOST_AT_ONCE) return;
  }
}

async function announce(parts: LifecycleParts, saved: SavedState, aheadMs: number): Promise<boolean> {
  const { db, now } = parts;
  const { name: repositoryName } = await repositoryById(db, saved.repositoryId);
  const expiresAt = await db.transaction(async (transaction) => {
    const at = await markAnnounced(transaction, saved.id, { now: now(), aheadMs });
    if (at) {
      await tellOwner(parts, transaction, saved.threadId, {
        kind: 'expiring',
        repositoryName,
        isAside: saved.state === 'aside',
        savedAt: saved.savedAt as Date,
        expiresAt: at,
        filesModified: saved.filesModified,
        isRepositoryRemoved: (await usableThread(transaction, saved.threadId)) === null,
        now: now(),
      });
    }
    return at;
  });
  if (expiresAt) {
    parts.sharedState.writeLater(saved.threadId);
    parts.wakeOutbox();
  }
  return expiresAt !== null;
}

/** Room on the engine's disk, and on that of disk images, which may be the same; infinite where nobody can tell from here. */
export type FreeBytes = { engine: number; images: number };

/** Whether a kept workspace lies where there is too little room. @param isImage it is a disk of its own */
export function isShortOfRoom(isImage: boolean, free: FreeBytes, minBytes: number): boolean {
  return (isImage ? free.images : free.engine) < minBytes;
}

/**
 * Drops kept workspaces while the disk that they lie on has too little room, the oldest first: their verified saves stay.
 * Only where that disk is one of this machine's.
 */
export async function makeDiskRoom(parts: LifecycleParts): Promise<void> {
  const { db, config } = parts;
  await forEach(parts, {
    find: (portion) => savesWithVolumes(db, portion),
    attend: async ({ threadId }) => {
      const dropping = parts.queues.runIfIdle(threadId, () => dropVolume(parts, threadId));
      return dropping !== null && (await dropping);
    },
    fault: 'a kept workspace could not be dropped for want of disk room',
    isEnough: async () => {
      const free = await freeBytes(parts);
      return [true, false].every((isImage) => !isShortOfRoom(isImage, free, config.workspaceMinFreeBytes));
    },
  });
}

/** In the thread's queue; by then much may have changed, so it is looked up anew there. @returns false when it stays */
async function dropVolume(parts: LifecycleParts, threadId: string): Promise<boolean> {
  const { db, docker, config, log } = parts;
  const [still] = await savesWithVolumes(db, { threadId, limit: 1 });
  if (!still?.volumeName) return false;
  const isImage = await isOnDisk(docker, still.volumeName, parts.workspaceLimit);
  if (!isShortOfRoom(isImage, await freeBytes(parts), config.workspaceMinFreeBytes)) return false;
  await removeVolume(docker, still.volumeName, parts.workspaceLimit);
  await forgetVolume(db, still.id);
  log.info({ thread: threadId }, 'a kept workspace was dropped for want of disk room; its save stays');
  return true;
}

async function freeBytes({ docker, workspaceLimit, log }: LifecycleParts): Promise<FreeBytes> {
  const { rootDir } = await engineFacts(docker);
  const freeIn = async (dir: string): Promise<number> => {
    try {
      const { bavail, bsize } = await statfs(dir);
      return bavail * bsize;
    } catch (error) {
      log.debug({ err: error, dir }, 'the disk that workspaces lie on cannot be measured from here');
      return Number.POSITIVE_INFINITY;
    }
  };
  // Nothing lies there before the first.
  const hasImages = existsSync(workspaceLimit.imagesDir);
  const [engine, images] = await Promise.all([
    freeIn(rootDir),
    hasImages ? freeIn(workspaceLimit.imagesDir) : Number.POSITIVE_INFINITY,
  ]);
  return { engine, images };
}
