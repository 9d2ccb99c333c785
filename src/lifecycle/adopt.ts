import { listInstalled } from '../containers/installed.ts';
import { openCommandsOfThread } from '../store/commands.ts';
import { currentSave } from '../store/saved-states.ts';
import { activeSession, openSession } from '../store/sessions.ts';
import { threadById } from '../store/threads.ts';
import type { LifecycleParts } from './parts.ts';

/**
 * Gives a session to every container and workspace of ours that has none: what a crash left between the engine and the
 * database. From then on it idles, is saved and removed like any other, so that nothing is left and nothing is lost.
 */
export async function adoptStrays(parts: LifecycleParts): Promise<void> {
  const { db, docker, installation, config, log, now } = parts;
  for (const found of await listInstalled(docker, installation)) {
    const { threadId, containerId, containerName, volumeName } = found;
    const thread = await threadById(db, threadId);
    if (!thread) {
      log.warn({ container: containerName, thread: threadId }, 'a container of a thread that is not known');
      continue;
    }
    const [session, saved, open] = await Promise.all([
      activeSession(db, threadId),
      currentSave(db, threadId),
      openCommandsOfThread(db, threadId),
    ]);
    const isKeptVolume = containerId === null && saved?.volumeName === volumeName;
    // The next command of the thread takes up what it finds by itself.
    if (session || isKeptVolume || open.length > 0) continue;
    log.warn({ thread: threadId, container: containerName }, 'a container that no session has is taken up');
    await openSession(
      db,
      {
        containerId: containerId ?? '',
        containerName,
        volumeName,
        image: config.containerImage,
        threadId,
        userId: thread.userId,
        repositoryId: thread.repositoryId,
        notes: [],
      },
      { endReason: 'taken up', now: now() },
    );
  }
}
