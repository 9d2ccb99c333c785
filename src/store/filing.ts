import type { Db } from './database.ts';
import type { MessageOutcome } from './messages.ts';

export type HandledMail = {
  id: number;
  uid: number;
  uidValidity: number;
  receivedAt: Date;
  folder: 'processed' | 'refused';
};

/** The very mail, as after the mailbox was rebuilt, was run or answered before: then its folder is the same. */
const IS_TAKEN_AGAIN = `(messages.outcome = 'dropped' and exists (
  select from messages as first
  where first.direction = 'in' and first.address = messages.address and first.body_hash = messages.body_hash
    and first.id < messages.id and first.outcome in ('command', 'answered') and first.raw = messages.raw
))`;

/** Mail of a mailbox whose outcome is stored and that has not been moved away yet, the oldest first. */
export async function mailsToFile(
  db: Db,
  mailbox: string,
  afterId: number,
  limit: number,
): Promise<HandledMail[]> {
  const rows = await db('messages')
    .select<(Omit<HandledMail, 'folder'> & { outcome: MessageOutcome; isTakenAgain: boolean })[]>({
      id: 'id',
      uid: 'uid',
      uidValidity: 'uid_validity',
      receivedAt: 'received_at',
      outcome: 'outcome',
    })
    .select(db.raw(`${IS_TAKEN_AGAIN} as "isTakenAgain"`))
    .where({ mailbox, direction: 'in', state: 'handled' })
    .whereNull('filed_at')
    .where('id', '>', afterId)
    .orderBy('id')
    .limit(limit);
  return rows.map(({ outcome, isTakenAgain, ...mail }) => {
    const isRefused = (outcome === 'dropped' && !isTakenAgain) || outcome === 'failed';
    return { ...mail, folder: isRefused ? 'refused' : 'processed' };
  });
}

export async function markFiled(db: Db, ids: readonly number[]): Promise<void> {
  await db('messages')
    .whereIn('id', [...ids])
    .update({ filed_at: db.fn.now() });
}
