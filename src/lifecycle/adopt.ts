import { listInstalled, type Installed } from '../containers/installed.ts';
import { openCommandsOfThread } from '../store/commands.ts';
import { isVolumeToClean } from '../store/expiring-saves.ts';
import { currentSave, reviveSave, type SavedState } from '../store/saved-states.ts';
import { activeSession, openSession, recordActivity } from '../store/sessions.ts';
import { threadById } from '../store/threads.ts';
import { isStoreAway, noteFault } from './part-faults.ts';
import type { LifecycleParts } from './parts.ts';

/**
 * Gives a session to every container and workspace of ours that has none: what a crash left between the engine and the
 * database. From then on it idles, is saved and removed like any other, so that nothing is left and nothing is lost.
 * Threads with something in their queue are left for the next time.
 */
export async function adoptStrays(parts: LifecycleParts): Promise<void> {
  const { db, docker, installation, queues, signal } = parts;
  for (const { threadId } of await listInstalled(docker, installation)) {
    signal.throwIfAborted();
    try {
      if (await activeSession(db, threadId)) continue;
      await queues.runIfIdle(threadId, async () => {
        // Listed again: the thread may have had its turn since.
        const [found] = await listInstalled(docker, installation, threadId);
        if (found) await adopt(parts, found);
      });
    } catch (error) {
      if (signal.aborted || isStoreAway(error)) throw error;
      noteFault(parts, error, 'a container that no session has could not be taken up', { thread: threadId });
    }
  }
}

async function adopt(parts: LifecycleParts, found: Installed): Promise<void> {
  const { db, config, log, now } = parts;
  const { threadId, containerId, containerName, volumeName, network } = found;
  const thread = await threadById(db, threadId);
  if (!thread) {
    log.warn({ container: containerName, thread: threadId }, 'a container of a thread that is not known');
    return;
  }
  const [session, saved, open] = await Promise.all([
    activeSession(db, threadId),
    currentSave(db, threadId),
    openCommandsOfThread(db, threadId),
  ]);
  // The next command of the thread takes up what it finds by itself.
  if (session || open.length > 0) return;
  if (containerId === null && (await isKept(parts, volumeName, saved))) return;
  log.warn({ thread: threadId, container: containerName }, 'a container that no session has is taken up');
  const { userId, repositoryId } = thread;
  const of = {
    containerName,
    volumeName,
    image: config.containerImage,
    threadId,
    userId,
    repositoryId,
    network,
  };
  await db.transaction(async (transaction) => {
    if (saved) await reviveSave(transaction, saved.id);
    const { id } = await openSession(
      transaction,
      // Where there is a volume alone, its container is made when it is needed, under that name.
      { ...of, containerId: containerId ?? containerName },
      { endReason: 'taken up', now: now() },
    );
    // Whether all of it was saved, nobody knows.
    await recordActivity(transaction, id, { now: now(), isUnsaved: true });
  });
}

/** It is known whose the volume is, and when it goes. */
async function isKept(
  { db }: LifecycleParts,
  volumeName: string,
  saved: SavedState | null,
): Promise<boolean> {
  return saved?.volumeName === volumeName || (await isVolumeToClean(db, volumeName));
}
