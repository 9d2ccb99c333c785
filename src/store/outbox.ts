import type { Db } from './database.ts';

export type OutboxMail = {
  id: number;
  raw: Buffer;
  from: string;
  to: string[];
  attempts: number;
  /** Since it was stored. */
  ageMs: number;
};

/**
 * Stores a rendered answer and puts it in line to be sent, to each of its recipients on their own: a server may take it for
 * one and refuse it for another. Its Message-ID is fixed from here on.
 */
export async function queueAnswer(
  db: Db,
  answer: {
    raw: Buffer;
    messageId: string;
    from: string;
    to: string;
    copyTo?: readonly string[];
    subject: string;
    subjectKey: string;
    threadId: string | null;
    inReplyToMessage: number | null;
  },
): Promise<void> {
  const recipients = [...new Set([answer.to, ...(answer.copyTo ?? [])])];
  await db
    .with('message', (message) =>
      message
        .insert({
          direction: 'out',
          address: answer.to,
          message_id: answer.messageId,
          subject: answer.subject,
          subject_key: answer.subjectKey,
          thread_id: answer.threadId,
          in_reply_to_message: answer.inReplyToMessage,
          raw: answer.raw,
          size_bytes: answer.raw.length,
          state: 'handled',
          outcome: 'answer',
        })
        .into('messages')
        .returning('id'),
    )
    .insert(
      db
        .select('id', db.raw('?::text', [answer.from]), db.raw('array[recipient]'))
        .from('message')
        .joinRaw('cross join unnest(?::text[]) with ordinality as each (recipient, place)', [recipients])
        .orderBy('place'),
    )
    .into(db.raw('outbox (message_id, envelope_from, envelope_to)'));
}

/**
 * What is due now, the oldest first. No pause is as long as an hour: what is further ahead was stored while the clock was
 * wrong, as was what waits for its first try.
 */
export async function dueMails(db: Db, limit: number): Promise<OutboxMail[]> {
  return db('outbox')
    .join('messages', 'messages.id', 'outbox.message_id')
    .select<OutboxMail[]>(
      {
        id: 'outbox.id',
        raw: 'messages.raw',
        from: 'outbox.envelope_from',
        to: 'outbox.envelope_to',
        attempts: 'outbox.attempts',
      },
      db.raw('(extract(epoch from now() - outbox.created_at) * 1000)::bigint as "ageMs"'),
    )
    .where('outbox.state', 'waiting')
    .whereRaw(
      `(outbox.next_attempt_at <= now() or outbox.attempts = 0 or outbox.next_attempt_at > now() + interval '1 hour')`,
    )
    .orderBy(['outbox.next_attempt_at', 'outbox.id'])
    .limit(limit);
}

/** Larger ones are not copied: the Sent mailbox would fill up with what nobody looks at twice. */
const LARGEST_COPY_BYTES = 5 << 20;

/** @param makesCopy a copy of it is to lie in the Sent mailbox */
export async function markSent(db: Db, id: number, { makesCopy }: { makesCopy: boolean }): Promise<void> {
  // To however many it goes: the first one that is not refused has the copy.
  const copy = `(select case when size_bytes > ? then 'left' else 'due' end from messages
    where messages.id = outbox.message_id and not exists (
      select from outbox before
      where before.message_id = messages.id and before.id < outbox.id and before.state <> 'failed'))`;
  await db('outbox')
    .where({ id, state: 'waiting' })
    .update({
      state: 'sent',
      sent_at: db.fn.now(),
      last_error: null,
      sent_copy: makesCopy ? db.raw(copy, [LARGEST_COPY_BYTES]) : null,
    })
    .increment('attempts', 1);
}

/** It is due again after that time by the database's clock, as `dueMails` is asked by no other. */
export async function markForRetry(db: Db, id: number, error: string, afterMs: number): Promise<void> {
  const at = db.raw(`now() + ? * interval '1 millisecond'`, [afterMs]);
  await db('outbox')
    .where({ id, state: 'waiting' })
    .update({ last_error: error, next_attempt_at: at })
    .increment('attempts', 1);
}
