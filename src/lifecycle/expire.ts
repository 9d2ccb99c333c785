import { statfs } from 'node:fs/promises';
import { removeVolume } from '../containers/container.ts';
import { repositoryById } from '../store/repositories.ts';
import {
  forgetVolume,
  markAnnounced,
  markExpired,
  savesToAnnounce,
  savesToClean,
  savesWithVolumes,
  type SavedState,
} from '../store/saved-states.ts';
import { cleanSave } from './clean-save.ts';
import { keptMs, type LifecycleParts } from './parts.ts';
import { tellOwner } from './tell-owner.ts';

const MOST_AT_ONCE = 50;
const DAY_MS = 86_400_000;

/** Announces the saved states that are about to expire, a day before; removes those that have. */
export async function expireSaves(parts: LifecycleParts): Promise<void> {
  const { db, now } = parts;
  // One that is kept for a day only would be announced when it is made.
  const aheadMs = Math.min(DAY_MS, keptMs(parts) / 7);
  const soon = new Date(now().getTime() + aheadMs);
  for (const saved of await savesToAnnounce(db, soon, MOST_AT_ONCE)) await announce(parts, saved);
  await markExpired(db, now());
  for (const saved of await savesToClean(db, { limit: MOST_AT_ONCE })) {
    if (parts.queues.isBusy(saved.threadId)) continue;
    await parts.queues.run(saved.threadId, () => cleanSave(parts, saved));
  }
}

async function announce(parts: LifecycleParts, saved: SavedState): Promise<void> {
  const { db, now } = parts;
  const { name: repositoryName } = await repositoryById(db, saved.repositoryId);
  await db.transaction(async (transaction) => {
    if (!(await markAnnounced(transaction, saved.id, now()))) return;
    await tellOwner(parts, transaction, saved.threadId, {
      kind: 'expiring',
      repositoryName,
      savedAt: saved.savedAt as Date,
      expiresAt: saved.expiresAt as Date,
      filesModified: saved.filesModified,
      now: now(),
    });
  });
  parts.wakeOutbox();
}

/**
 * Drops kept workspaces while the engine's disk has too little room, the oldest first: their verified saves stay. Only
 * where the engine's disk is one of this machine's.
 */
export async function makeDiskRoom(parts: LifecycleParts): Promise<void> {
  const { db, docker, log, config } = parts;
  for (const saved of await savesWithVolumes(db, { limit: MOST_AT_ONCE })) {
    if (parts.queues.isBusy(saved.threadId)) continue;
    if ((await freeBytes(parts)) >= config.workspaceMinFreeBytes) return;
    await parts.queues.run(saved.threadId, async () => {
      const [still] = await savesWithVolumes(db, { threadId: saved.threadId, limit: 1 });
      if (!still?.volumeName) return;
      await removeVolume(docker, still.volumeName);
      await forgetVolume(db, still.id);
      log.info(
        { thread: saved.threadId },
        'a kept workspace was dropped for want of disk room; its save stays',
      );
    });
  }
}

async function freeBytes({ docker, log }: LifecycleParts): Promise<number> {
  const { DockerRootDir: root } = (await docker.info()) as { DockerRootDir: string };
  try {
    const { bavail, bsize } = await statfs(root);
    return bavail * bsize;
  } catch (error) {
    log.debug({ err: error }, 'the disk of the Docker Engine cannot be measured from here');
    return Number.POSITIVE_INFINITY;
  }
}
