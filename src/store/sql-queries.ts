import type { Db } from './database.ts';

/** How a query ended. `cut`: with more rows than are read. `refused`: it was never given to the database. */
type QueryOutcome = 'rows' | 'cut' | 'error' | 'timeout' | 'refused';

/** `name`: of the saved query that was asked for. */
export type AskedQuery = { name: string | null; query: string; parameters: readonly string[] };

export type QueryEnd = {
  outcome: QueryOutcome;
  error: string | null;
  rowCount: number | null;
  durationMs: number | null;
};

type Asker = { via: 'mail' | 'command-line'; askedBy: string };

/** Records queries before anything is done with them. @returns their ids, in the same order */
export async function recordQueries(
  db: Db,
  { via, askedBy }: Asker,
  queries: readonly AskedQuery[],
  {
    state,
    messageId = null,
    conversationId = null,
    now,
  }: {
    state: 'waiting' | 'queued';
    messageId?: number | null;
    conversationId?: number | null;
    now: Date;
  },
): Promise<number[]> {
  if (queries.length === 0) return [];
  const rows = await db('sql_queries')
    .insert(
      queries.map(({ name, query, parameters }) => ({
        via,
        asked_by: askedBy,
        name,
        query,
        parameters: [...parameters],
        state,
        message_id: messageId,
        conversation_id: conversationId,
        asked_at: now,
      })),
    )
    .returning<{ id: number }[]>('id');
  return rows.map(({ id }) => id);
}

/** Records a query that is not run at all. */
export async function recordRefusedQuery(
  db: Db,
  { via, askedBy }: Asker,
  { query, reason, messageId, now }: { query: string; reason: string; messageId: number | null; now: Date },
): Promise<void> {
  await db('sql_queries').insert({
    via,
    asked_by: askedBy,
    query,
    message_id: messageId,
    state: 'ended',
    outcome: 'refused',
    error: reason,
    asked_at: now,
    ended_at: now,
  });
}

/** @returns false when it has ended already */
export async function endQuery(db: Db, id: number, end: QueryEnd, now: Date): Promise<boolean> {
  const ended = await db('sql_queries')
    .where({ id })
    .whereNot({ state: 'ended' })
    .update({
      state: 'ended',
      outcome: end.outcome,
      // PostgreSQL takes no NUL.
      error: end.error?.replaceAll('\0', '').slice(0, 2_000) ?? null,
      row_count: end.rowCount,
      duration_ms: end.durationMs,
      ended_at: now,
    });
  return ended > 0;
}

/** `attempts`: how often they were begun already. */
export type QueuedMail = {
  messageId: number;
  conversationId: number;
  attempts: number;
  queries: (AskedQuery & { id: number })[];
};

/** The queries of the oldest mail that has some to be run, with who asked them. */
export async function nextQueuedMail(db: Db): Promise<QueuedMail | null> {
  const first = await db('sql_queries')
    .first<Omit<QueuedMail, 'queries'> | undefined>({
      messageId: 'message_id',
      conversationId: 'conversation_id',
      attempts: 'attempts',
    })
    .where({ state: 'queued', via: 'mail' })
    .orderBy(['message_id', 'id']);
  if (!first) return null;
  const queries = await db('sql_queries')
    .select<(AskedQuery & { id: number })[]>('id', 'name', 'query', 'parameters')
    .where({ state: 'queued', message_id: first.messageId })
    .orderBy('id');
  return { ...first, queries };
}

/** Recorded before the queries of a mail are run. */
export async function countAttempt(db: Db, messageId: number): Promise<void> {
  await db('sql_queries').where({ state: 'queued', message_id: messageId }).increment('attempts');
}

/** `trustedUntil` is null until its sender has confirmed that they began it. */
export type SqlConversation = { id: number; createdAt: Date; trustedUntil: Date | null };

const columns = { id: 'id', createdAt: 'created_at', trustedUntil: 'trusted_until' };

/** The newest of one sender. */
export async function sqlConversationsOf(db: Db, address: string): Promise<SqlConversation[]> {
  return db('sql_conversations')
    .select<SqlConversation[]>(columns)
    .where({ address })
    .orderBy('id', 'desc')
    .limit(100);
}

export async function sqlConversationById(db: Db, id: number): Promise<SqlConversation> {
  const row = await db('sql_conversations').first<SqlConversation | undefined>(columns).where({ id });
  if (!row) throw new Error(`No conversation about SQL has the id ${id}`);
  return row;
}

export async function openSqlConversation(db: Db, address: string, now: Date): Promise<number> {
  const [row] = await db('sql_conversations')
    .insert({ address, created_at: now })
    .returning<{ id: number }[]>('id');
  return (row as { id: number }).id;
}

/**
 * Its sender has confirmed it. What waited in it is answered in the mail that confirms.
 *
 * @returns false when it was confirmed before
 */
export async function confirmSqlConversation(
  db: Db,
  id: number,
  { messageId, until, now }: { messageId: number; until: Date; now: Date },
): Promise<boolean> {
  const confirmed = await db('sql_conversations')
    .where({ id })
    .whereNull('confirmed_at')
    .update({ confirmed_at: now, trusted_until: until });
  if (confirmed === 0) return false;
  await db('sql_queries')
    .where({ conversation_id: id, state: 'waiting' })
    .update({ state: 'queued', message_id: messageId });
  return true;
}

/** Its sender has not begun it. What waits in it is not run, and it cannot be confirmed any more. */
export async function declineSqlConversation(db: Db, id: number, now: Date): Promise<void> {
  await db.transaction(async (transaction) => {
    await transaction('sql_conversations').where({ id }).update({ confirmed_at: now, trusted_until: now });
    await refuseWaiting(transaction, id, 'declined by its sender', now);
  });
}

/** What waits in a conversation to be confirmed. */
export async function waitingQueries(db: Db, conversationId: number): Promise<AskedQuery[]> {
  return db('sql_queries')
    .select<AskedQuery[]>('name', 'query', 'parameters')
    .where({ conversation_id: conversationId, state: 'waiting' })
    .orderBy('id');
}

/** What waits in a conversation for longer than may be is not run. */
export async function refuseWaiting(
  db: Db,
  conversationId: number,
  reason: string,
  now: Date,
): Promise<void> {
  await db('sql_queries')
    .where({ conversation_id: conversationId, state: 'waiting' })
    .update({ state: 'ended', outcome: 'refused', error: reason, ended_at: now });
}

export type SavedQuery = { name: string; query: string; savedBy: string };

export async function listSavedQueries(db: Db): Promise<SavedQuery[]> {
  return db('saved_queries')
    .select<SavedQuery[]>({ name: 'name', query: 'query', savedBy: 'saved_by' })
    .orderBy('name');
}

/** What was mailed and is still to be run, the newest first. */
export async function queuedQueries(db: Db): Promise<string[]> {
  return db('sql_queries').where({ state: 'queued' }).orderBy('id', 'desc').pluck<string[]>('query');
}

/** A query of the same name is replaced. */
export async function saveQuery(db: Db, saved: SavedQuery, now: Date): Promise<void> {
  await db('saved_queries')
    .insert({ name: saved.name, query: saved.query, saved_by: saved.savedBy, saved_at: now })
    .onConflict('name')
    .merge();
}
