import type { Db } from './database.ts';

/**
 * Ends a session that is `removing`. While `remove` takes its container away nobody else ends it, and nobody begins to
 * use it again: who wants to, waits, and finds it ended.
 *
 * @returns false when there is nothing to be done here: somebody else has ended it, or uses its container again
 */
export async function endRemoving(
  db: Db,
  id: number,
  { now, remove }: { now: () => Date; remove: () => Promise<void> },
): Promise<boolean> {
  return db.transaction(async (transaction) => {
    const [row] = await transaction('container_sessions')
      .select('id')
      .where({ id, is_active: true, state: 'removing' })
      .forUpdate();
    if (!row) return false;
    await remove();
    await endSession(transaction, id, now());
    return true;
  });
}

/** Its container has gone; why was said before. */
export async function endSession(db: Db, id: number, now: Date): Promise<void> {
  await db('container_sessions')
    .where({ id, is_active: true })
    .update({ is_active: false, state: 'ended', ended_at: now });
}
