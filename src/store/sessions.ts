import type { NetworkKind } from '../network-choice.ts';
import type { Db } from './database.ts';
import { columns, dueColumns } from './session-columns.ts';
import { statesBefore, type SessionState } from './session-states.ts';

/** One container's life for one thread. */
export type Session = {
  id: number;
  containerId: string;
  containerName: string;
  volumeName: string;
  state: SessionState;
  /** False: a command changed something that is not saved yet. */
  isSaved: boolean;
  /** What its container is on; null: that is not known, as of one that was made before it was recorded. */
  network: NetworkKind | null;
  /** While `removing`: its volume goes with it. */
  dropsVolume: boolean;
  /** What the next answer has to say besides. */
  notes: string[];
  /** A command has ended in it: so its workspace was prepared before. */
  hasRun: boolean;
};

/** The session of a thread that is not over. */
export async function activeSession(db: Db, threadId: string): Promise<Session | null> {
  const [row] = await db('container_sessions')
    .select<Session[]>(columns, db.raw('last_command_at > created_at as "hasRun"'))
    .where({ thread_id: threadId, is_active: true });
  return row ?? null;
}

/** Ends the thread's session, if there is one, and opens the next: a thread never has two. */
export async function openSession(
  db: Db,
  session: Pick<Session, 'containerId' | 'containerName' | 'volumeName'> & {
    image: string;
    threadId: string;
    userId: number;
    repositoryId: number;
    network?: NetworkKind | null;
  },
  { endReason, now }: { endReason: string; now: Date },
): Promise<Session> {
  return db.transaction(async (transaction) => {
    await transaction('container_sessions')
      .where({ thread_id: session.threadId, is_active: true })
      .update({ is_active: false, state: 'ended', ended_at: now, end_reason: endReason });
    const [row] = await transaction('container_sessions')
      .insert({
        container_id: session.containerId,
        container_name: session.containerName,
        volume_name: session.volumeName,
        image: session.image,
        thread_id: session.threadId,
        user_id: session.userId,
        repository_id: session.repositoryId,
        network: session.network ?? null,
        created_at: now,
        last_activity_at: now,
        last_command_at: now,
        check_at: now,
      })
      .returning<{ id: number }[]>('id');
    const { containerId, containerName, volumeName, network = null } = session;
    const asNew = { state: 'active', isSaved: true, dropsVolume: false, hasRun: false } as const;
    const known = { containerId, containerName, volumeName, network, ...asNew, notes: [] };
    return { id: (row as { id: number }).id, ...known };
  });
}

/**
 * Its container is used again: the removal that was under way, or the save that failed, is off for now.
 *
 * @returns false when it has ended meanwhile
 */
export async function reopenSession(db: Db, id: number, now: Date): Promise<boolean> {
  const change = { state: 'active', end_reason: null, warned_at: null, removal_asked_at: null };
  const changed = await db('container_sessions')
    .where({ id })
    .whereIn('state', statesBefore('active'))
    .update({ ...change, last_activity_at: now, check_at: now });
  return changed > 0;
}

/** What its container is on, as the engine has it. */
export async function recordNetwork(db: Db, id: number, network: NetworkKind | null): Promise<void> {
  await db('container_sessions').where({ id }).update({ network });
}

/** What the next answer has to say besides, all of it. */
export async function setNotes(db: Db, id: number, notes: readonly string[]): Promise<void> {
  await db('container_sessions')
    .where({ id })
    .update({ notes: [...notes] });
}

/**
 * A command of the thread has ended: idle time counts from here. What its answer had to say besides is said.
 *
 * @param change `isUnsaved`: there is something new to save
 */
export async function recordActivity(
  db: Db,
  id: number,
  { now, isUnsaved }: { now: Date; isUnsaved: boolean },
): Promise<void> {
  await db('container_sessions')
    .where({ id })
    .update({
      last_activity_at: now,
      last_command_at: now,
      warned_at: null,
      notes: [],
      ...(isUnsaved && { is_saved: false, check_at: now }),
    });
}

/**
 * What `extend` does.
 * @param keepUntil null: only the timer is set back
 * @returns false when the container has gone meanwhile, or is about to, also as an operator wants it
 */
export async function extendSession(db: Db, id: number, now: Date, keepUntil: Date | null): Promise<boolean> {
  const changed = await db('container_sessions')
    .where({ id, state: 'active', removal_asked_at: null })
    .update({
      warned_at: null,
      check_at: now,
      ...(keepUntil === null
        ? { last_activity_at: now }
        : { keep_until: db.raw('greatest(keep_until, ?)', [keepUntil]) }),
    });
  return changed > 0;
}

/** All that it has is in its saved state. */
export async function markSaved(db: Db, id: number): Promise<void> {
  await db('container_sessions').where({ id }).update({ is_saved: true, save_failures: 0, save_error: null });
}

type SaveFailure = { error: string; retryAt: Date; isStopped: boolean };

/** @returns false when its removal is under way, or over: somebody else has saved it */
export async function markSaveFailed(db: Db, id: number, how: SaveFailure): Promise<boolean> {
  const { error, retryAt, isStopped } = how;
  const changed = await db('container_sessions')
    .where({ id })
    .whereIn('state', ['save_failed', ...statesBefore('save_failed')])
    .update({
      save_failures: db.raw('save_failures + 1'),
      save_error: error,
      check_at: retryAt,
      // Who wanted it removed is answered that it is kept: what its owner does with it from here on holds.
      ...(isStopped && { state: 'save_failed', removal_asked_at: null }),
    });
  return changed > 0;
}

/**
 * Said before the container is removed.
 * @param how `unless`: what was known when its end was decided: an `extend` since then wins
 * @returns false when it is not to be removed
 */
export async function markRemoving(
  db: Db,
  id: number,
  how: {
    reason: string;
    dropsVolume?: boolean;
    unless?: Pick<DueSession, 'lastActivityAt' | 'keepUntil'>;
  },
): Promise<boolean> {
  const { reason, unless, dropsVolume = false } = how;
  const before = statesBefore('removing');
  const session = db('container_sessions')
    .where({ id })
    .whereIn('state', unless ? before : ['removing', ...before]);
  if (unless) {
    // PostgreSQL counts microseconds, a Date milliseconds.
    void session
      .whereRaw(`date_trunc('milliseconds', last_activity_at) = ?`, [unless.lastActivityAt])
      .whereRaw(`date_trunc('milliseconds', keep_until) is not distinct from ?`, [unless.keepUntil]);
  }
  const change = { state: 'removing', end_reason: reason, drops_volume: dropsVolume };
  return (await session.update(change)) > 0;
}

/**
 * In a transaction with the warning itself.
 * @param seen the warning that was known, and does not count any more: the end was moved since
 * @returns false when a command was quicker, or a warning is out already
 */
export async function markWarned(
  db: Db,
  id: number,
  { now, checkAt, seen }: { now: Date; checkAt: Date; seen: Date | null },
): Promise<boolean> {
  const changed = await db('container_sessions')
    .where({ id, state: 'active' })
    .whereRaw(`date_trunc('milliseconds', warned_at) is not distinct from ?`, [seen])
    .whereNotExists(openCommandsOf(db))
    .update({ warned_at: now, check_at: checkAt });
  return changed > 0;
}

/** Nothing is due for it before then. @param seen when it was to be looked at; if that was changed since, it stays so */
export async function checkSessionAt(db: Db, id: number, at: Date, seen: Date): Promise<void> {
  await db('container_sessions')
    .where({ id, is_active: true })
    .whereRaw(`date_trunc('milliseconds', check_at) = ?`, [seen])
    .update({ check_at: at });
}

/**
 * Something they depend on has changed: the next sweep looks at them. One that is being ended in this moment is left
 * out: who waited for that would wait for Docker.
 */
export async function checkSessionsNow(
  db: Db,
  which: { user_id: number } | { repository_id: number } | Record<string, never> = {},
): Promise<void> {
  const of = () => db('container_sessions').where({ ...which, is_active: true });
  await of()
    .whereNot({ state: 'removing' })
    .update({ check_at: new Date(0) });
  const removing = of().where({ state: 'removing' }).select('id').forUpdate().skipLocked();
  await db('container_sessions')
    .whereIn('id', removing)
    .update({ check_at: new Date(0) });
}

export const openCommandsOf = (db: Db) =>
  db('commands')
    .select(db.raw('1'))
    .whereRaw('commands.thread_id = container_sessions.thread_id')
    .whereIn('commands.state', ['queued', 'running']);

/** What the sweep has to know of a session. */
export type DueSession = Omit<Session, 'hasRun'> & {
  threadId: string;
  userId: number;
  userAddress: string;
  repositoryId: number;
  repositoryName: string;
  lastActivityAt: Date;
  lastCommandAt: Date;
  keepUntil: Date | null;
  warnedAt: Date | null;
  checkAt: Date;
  saveFailures: number;
  userTimeoutMs: number | null;
  repositoryTimeoutMs: number | null;
};

const withOwners = (db: Db) =>
  db('container_sessions')
    .join('users', 'users.id', 'container_sessions.user_id')
    .join('repositories', 'repositories.id', 'container_sessions.repository_id')
    .select<DueSession[]>(dueColumns)
    .where('container_sessions.is_active', true);

/** Those to be looked at now, that no command runs in and none waits for. @param after the last one of the portion before */
export async function dueSessions(db: Db, now: Date, limit: number, after = 0): Promise<DueSession[]> {
  return withOwners(db)
    .where('container_sessions.check_at', '<=', now)
    .where('container_sessions.id', '>', after)
    .whereNotExists(openCommandsOf(db))
    .orderBy('container_sessions.id')
    .limit(limit);
}

/** The thread's session that is not over, with all that its end depends on. `isBusy`: a command runs or waits. */
export async function sessionOfThread(
  db: Db,
  threadId: string,
): Promise<(DueSession & { isBusy: boolean }) | null> {
  const [row] = await withOwners(db)
    .select(db.raw('exists ? as "isBusy"', [openCommandsOf(db)]))
    .where('container_sessions.thread_id', threadId);
  return (row as (DueSession & { isBusy: boolean }) | undefined) ?? null;
}
