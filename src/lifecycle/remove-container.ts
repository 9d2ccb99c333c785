import { containerOf } from '../commands/open-container.ts';
import { hasVolume, removeContainer, stopContainer } from '../containers/container.ts';
import { ContainersError, statusOf } from '../containers/errors.ts';
import type { SavedWork } from '../containers/save.ts';
import { repositoryById } from '../store/repositories.ts';
import { currentSave, ensureCurrentSave, retireSave, type EndReason } from '../store/saved-states.ts';
import { endSession, markRemoving, markSaveFailed, type DueSession } from '../store/sessions.ts';
import { writeContainerState } from './container-state.ts';
import { idleMinutes } from './idle-time.ts';
import { keptMs, type LifecycleParts } from './parts.ts';
import { saveThread } from './save-thread.ts';
import { tellSaveFailed } from './tell-owner.ts';

/** What was saved of a container that is gone now; `work` is null when it had gone before, with all that was in it. */
type Removed = { savedAt: Date | null; expiresAt: Date; work: SavedWork | null };

const FIRST_RETRY_MS = 60_000;
const LONGEST_RETRY_MS = 3600_000;

/**
 * Saves the work of a thread and removes its container: save, verify, record, and only then remove. Called in the
 * thread's queue. Each step can be repeated after a crash.
 *
 * @returns null when the container is kept: it could not be saved (then it is stopped, and its owner told), or was
 *   extended meanwhile
 * @throws {ContainersError} DOCKER_UNREACHABLE: to be tried again, nothing is lost
 */
export async function saveAndRemove(
  parts: LifecycleParts,
  session: DueSession,
  reason: EndReason,
): Promise<Removed | null> {
  const { db, docker, events, log, now } = parts;
  let work: SavedWork | null = null;
  if (session.state !== 'removing') {
    const there = await runningAgain(parts, session);
    try {
      if (there !== null) {
        work = (await saveThread(parts, { ...session, containerId: there }, 'final')).work;
      }
    } catch (error) {
      if (parts.signal.aborted || isDockerAway(error)) throw error;
      await saveHasFailed(parts, { ...session, containerId: there ?? session.containerId }, error as Error);
      return null;
    }
  }
  const expiresAt = new Date(now().getTime() + keptMs(parts));
  const volumeName = (await hasVolume(docker, session.volumeName)) ? session.volumeName : null;
  const { id: savedStateId } = await ensureCurrentSave(db, session);
  const isStill = await db.transaction(async (transaction) => {
    // An `extend` is answered at once, also while this goes on: it wins.
    const unless = reason === 'stopped' ? null : session;
    if (!(await markRemoving(transaction, session.id, unless))) return false;
    const endReason = work || session.state === 'removing' ? reason : 'lost';
    await retireSave(transaction, savedStateId, { expiresAt, volumeName, endReason });
    return true;
  });
  if (!isStill) return null;
  await writeContainerState(parts, session.threadId);
  // By its name: after a crash in between it may be another one than the session knows.
  await removeContainer(docker, session.containerName);
  await endSession(db, session.id, reason, now());
  await writeContainerState(parts, session.threadId);
  const minutes = idleMinutes(session, now());
  const { threadId, containerId, containerName } = session;
  log.info({ thread: threadId, container: containerName, reason, idleMinutes: minutes }, 'container removed');
  const of = { containerId, threadId, idleMinutes: minutes };
  if (reason === 'evicted') events.tell('container:evicted', of);
  events.tell('container:cleaned', of);
  const saved = await currentSave(db, threadId);
  return { savedAt: saved?.savedAt ?? null, expiresAt, work };
}

/**
 * The container of the session, made to run again where somebody stopped or removed it: its volume has the work.
 *
 * @returns its id; null when container and volume are gone
 */
export async function runningAgain(parts: LifecycleParts, session: DueSession): Promise<string | null> {
  const { docker, db } = parts;
  const isThere = await docker
    .getContainer(session.containerName)
    .inspect()
    .then(
      () => true,
      (error: unknown) => {
        if (statusOf(error) === 404) return false;
        throw error;
      },
    )
    .catch((error: unknown) => {
      const words = error instanceof Error ? error.message : String(error);
      throw new ContainersError('DOCKER_UNREACHABLE', `Docker does not answer: ${words}`, { cause: error });
    });
  if (!isThere && !(await hasVolume(docker, session.volumeName))) return null;
  const { id } = await containerOf(parts, session, await repositoryById(db, session.repositoryId));
  return id;
}

/** The container is stopped, not removed, and its owner told; the sweep tries again, after growing pauses. */
async function saveHasFailed(parts: LifecycleParts, session: DueSession, error: Error): Promise<void> {
  const { db, docker, events, log, now } = parts;
  const { threadId, containerId, saveFailures } = session;
  const pauseMs = Math.min(FIRST_RETRY_MS * 2 ** saveFailures, LONGEST_RETRY_MS);
  const retryAt = new Date(now().getTime() + pauseMs);
  const reason = error.message.replaceAll('\0', '').slice(0, 2_000);
  log.error({ err: error, thread: threadId, container: session.containerName }, 'the work cannot be saved');
  await stopContainer(docker, session.containerName);
  await db.transaction(async (transaction) => {
    await markSaveFailed(transaction, session.id, { error: reason, retryAt, isStopped: true });
    // Once for each time it begins to fail: what goes on for days is no news.
    if (session.state !== 'save_failed')
      await tellSaveFailed(parts, transaction, session, { reason, retryAt });
  });
  parts.wakeOutbox();
  events.tell('container:save-failed', { containerId, threadId, reason });
}

export function isDockerAway(error: unknown): boolean {
  return error instanceof ContainersError && error.code === 'DOCKER_UNREACHABLE';
}
