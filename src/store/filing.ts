import type { Db } from './database.ts';
import type { MessageOutcome } from './messages.ts';

export type HandledMail = {
  id: number;
  uid: number;
  uidValidity: number;
  receivedAt: Date;
  folder: 'processed' | 'refused';
};

/** Mail of a mailbox whose outcome is stored and that has not been moved away yet, the oldest first. */
export async function mailsToFile(
  db: Db,
  mailbox: string,
  afterId: number,
  limit: number,
): Promise<HandledMail[]> {
  const rows = await db('messages')
    .select<(Omit<HandledMail, 'folder'> & { outcome: MessageOutcome })[]>({
      id: 'id',
      uid: 'uid',
      uidValidity: 'uid_validity',
      receivedAt: 'received_at',
      outcome: 'outcome',
    })
    .where({ mailbox, direction: 'in', state: 'handled' })
    .whereNull('filed_at')
    .where('id', '>', afterId)
    .orderBy('id')
    .limit(limit);
  return rows.map(({ outcome, ...mail }) => {
    const isRefused = outcome === 'dropped' || outcome === 'failed';
    return { ...mail, folder: isRefused ? 'refused' : 'processed' };
  });
}

export async function markFiled(db: Db, ids: readonly number[]): Promise<void> {
  await db('messages')
    .whereIn('id', [...ids])
    .update({ filed_at: db.fn.now() });
}
