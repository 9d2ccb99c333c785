import type { Db } from './database.ts';
import type { OwedNotice } from './messages.ts';

export type OwedMail = { id: number; address: string; subject: string; receivedAt: Date };

/** Mails of which their senders are still to be told, the oldest first: those of one sender. */
export async function owedToOne(db: Db, notice: OwedNotice, limit: number): Promise<OwedMail[]> {
  const first = db('messages').select('address').where({ owed_notice: notice }).orderBy('id').limit(1);
  return db('messages')
    .select<OwedMail[]>({ id: 'id', address: 'address', subject: 'subject', receivedAt: 'received_at' })
    .where({ owed_notice: notice })
    .where('address', first)
    .orderBy('id')
    .limit(limit);
}

/** @throws when another process has told it meanwhile */
export async function markTold(db: Db, ids: readonly number[]): Promise<void> {
  const changed = await db('messages')
    .whereIn('id', [...ids])
    .whereNotNull('owed_notice')
    .update({ owed_notice: null });
  if (changed !== ids.length) throw new Error('Another process has told a sender of their mails');
}
