import type { Db } from './database.ts';

/** A mail that was sent and has no copy yet. */
export type DueCopy = { id: number; raw: Buffer; messageId: string; sentAt: Date; attempts: number };

/** The oldest first. */
export async function dueCopies(db: Db, limit: number): Promise<DueCopy[]> {
  return db('outbox')
    .join('messages', 'messages.id', 'outbox.message_id')
    .select<DueCopy[]>({
      id: 'outbox.id',
      raw: 'messages.raw',
      messageId: 'messages.message_id',
      sentAt: 'outbox.sent_at',
      attempts: 'outbox.copy_attempts',
    })
    .where('outbox.sent_copy', 'due')
    .orderBy('outbox.id')
    .limit(limit);
}

export async function copyBegun(db: Db, id: number): Promise<void> {
  await db('outbox').where({ id }).increment('copy_attempts', 1);
}

export async function copyFiled(db: Db, id: number): Promise<void> {
  await db('outbox').where({ id }).update({ sent_copy: 'filed' });
}

export async function copyLeft(db: Db, id: number): Promise<void> {
  await db('outbox').where({ id }).update({ sent_copy: 'left' });
}
