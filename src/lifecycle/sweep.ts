import { setTimeout as pause } from 'node:timers/promises';
import { isDatabaseAway } from '../store/database.ts';
import {
  checkSessionAt,
  dueSessions,
  markSaveFailed,
  markWarned,
  sessionOfThread,
  type DueSession,
} from '../store/sessions.ts';
import { rebuildContainerStates } from './container-state.ts';
import { expireSaves, makeDiskRoom } from './expire.ts';
import { idleVerdict, type IdleVerdict } from './idle-policy.ts';
import { idleFacts } from './idle-time.ts';
import { keptMs, type LifecycleParts } from './parts.ts';
import { isDockerAway, saveAndRemove } from './remove-container.ts';
import { saveThread } from './save-thread.ts';
import { tellOwner } from './tell-owner.ts';

/** So many are looked at in one pass; the next pass takes the rest. */
const MOST_AT_ONCE = 100;
const RETRY_MS = 60_000;
const DAY_MS = 86_400_000;

export type Sweep = { now: () => Promise<void>; close: () => Promise<void> };

/**
 * Looks again and again at what is due: containers to be warned of, to be saved and removed, saved states that expire.
 * Every step that touches a container is done in its thread's queue.
 *
 * @param takeStock done once before the first sweep
 */
export function startSweep(parts: LifecycleParts, takeStock: () => Promise<void>): Sweep {
  const closing = new AbortController();
  const signal = AbortSignal.any([parts.signal, closing.signal]);
  const inHand = new Map<string, Promise<void>>();
  let hasTakenStock = false;

  async function sweep(): Promise<void> {
    if (!hasTakenStock) await takeStock();
    hasTakenStock = true;
    const due = await dueSessions(parts.db, parts.now(), MOST_AT_ONCE);
    for (const { threadId } of due) {
      if (inHand.has(threadId)) continue;
      const done = attendTo(parts, threadId).finally(() => inHand.delete(threadId));
      inHand.set(threadId, done);
    }
    await expireSaves(parts);
    await makeDiskRoom(parts);
    await rebuildContainerStates(parts);
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      try {
        await sweep();
        parts.states.database.isUp();
      } catch (error) {
        if (signal.aborted) return;
        if (isDatabaseAway(error)) parts.states.database.isDown(error as Error);
        else if (isDockerAway(error)) parts.states.docker.isDown(error as Error);
        else parts.log.error({ err: error }, 'a sweep failed; the next one tries again');
      }
      // Rejects only when it is to end; the loop sees that.
      await pause(parts.config.containerCheckIntervalMs, undefined, { signal }).catch(() => {});
    }
  }
  const running = run();
  return {
    async now() {
      await sweep();
      await Promise.all(inHand.values());
    },
    async close() {
      closing.abort();
      await running;
      await Promise.all(inHand.values());
    },
  };
}

/** In the thread's queue; by then much may have changed, so it is looked up anew there. */
async function attendTo(parts: LifecycleParts, threadId: string): Promise<void> {
  try {
    await parts.queues.run(threadId, async () => {
      const session = await sessionOfThread(parts.db, threadId);
      if (session && !session.isBusy) await attend(parts, session);
    });
  } catch (error) {
    if (parts.signal.aborted || (error as Error).name === 'AbortError') return;
    if (isDockerAway(error)) parts.states.docker.isDown(error as Error);
    else if (isDatabaseAway(error)) parts.states.database.isDown(error as Error);
    else parts.log.error({ err: error, thread: threadId }, 'an idle container could not be dealt with');
  }
}

async function attend(parts: LifecycleParts, session: DueSession): Promise<void> {
  if (session.state !== 'active') {
    await saveAndRemove(parts, session, 'idle');
    return;
  }
  const verdict = idleVerdict(idleFacts(session, parts), parts.now());
  if (verdict.kind === 'remove') await saveAndRemove(parts, session, 'idle');
  else if (verdict.kind === 'warn') await warn(parts, session, verdict);
  else await wait(parts, session, verdict.until);
}

/** Nothing is due; but what was left unsaved after a command is tried again. */
async function wait(parts: LifecycleParts, session: DueSession, until: Date): Promise<void> {
  const at = session.isSaved || (await saveAgain(parts, session)) ? until : laterThan(parts.now(), RETRY_MS);
  await checkSessionAt(parts.db, session.id, at < until ? at : until);
}

/** After a command, and in the sweep when that failed. @returns false when it is to be tried again */
export async function saveAgain(parts: LifecycleParts, session: DueSession): Promise<boolean> {
  try {
    await saveThread(parts, session, 'quick');
    return true;
  } catch (error) {
    if (parts.signal.aborted) throw error;
    const { threadId: thread } = session;
    parts.log.warn({ err: error, thread }, 'the work could not be saved yet; it is tried again');
    const retryAt = laterThan(parts.now(), RETRY_MS);
    const reason = (error as Error).message.replaceAll('\0', '').slice(0, 2_000);
    await markSaveFailed(parts.db, session.id, { error: reason, retryAt, isStopped: false });
    return false;
  }
}

async function warn(
  parts: LifecycleParts,
  session: DueSession,
  { goesAt, minutesRemaining }: Extract<IdleVerdict, { kind: 'warn' }>,
): Promise<void> {
  const { db, events, log, now } = parts;
  const { threadId, containerId, repositoryName } = session;
  const saved = await saveThread(parts, session, 'full').catch((error: unknown) => {
    if (parts.signal.aborted || isDatabaseAway(error)) throw error;
    // The warning is due all the same; the save before the removal has the last word.
    log.warn({ err: error, thread: threadId }, 'the work could not be saved for the warning');
    return null;
  });
  const at = now();
  const isWarned = await db.transaction(async (transaction) => {
    if (!(await markWarned(transaction, session.id, at, goesAt))) return false;
    await tellOwner(parts, transaction, threadId, {
      kind: 'idle-warning',
      repositoryName,
      threadId,
      goesAt,
      minutesRemaining,
      filesModified: saved?.work.filesModified ?? null,
      unpushedCommits: saved?.work.unpushedCommits ?? 0,
      keptDays: Math.round(keptMs(parts) / DAY_MS),
      now: at,
    });
    return true;
  });
  if (!isWarned) return;
  parts.wakeOutbox();
  log.info({ thread: threadId, goesAt }, 'idle warning sent');
  events.tell('container:idle-warning', { containerId, threadId, minutesRemaining });
}

const laterThan = (at: Date, ms: number): Date => new Date(at.getTime() + ms);
