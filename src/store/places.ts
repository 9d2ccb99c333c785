import type { Db } from './database.ts';
import { openCommandsOf } from './sessions.ts';

export type OccupiedPlace = { threadId: string; userId: number; lastActivityAt: Date; isBusy: boolean };

/** Every session that has, or may have, a running container. */
export async function occupiedPlaces(db: Db): Promise<OccupiedPlace[]> {
  return db('container_sessions')
    .select<OccupiedPlace[]>({
      threadId: 'thread_id',
      userId: 'user_id',
      lastActivityAt: 'last_activity_at',
    })
    .select(db.raw('exists ? as "isBusy"', [openCommandsOf(db)]))
    .where({ is_active: true })
    .whereNot({ state: 'save_failed' });
}
