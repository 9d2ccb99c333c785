import { setTimeout as pause } from 'node:timers/promises';
import { atMost } from '../commands/queues.ts';
import {
  checkSessionAt,
  checkSessionsNow,
  dueSessions,
  markSaveFailed,
  markWarned,
  sessionOfThread,
  type DueSession,
} from '../store/sessions.ts';
import { removeUnstarted } from '../containers/host-script.ts';
import { removeStrayDisks } from '../containers/workspace-volume.ts';
import { isVolumeOfWork } from '../store/expiring-saves.ts';
import { isRemovalAsked } from '../store/session-ends.ts';
import { usableThread } from '../store/threads.ts';
import { adoptStrays } from './adopt.ts';
import { rebuildContainerStates } from './container-state.ts';
import { expireSaves, makeDiskRoom } from './expire.ts';
import { idleVerdict, type IdleVerdict } from './idle-policy.ts';
import { idleFacts } from './idle-time.ts';
import { isEngineAway, isRepositoryMissing, isStoreAway, isUnguarded, noteFault } from './part-faults.ts';
import { nextSaveTry } from './next-save-try.ts';
import { keptMs, type LifecycleParts } from './parts.ts';
import { runningAgain, saveAndRemove } from './remove-container.ts';
import { removeOld } from './retention.ts';
import { saveThread, type ThreadSave } from './save-thread.ts';
import { tellOwner, tellRepositoryMissing } from './tell-owner.ts';

/** So many are asked for at once. */
const PORTION = 100;
/** So many are attended to at the same time: most of them only wait for their save. */
const MOST_AT_WORK = 10;
/** One that is not done by then takes no place of the others any more. */
const PATIENCE_MS = 60_000;
const RETRY_MS = 60_000;
const ADOPT_EVERY_MS = 3600_000;
const DAY_MS = 86_400_000;

export type Sweep = { now: () => Promise<void>; close: () => Promise<void> };

/**
 * Looks again and again at what is due: containers to be warned of, to be saved and removed, saved states that expire.
 * Every step that touches a container is done in its thread's queue, and none waits there behind a command.
 */
export function startSweep(parts: LifecycleParts): Sweep {
  const closing = new AbortController();
  const signal = AbortSignal.any([parts.signal, closing.signal]);
  const inHand = new Map<string, Promise<void>>();
  const atWork = atMost(MOST_AT_WORK, PATIENCE_MS);
  let hasTakenStock = false;
  let adoptedAtMs = Number.NEGATIVE_INFINITY;

  /** Independent of each other: what is wrong with one stops no other. */
  const steps: [fault: string, step: () => Promise<void>][] = [
    ['the idle containers could not be looked at', attendToDue],
    ['the containers that no session has could not be looked for', adoptNowAndThen],
    ['the saved states could not be looked at', () => expireSaves(parts)],
    ['the room on the disk could not be looked at', () => makeDiskRoom(parts)],
    ['what is old could not be removed', () => removeOld(parts)],
    ['networks without an allow-list could not be removed', () => parts.allowLists.tidy()],
    ['Redis could not be brought up to date', () => rebuildContainerStates(parts)],
  ];

  async function attendToDue(): Promise<void> {
    // At the start: the settings may be others than those it was decided under.
    if (!hasTakenStock) await checkSessionsNow(parts.db);
    hasTakenStock = true;
    let due: DueSession[];
    let after = 0;
    do {
      due = await dueSessions(parts.db, parts.now(), PORTION, after);
      for (const { threadId } of due) {
        if (inHand.has(threadId)) continue;
        const done = takeTurn(threadId).finally(() => inHand.delete(threadId));
        inHand.set(threadId, done);
      }
      after = due.at(-1)?.id ?? after;
    } while (due.length === PORTION);
  }

  /** One that waits behind something in its thread takes no place of the others meanwhile. */
  async function takeTurn(threadId: string): Promise<void> {
    while (!signal.aborted && !(await atWork(() => attendTo(parts, threadId)))) {
      // Rejects only when the bot stops.
      await parts.queues.run(threadId, () => Promise.resolve()).catch(() => {});
    }
  }

  async function adoptNowAndThen(): Promise<void> {
    const nowMs = parts.now().getTime();
    if (Math.abs(nowMs - adoptedAtMs) < ADOPT_EVERY_MS) return;
    await adoptStrays(parts);
    const { db, docker, installation, workspaceLimit: limit } = parts;
    await removeUnstarted(docker, installation, parts.now());
    const of = { instance: installation, limit, now: parts.now() };
    await removeStrayDisks(docker, of, (name) => isVolumeOfWork(db, name));
    adoptedAtMs = nowMs;
  }

  /** @returns what went wrong */
  async function sweep(): Promise<unknown[]> {
    const faults: unknown[] = [];
    for (const [words, step] of steps) {
      try {
        await step();
      } catch (error) {
        if (signal.aborted) return [error];
        noteFault(parts, error, `${words}; the next sweep tries again`);
        faults.push(error);
      }
    }
    if (!faults.some(isStoreAway)) parts.states.database.isUp();
    return faults;
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      if (parts.lock.isHeld()) await sweep();
      // Rejects only when it is to end; the loop sees that.
      await pause(parts.config.containerCheckIntervalMs, undefined, { signal }).catch(() => {});
    }
  }
  const running = run();
  return {
    async now() {
      const faults = await sweep();
      await Promise.all(inHand.values());
      if (faults.length > 0) throw new AggregateError(faults, 'a part of the sweep failed');
    },
    async close() {
      closing.abort();
      await running;
      await Promise.all(inHand.values());
    },
  };
}

/**
 * In the thread's queue; by then much may have changed, so it is looked up anew there.
 *
 * @returns false when something else has its turn in the thread
 */
async function attendTo(parts: LifecycleParts, threadId: string): Promise<boolean> {
  if (parts.signal.aborted) return true;
  let seen: DueSession | null = null;
  try {
    const attending = parts.queues.runIfIdle(threadId, async () => {
      const session = await sessionOfThread(parts.db, threadId);
      if (!session || session.isBusy) return;
      seen = session;
      await attend(parts, session);
    });
    if (!attending) return false;
    await attending;
  } catch (error) {
    if (parts.signal.aborted || (error as Error).name === 'AbortError') return true;
    noteFault(parts, error, 'an idle container could not be dealt with', { thread: threadId });
    if (seen && !isEngineAway(error) && !isUnguarded(error) && !isStoreAway(error))
      await leaveForNow(parts, seen);
  }
  return true;
}

/** What cannot be dealt with does not need to be tried with every sweep. */
async function leaveForNow(parts: LifecycleParts, { id, threadId, checkAt }: DueSession): Promise<void> {
  await checkSessionAt(parts.db, id, laterThan(parts.now(), RETRY_MS), checkAt).catch((error: unknown) =>
    noteFault(parts, error, 'it could not be noted when to look at it again', { thread: threadId }),
  );
}

async function attend(parts: LifecycleParts, session: DueSession): Promise<void> {
  const isAsked = await isRemovalAsked(parts.db, session.id);
  if (isAsked || session.state !== 'active') {
    await saveAndRemove(parts, session, isAsked ? 'stopped' : 'idle', { isByOperator: isAsked });
    return;
  }
  const verdict = idleVerdict(idleFacts(session, parts), parts.now());
  if (verdict.kind === 'remove') await saveAndRemove(parts, session, 'idle');
  else if (verdict.kind === 'warn') await warn(parts, session, verdict);
  else await wait(parts, session, verdict.until);
}

/** Nothing is due; but what was left unsaved after a command is tried again. */
async function wait(parts: LifecycleParts, session: DueSession, until: Date): Promise<void> {
  if (!session.isSaved && !(await saveAgain(parts, session, until))) return;
  await checkSessionAt(parts.db, session.id, until, session.checkAt);
}

/**
 * After a command, and in the sweep when that failed.
 *
 * @param until when it is looked at again in any case; null: as its idle time wants it
 * @returns false when it is to be tried again
 */
export async function saveAgain(
  parts: LifecycleParts,
  session: DueSession,
  until: Date | null = null,
): Promise<boolean> {
  try {
    const containerId = await runningAgain(parts, session);
    // Container and volume are gone: the saved state before is all there is.
    if (containerId !== null) await saveThread(parts, { ...session, containerId }, 'quick');
    return true;
  } catch (error) {
    if (parts.signal.aborted) throw error;
    const { threadId: thread } = session;
    parts.log.warn({ err: error, thread }, 'the work could not be saved yet; it is tried again');
    const nextTry = nextSaveTry(error, session.saveFailures, parts.now());
    const lookAt = until ?? nextLook(parts, session);
    const retryAt = lookAt < nextTry ? lookAt : nextTry;
    const reason = (error as Error).message.replaceAll('\0', '').slice(0, 2_000);
    await markSaveFailed(parts.db, session.id, { error: reason, retryAt, isStopped: false });
    return false;
  }
}

function nextLook(parts: LifecycleParts, session: DueSession): Date {
  const verdict = idleVerdict(idleFacts(session, parts), parts.now());
  return verdict.kind === 'wait' ? verdict.until : parts.now();
}

async function warn(
  parts: LifecycleParts,
  session: DueSession,
  { goesAt, minutesRemaining }: Extract<IdleVerdict, { kind: 'warn' }>,
): Promise<void> {
  const { db, events, log, now } = parts;
  const { threadId, repositoryName } = session;
  let containerId = session.containerId;
  let saved: ThreadSave | null = null;
  let isMissing = false;
  try {
    const there = await runningAgain(parts, session);
    containerId = there ?? containerId;
    if (there !== null) saved = await saveThread(parts, { ...session, containerId }, 'full');
  } catch (error) {
    if (parts.signal.aborted || isStoreAway(error)) throw error;
    isMissing = isRepositoryMissing(error);
    // The warning is due all the same; the save before the removal has the last word.
    log.warn({ err: error, thread: threadId }, 'the work could not be saved for the warning');
  }
  const at = now();
  const isWarned = await db.transaction(async (transaction) => {
    if (!(await markWarned(transaction, session.id, { now: at, checkAt: goesAt, seen: session.warnedAt })))
      return false;
    if (isMissing) {
      await tellRepositoryMissing(parts, transaction, session, { goesAt, minutesRemaining });
      return true;
    }
    await tellOwner(parts, transaction, threadId, {
      kind: 'idle-warning',
      repositoryName,
      threadId,
      goesAt,
      minutesRemaining,
      filesModified: saved?.work.filesModified ?? null,
      unpushedCommits: saved?.work.unpushedCommits ?? 0,
      leftOut: saved?.work.leftOut ?? [],
      keptDays: Math.round(keptMs(parts) / DAY_MS),
      isRepositoryRemoved: (await usableThread(transaction, threadId)) === null,
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
