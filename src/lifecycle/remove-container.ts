import { containerWithWork } from '../commands/resume-container.ts';
import { hasVolume, stopContainer } from '../containers/container.ts';
import { ContainersError, engineError, statusOf } from '../containers/errors.ts';
import type { SavedWork } from '../containers/save.ts';
import { hasWorkspace } from '../containers/workspace-volume.ts';
import { repositoryById } from '../store/repositories.ts';
import { ensureCurrentSave, retireSave, type EndReason, type SavedState } from '../store/saved-states.ts';
import { markRemoving, markSaveFailed, type DueSession } from '../store/sessions.ts';
import { writeContainerState } from './container-state.ts';
import { finishRemoval } from './finish-removal.ts';
import { idleMinutes } from './idle-time.ts';
import { nextSaveTry } from './next-save-try.ts';
import { keptMs, type LifecycleParts } from './parts.ts';
import { isEngineAway, isRepositoryMissing, isStoreAway, isUnguarded } from './part-faults.ts';
import { saveThread } from './save-thread.ts';
import { tellOwner, tellRepositoryMissing, tellSaveFailed } from './tell-owner.ts';

/** What is kept of a container that is gone now. */
type Removed = {
  saved: SavedState;
  expiresAt: Date;
  /** null when container and volume had gone before, with what was not saved by then. */
  work: SavedWork | null;
};

/**
 * Saves the work of a thread and removes its container: save, verify, record, and only then remove. Called in the
 * thread's queue. Each step can be repeated after a crash.
 *
 * @returns null when the container is kept: it could not be saved (then it is stopped, and its owner told), or was
 *   extended meanwhile
 * @throws when the database is away, or the bot stops: to be tried again, nothing is lost
 */
export async function saveAndRemove(
  parts: LifecycleParts,
  session: DueSession,
  reason: 'idle' | 'evicted' | 'stopped',
  { isByOperator = false } = {},
): Promise<Removed | null> {
  if (session.state === 'removing') {
    await remove(parts, session, reason);
    return null;
  }
  let work: SavedWork | null = null;
  let isThere = false;
  try {
    const containerId = await runningAgain(parts, session);
    isThere = containerId !== null;
    if (containerId !== null) {
      work = (await saveThread(parts, { ...session, containerId }, 'final'))?.work ?? null;
    }
  } catch (error) {
    if (parts.signal.aborted || isStoreAway(error)) throw error;
    await saveHasFailed(parts, session, await asEngineAway(parts, error as Error));
    return null;
  }
  const endReason = isThere ? reason : 'lost';
  const kept = await recordRemoval(parts, session, { reason, endReason, isByOperator });
  if (!kept) return null;
  await writeContainerState(parts, session.threadId);
  await remove(parts, session, reason);
  return { ...kept, work };
}

/** All that is needed of it is recorded. */
async function remove(parts: LifecycleParts, session: DueSession, reason: string): Promise<void> {
  const { events, log, now } = parts;
  const { threadId, containerId, containerName } = session;
  // Whoever looks there for a container that has gone finds what is kept of it.
  await parts.sharedState.written(threadId);
  if (!(await finishRemoval(parts, session))) return;
  await writeContainerState(parts, threadId);
  const minutes = idleMinutes(session, now());
  log.info({ thread: threadId, container: containerName, reason, idleMinutes: minutes }, 'container removed');
  const of = { containerId, threadId, idleMinutes: minutes };
  if (reason === 'evicted') events.tell('container:evicted', of);
  events.tell('container:cleaned', of);
}

/** From here on the container may go. @returns null when it was extended meanwhile */
async function recordRemoval(
  parts: LifecycleParts,
  session: DueSession,
  { reason, endReason, isByOperator }: { reason: string; endReason: EndReason; isByOperator: boolean },
): Promise<Pick<Removed, 'saved' | 'expiresAt'> | null> {
  const { db, docker, now } = parts;
  const expiresAt = new Date(now().getTime() + keptMs(parts));
  const volumeName = (await hasVolume(docker, session.volumeName)) ? session.volumeName : null;
  const saved = await ensureCurrentSave(db, session);
  const isRecorded = await db.transaction(async (transaction) => {
    // An `extend` is answered at once, also while this goes on: it wins.
    const unless = reason === 'stopped' ? {} : { unless: session };
    if (!(await markRemoving(transaction, session.id, { reason, ...unless }))) return false;
    await retireSave(transaction, saved.id, { expiresAt, volumeName, endReason });
    // Who has sent `stop` is answered.
    if (reason === 'stopped' && !isByOperator) return true;
    const { repositoryName, threadId } = session;
    const facts = { repositoryName, savedAt: saved.savedAt, now: now() };
    if (endReason === 'lost') await tellOwner(parts, transaction, threadId, { kind: 'lost', ...facts });
    else if (isByOperator) {
      const { leftOut } = saved;
      await tellOwner(parts, transaction, threadId, {
        kind: 'operator-removed',
        ...facts,
        expiresAt,
        leftOut,
      });
    }
    return true;
  });
  if (endReason === 'lost' || isByOperator) parts.wakeOutbox();
  return isRecorded ? { saved, expiresAt } : null;
}

/**
 * The container of the session, made to run again where somebody stopped or removed it: its volume has the work.
 *
 * @returns its id; null when container and volume are gone, or the volume's disk
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
  if (!isThere && !(await hasWorkspace(docker, session.volumeName, parts.workspaceLimit))) return null;
  const repository = await repositoryById(db, session.repositoryId);
  return (await containerWithWork(parts, session, repository))?.id ?? null;
}

/** What breaks off because the engine goes in the middle of it has words of its own for that: so the engine is asked. */
async function asEngineAway({ docker }: LifecycleParts, error: Error): Promise<Error> {
  if (isEngineAway(error)) return error;
  return docker.ping().then(
    () => error,
    (fault: unknown) => {
      const asked = engineError(fault, 'ask whether it is there');
      return isEngineAway(asked) ? asked : error;
    },
  );
}

/** An engine that is restarted is away for a moment: nobody is told before so many tries have failed. */
const TRIES_WITHOUT_DOCKER = 3;

/** The container is stopped, not removed, and its owner told; the sweep tries again, after growing pauses. */
async function saveHasFailed(parts: LifecycleParts, session: DueSession, error: Error): Promise<void> {
  const { db, docker, events, log, now } = parts;
  const { threadId, containerId, saveFailures } = session;
  const isAway = isEngineAway(error) || isUnguarded(error);
  const isMissing = isRepositoryMissing(error);
  const retryAt = nextSaveTry(error, saveFailures, now());
  const reason = error.message.replaceAll('\0', '').slice(0, 2_000);
  const isGivenUp = !isAway || saveFailures + 1 >= TRIES_WITHOUT_DOCKER;
  if (isEngineAway(error)) parts.states.docker.isDown(error);
  const isRecorded = await db.transaction(async (transaction) => {
    if (!(await markSaveFailed(transaction, session.id, { error: reason, retryAt, isStopped: isGivenUp })))
      return false;
    // Once for each time it begins to fail: what goes on for days is no news.
    if (isGivenUp && session.state !== 'save_failed') {
      if (isMissing) await tellRepositoryMissing(parts, transaction, session, null);
      else await tellSaveFailed(parts, transaction, session, { reason, retryAt });
    }
    return true;
  });
  if (!isRecorded) return;
  // It may stay so for longer than Redis keeps what it has.
  parts.sharedState.writeLater(threadId);
  if (!isAway) {
    log.error({ err: error, thread: threadId, container: session.containerName }, 'the work cannot be saved');
    await stopContainer(docker, session.containerName).catch((fault: unknown) => {
      log.warn(
        { err: fault, thread: threadId },
        'the container whose work cannot be saved cannot be stopped',
      );
    });
  }
  parts.wakeOutbox();
  if (isGivenUp) events.tell('container:save-failed', { containerId, threadId, reason });
}
