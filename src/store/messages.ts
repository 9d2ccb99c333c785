import type { Db } from './database.ts';
import { asNumberedRows, asRows } from './rows.ts';

/** A message as it was fetched, before anything is known of it. */
export type IncomingMessage = {
  uid: number;
  sizeBytes: number;
  receivedAt: Date;
  raw: Buffer;
  isTruncated: boolean;
};

export type Cursor = { uidValidity: number; lastUid: number };

/** `movedAt`: all that arrived before is recorded. */
export type StoredCursor = Cursor & { movedAt: Date };

export type ReceivedMessage = {
  id: number;
  raw: Buffer;
  sizeBytes: number;
  isTruncated: boolean;
  attempts: number;
  receivedAt: Date;
};

/** What a sender is told of several mails at once, when all that lay there are taken. */
export type OwedNotice = 'too-old';

export type MessageOutcome = 'command' | 'answered' | 'dropped' | 'failed';

/**
 * How far a mailbox is read. Of one that was never read but has taken the place of another it is known when that one was
 * read last: `uidValidity` is 0 then.
 */
export async function readCursor(db: Db, mailbox: string): Promise<StoredCursor | null> {
  const row = await db('mailboxes')
    .first<(StoredCursor & { mailbox: string }) | undefined>({
      mailbox: 'mailbox',
      uidValidity: 'uid_validity',
      lastUid: 'last_uid',
      movedAt: 'updated_at',
    })
    .orderByRaw('mailbox = ? desc, updated_at desc', [mailbox]);
  if (!row) return null;
  const { uidValidity, lastUid, movedAt } = row;
  return row.mailbox === mailbox
    ? { uidValidity, lastUid, movedAt }
    : { uidValidity: 0, lastUid: 0, movedAt };
}

/** Stores a batch and how far the mailbox is read, in one transaction. A message already there is left as it is. */
export async function recordIncoming(
  db: Db,
  mailbox: string,
  batch: readonly IncomingMessage[],
  cursor: Cursor,
): Promise<void> {
  let offset = 0;
  const rows = batch.map(({ raw, ...message }) => {
    const from = offset + 1;
    offset += raw.length;
    return { ...message, from, bytes: raw.length };
  });
  // All bytes as one value: so it is one statement, whatever number of mails it is about.
  const raws =
    batch.length === 1 ? (batch[0] as IncomingMessage).raw : Buffer.concat(batch.map(({ raw }) => raw));
  await db.raw(
    `with place as (select ?::text as mailbox, ?::bigint as uid_validity, ?::bigint as last_uid),
     recorded as (
       insert into messages (direction, mailbox, uid_validity, uid, raw, size_bytes, is_truncated, state, received_at)
       select 'in', mailbox, uid_validity, uid, substring(?::bytea from "from" for bytes), "sizeBytes", "isTruncated",
         'received', "receivedAt"
       from place, jsonb_to_recordset(?::jsonb) as batch (n int, uid bigint, "sizeBytes" bigint, "isTruncated" boolean,
         "receivedAt" timestamptz, "from" int, bytes int)
       order by n
       on conflict (mailbox, uid_validity, uid, received_at) do nothing)
     insert into mailboxes (mailbox, uid_validity, last_uid) select mailbox, uid_validity, last_uid from place
     on conflict (mailbox) do update
       set uid_validity = excluded.uid_validity, last_uid = excluded.last_uid, updated_at = now()`,
    [mailbox, cursor.uidValidity, cursor.lastUid, raws, asNumberedRows(rows)],
  );
}

/**
 * The oldest messages that nobody has handled, after `afterId`: as many as `bytes` hold, and one in any case, since each
 * may be as large as a mail can be.
 */
export async function nextReceived(
  db: Db,
  afterId: number,
  { count, bytes }: { count: number; bytes: number },
): Promise<ReceivedMessage[]> {
  const { rows } = await db.raw<{ rows: ReceivedMessage[] }>(
    `with first as (
       select id, octet_length(raw) as bytes from messages where state = 'received' and id > ? order by id limit ?),
     held as (select id, bytes, sum(bytes) over (order by id) as all_bytes from first)
     select id, raw, size_bytes as "sizeBytes", is_truncated as "isTruncated", attempts, received_at as "receivedAt"
     from messages where id in (select id from held where all_bytes <= ? or all_bytes = bytes) order by id`,
    [afterId, count, bytes],
  );
  return rows;
}

/** The id of the newest message that nobody has handled; 0 where there is none. */
export async function newestReceived(db: Db): Promise<number> {
  const row = await db('messages')
    .where({ state: 'received' })
    .max<{ id: number | null }>('id as id')
    .first();
  return row?.id ?? 0;
}

export async function countAttempts(db: Db, ids: readonly number[]): Promise<void> {
  if (ids.length > 0) await db('messages').whereIn('id', ids).increment('attempts', 1);
}

/** They have come to nothing, which was no fault of the messages. Of those that are handled they stand. */
export async function takeBackAttempts(db: Db, ids: readonly number[]): Promise<void> {
  if (ids.length === 0) return;
  const lessOne = db.raw('greatest(attempts - 1, 0)');
  await db('messages').whereIn('id', ids).where({ state: 'received' }).update({ attempts: lessOne });
}

/** What is known of a message once it is parsed. */
export type MessageFacts = {
  address: string | null;
  senderName: string;
  messageId: string | null;
  references: readonly string[];
  subject: string;
  subjectKey: string;
  bodyHash: string;
  /** Of a verified sender's mail: the same for every copy of it. */
  signatureIds?: readonly string[];
  /** Who else gets the answer to it. */
  copyTo: readonly string[];
};

export type Settled = {
  outcome: MessageOutcome;
  reason: string | null;
  threadId: string | null;
  owes?: OwedNotice;
};

/** What became of a message, with what is known of it by now. */
export async function settleMessage(
  db: Db,
  id: number,
  settled: Settled,
  facts: MessageFacts | null,
): Promise<void> {
  const { rows } = await db.raw<{ rows: unknown[] }>(`with ${SETTLED} select from settled`, [
    asRows([{ id, ...settled, ...facts }]),
    [id],
  ]);
  if (rows.length === 0) throw new HandledByAnother(id);
}

/** Two processes have taken a message; what the other one did is stored. */
export class HandledByAnother extends Error {
  constructor(id: number) {
    super(`Another process has handled the message ${id}`);
    this.name = 'HandledByAnother';
  }
}

/**
 * Settles what is `asked`, rows of {@link Settled} and {@link MessageFacts}: those are `settled` that nobody has handled.
 * The columns of `asked` that are of no message are what {@link storeTaken} goes on with. A second parameter has the ids
 * alone: by them PostgreSQL finds the rows, and not by looking through all that is received.
 */
export const SETTLED = `asked as (
    select * from jsonb_to_recordset(?::jsonb) as asked (n int, id bigint, outcome text, reason text, "threadId" text,
      owes text, address text, "senderName" text, "messageId" text, "references" text[], subject text,
      "subjectKey" text, "bodyHash" text, "signatureIds" text[], "copyTo" text[], script text, builtin text,
      "hasFiles" boolean, "timeoutMs" bigint)),
  settled as (
    update messages set state = 'handled', handled_at = now(), outcome = asked.outcome, reason = asked.reason,
      thread_id = asked."threadId", owed_notice = asked.owes, address = asked.address,
      sender_name = asked."senderName", message_id = asked."messageId", reference_ids = asked."references",
      subject = asked.subject, subject_key = asked."subjectKey", body_hash = asked."bodyHash",
      signature_ids = asked."signatureIds", copy_to = coalesce(asked."copyTo", '{}')
    from asked where messages.id = asked.id and messages.id = any(?::bigint[]) and messages.state = 'received'
    returning messages.id)`;

/** What an answer to a message needs to know of it. */
export type MessageToAnswer = {
  id: number;
  address: string;
  senderName: string;
  messageId: string | null;
  references: string[];
  subject: string;
  subjectKey: string;
  copyTo: string[];
};

const toAnswer = (db: Db) =>
  db('messages').first<MessageToAnswer | undefined>({
    id: 'id',
    address: 'address',
    senderName: 'sender_name',
    messageId: 'message_id',
    references: 'reference_ids',
    subject: 'subject',
    subjectKey: 'subject_key',
    copyTo: 'copy_to',
  });

export async function messageToAnswer(db: Db, id: number): Promise<MessageToAnswer> {
  const row = await toAnswer(db).where({ id });
  if (!row) throw new Error(`No message has the id ${id}`);
  return row;
}

/** The newest message of a thread: what is to be said of the thread is said in that conversation. */
export async function latestMessage(db: Db, threadId: string): Promise<MessageToAnswer | null> {
  const row = await toAnswer(db).where({ thread_id: threadId, direction: 'in' }).orderBy('id', 'desc');
  return row ?? null;
}
