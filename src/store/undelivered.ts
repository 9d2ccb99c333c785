import type { Db } from './database.ts';

/** How a mail ended that did not arrive. */
export type Failure = {
  state: 'failed' | 'bounced';
  error: string;
  statusCode: string | null;
};

/** The same mail in another form, under a Message-ID of its own. */
export type Replacement = { raw: Buffer; messageId: string };

/**
 * Records that a mail did not arrive, together with the one that takes its place, if there is one.
 *
 * @returns false when that is known already
 */
export async function recordFailure(
  db: Db,
  id: number,
  { state, error, statusCode }: Failure,
  replacement: Replacement | null,
): Promise<boolean> {
  return db.transaction(async (transaction) => {
    const changed = await transaction('outbox')
      .where({ id })
      .whereIn('state', ['waiting', 'sent'])
      .update({
        state,
        last_error: error,
        status_code: statusCode,
        failed_at: transaction.fn.now(),
        sent_copy: transaction.raw(`case when sent_copy = 'due' then 'left' else sent_copy end`),
        attempts: transaction.raw(`attempts + ?`, [state === 'failed' ? 1 : 0]),
      });
    if (changed === 0) return false;
    if (replacement) {
      const replacedBy = await queueReplacement(transaction, id, replacement);
      await transaction('outbox').where({ id }).update({ replaced_by: replacedBy });
    }
    return true;
  });
}

/** One for all recipients that need it: who comes second gets what was made for the first. */
async function queueReplacement(db: Db, id: number, { raw, messageId }: Replacement): Promise<number> {
  await db.raw('select from messages where id = (select message_id from outbox where id = ?) for update', [
    id,
  ]);
  const { rows: shared } = await db.raw<{ rows: { id: number }[] }>(
    `insert into outbox (message_id, envelope_from, envelope_to)
    select made.message_id, replaced.envelope_from, replaced.envelope_to
    from outbox replaced
      join outbox other on other.message_id = replaced.message_id
      join outbox made on made.id = other.replaced_by
    where replaced.id = ? limit 1 returning id`,
    [id],
  );
  if (shared[0]) return shared[0].id;
  const copied = 'direction, address, subject, subject_key, thread_id, in_reply_to_message, state, outcome';
  const { rows } = await db.raw<{ rows: { id: number }[] }>(
    `with replaced as (select * from outbox where id = ?),
      message as (
        insert into messages (${copied}, message_id, raw, size_bytes)
        select ${copied}, ?::text, ?::bytea, ?::bigint from messages
        where id = (select message_id from replaced) returning id)
    insert into outbox (message_id, envelope_from, envelope_to)
    select message.id, replaced.envelope_from, replaced.envelope_to from message, replaced returning id`,
    [id, messageId, raw, raw.length],
  );
  return (rows[0] as { id: number }).id;
}

export type SentMail = { id: number; raw: Buffer };

/**
 * The mail of ours that has one of these Message-IDs: of the first that is ours, and as it went to the first of these
 * recipients it went to; to its first one where it went to none of them, as when theirs forwards to another address.
 */
export async function mailOfOurs(
  db: Db,
  { messageIds, recipients }: { messageIds: readonly string[]; recipients: readonly string[] },
): Promise<SentMail | null> {
  if (messageIds.length === 0) return null;
  const row = await db('outbox')
    .join('messages', 'messages.id', 'outbox.message_id')
    .first<SentMail | undefined>({ id: 'outbox.id', raw: 'messages.raw' })
    .where('messages.direction', 'out')
    .whereIn('messages.message_id', [...messageIds])
    .orderByRaw(
      `array_position(?::text[], messages.message_id),
      array_position(?::text[], lower(outbox.envelope_to[1])), outbox.id`,
      [[...messageIds], [...recipients]],
    );
  return row ?? null;
}

/** A mail of a thread that did not arrive in any form. */
export type Undelivered = {
  writtenAt: Date;
  /** Who was to get it, where that is not the sender who is answered. */
  copyFor: string | null;
  error: string;
  statusCode: string | null;
};

/** Of the last days, the newest first. */
export async function undeliveredOfThread(db: Db, threadId: string, limit: number): Promise<Undelivered[]> {
  return db('outbox')
    .join('messages', 'messages.id', 'outbox.message_id')
    .select<Undelivered[]>({
      writtenAt: 'outbox.created_at',
      copyFor: db.raw('nullif(outbox.envelope_to[1], messages.address)') as unknown as string,
      error: 'outbox.last_error',
      statusCode: 'outbox.status_code',
    })
    .where('messages.thread_id', threadId)
    .whereIn('outbox.state', ['failed', 'bounced'])
    .whereNull('outbox.replaced_by')
    .whereRaw(`outbox.failed_at > now() - interval '7 days'`)
    .orderBy('outbox.id', 'desc')
    .limit(limit);
}

export type ListedMail = {
  id: number;
  to: string;
  subject: string;
  threadId: string | null;
  state: 'waiting' | 'sent' | 'failed' | 'bounced';
  attempts: number;
  statusCode: string | null;
  error: string | null;
  createdAt: Date;
  sentAt: Date | null;
  failedAt: Date | null;
  replacedBy: number | null;
};

/** The newest first. @param isFailed only what did not arrive */
export async function listOutbox(
  db: Db,
  { isFailed, limit }: { isFailed: boolean; limit: number },
): Promise<ListedMail[]> {
  return db('outbox')
    .join('messages', 'messages.id', 'outbox.message_id')
    .select<ListedMail[]>({
      id: 'outbox.id',
      to: db.raw(`array_to_string(outbox.envelope_to, ', ')`) as unknown as string,
      subject: 'messages.subject',
      threadId: 'messages.thread_id',
      state: 'outbox.state',
      attempts: 'outbox.attempts',
      statusCode: 'outbox.status_code',
      error: 'outbox.last_error',
      createdAt: 'outbox.created_at',
      sentAt: 'outbox.sent_at',
      failedAt: 'outbox.failed_at',
      replacedBy: 'outbox.replaced_by',
    })
    .modify((query) => {
      if (isFailed) void query.whereIn('outbox.state', ['failed', 'bounced']);
    })
    .orderBy('outbox.id', 'desc')
    .limit(limit);
}
