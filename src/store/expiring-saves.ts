import type { Db } from './database.ts';
import { savedStateColumns, type SavedState } from './saved-states.ts';

/** What is kept without a container that has the work. While one is being opened or removed, it is left alone. */
const expiring = (db: Db) =>
  db('saved_states')
    .whereNotNull('expires_at')
    .whereRaw(
      `(state = 'aside' or state = 'current' and not exists (
         select 1 from container_sessions s where s.thread_id = saved_states.thread_id and s.is_active))`,
    );

/** So many, after the first ones that were passed over. */
type Portion = { limit: number; skip: number };

/** Those that expire before then, and whose owner has not heard of it. */
export async function savesToAnnounce(db: Db, before: Date, { limit, skip }: Portion): Promise<SavedState[]> {
  return expiring(db)
    .select<SavedState[]>(savedStateColumns)
    .whereNotNull('snapshot')
    .where('expires_at', '<=', before)
    .whereNull('announced_at')
    .orderBy([{ column: 'expires_at' }, { column: 'id' }])
    .limit(limit)
    .offset(skip);
}

/**
 * In a transaction with the announcement. One that comes late moves the end: nothing goes sooner than that after it was
 * announced.
 *
 * @returns when it expires now; null when it was announced, kept or revived meanwhile
 */
export async function markAnnounced(
  db: Db,
  id: number,
  { now, aheadMs }: { now: Date; aheadMs: number },
): Promise<Date | null> {
  const soon = new Date(now.getTime() + aheadMs);
  const [row] = await expiring(db)
    .where({ id })
    .where('expires_at', '<=', soon)
    .whereNull('announced_at')
    .update({ announced_at: now, expires_at: soon })
    .returning<{ expires_at: Date }[]>('expires_at');
  return row?.expires_at ?? null;
}

/**
 * From now on they are over, whatever still lies there of them. None goes before it was announced; but where nothing was
 * ever saved there is nothing to announce.
 */
export async function markExpired(db: Db, now: Date): Promise<void> {
  await expiring(db)
    .where('expires_at', '<=', now)
    .whereRaw('(announced_at is not null or snapshot is null)')
    .update({ state: 'expired' });
}

/** Those that are over, with what they keep still to be removed: of one thread, or of all. */
export async function savesToClean(
  db: Db,
  of: { threadId?: string; limit: number; skip?: number },
): Promise<SavedState[]> {
  return db('saved_states')
    .select<SavedState[]>(savedStateColumns)
    .whereIn('state', ['expired', 'deleted'])
    .whereNull('cleaned_at')
    .where(of.threadId === undefined ? {} : { thread_id: of.threadId })
    .orderBy('id')
    .limit(of.limit)
    .offset(of.skip ?? 0);
}

export async function markCleaned(db: Db, id: number, now: Date): Promise<void> {
  await db('saved_states').where({ id }).update({ cleaned_at: now, volume_name: null });
}

/** With kept volumes that a verified save stands behind, the oldest first. @param of one thread, or all */
export async function savesWithVolumes(
  db: Db,
  of: { threadId?: string; limit: number; skip?: number },
): Promise<SavedState[]> {
  return expiring(db)
    .select<SavedState[]>(savedStateColumns)
    .where({ state: 'current', ...(of.threadId !== undefined && { thread_id: of.threadId }) })
    .whereNotNull('volume_name')
    .whereNotNull('snapshot')
    .orderBy([{ column: 'saved_at' }, { column: 'id' }])
    .limit(of.limit)
    .offset(of.skip ?? 0);
}

/** Volumes of states that are over, and have not been removed yet. */
export async function isVolumeToClean(db: Db, volumeName: string): Promise<boolean> {
  const found = await db('saved_states')
    .first('id')
    .where({ volume_name: volumeName })
    .whereIn('state', ['expired', 'deleted'])
    .whereNull('cleaned_at');
  return found !== undefined;
}

/** Volumes of sessions that are not over, and of what is saved; whether the engine still has them is not asked. */
export async function isVolumeOfWork(db: Db, volumeName: string): Promise<boolean> {
  const of = { volume_name: volumeName };
  const session = await db('container_sessions')
    .first('id')
    .where({ ...of, is_active: true });
  return session !== undefined || (await db('saved_states').first('id').where(of)) !== undefined;
}

/**
 * They are over at once, and nobody is told of them any more; the bot removes what they keep with its next sweep.
 *
 * @returns how many there were; those whose container is there are not among them
 */
export async function expireNow(db: Db, threadId: string): Promise<number> {
  return db.transaction(async (transaction: Db): Promise<number> => {
    const now = transaction.fn.now();
    // Those that had expired before: their news would be of work that was given up.
    await transaction('saved_states')
      .where({ thread_id: threadId, state: 'expired' })
      .whereNull('expired_told_at')
      .update({ expired_told_at: now });
    return transaction('saved_states')
      .where({ thread_id: threadId })
      .whereIn('state', ['current', 'aside'])
      .whereNotNull('expires_at')
      .update({ state: 'deleted', expires_at: now, expired_told_at: now });
  });
}
