import type { Db } from './database.ts';

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
  await db.transaction(async (transaction) => {
    if (batch.length > 0) {
      await transaction('messages')
        .insert(
          batch.map((message) => ({
            direction: 'in',
            mailbox,
            uid_validity: cursor.uidValidity,
            uid: message.uid,
            raw: message.raw,
            size_bytes: message.sizeBytes,
            is_truncated: message.isTruncated,
            state: 'received',
            received_at: message.receivedAt,
          })),
        )
        .onConflict(['mailbox', 'uid_validity', 'uid', 'received_at'])
        .ignore();
    }
    await transaction('mailboxes')
      .insert({ mailbox, uid_validity: cursor.uidValidity, last_uid: cursor.lastUid })
      .onConflict('mailbox')
      .merge({
        uid_validity: cursor.uidValidity,
        last_uid: cursor.lastUid,
        updated_at: transaction.fn.now(),
      });
  });
}

/** The oldest message nobody has handled, after `afterId`. One at a time: each may be as large as a mail can be. */
export async function nextReceived(db: Db, afterId: number): Promise<ReceivedMessage | null> {
  const row = await db('messages')
    .first<ReceivedMessage | undefined>({
      id: 'id',
      raw: 'raw',
      sizeBytes: 'size_bytes',
      isTruncated: 'is_truncated',
      attempts: 'attempts',
      receivedAt: 'received_at',
    })
    .where({ state: 'received' })
    .where('id', '>', afterId)
    .orderBy('id');
  return row ?? null;
}

export async function countAttempt(db: Db, id: number): Promise<void> {
  await db('messages').where({ id }).increment('attempts', 1);
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

/** What became of a message, with what is known of it by now. */
export async function settleMessage(
  db: Db,
  id: number,
  settled: { outcome: MessageOutcome; reason: string | null; threadId: string | null; owes?: OwedNotice },
  facts: MessageFacts | null,
): Promise<void> {
  const changed = await db('messages')
    .where({ id, state: 'received' })
    .update({
      state: 'handled',
      outcome: settled.outcome,
      reason: settled.reason,
      thread_id: settled.threadId,
      owed_notice: settled.owes ?? null,
      handled_at: db.fn.now(),
      ...(facts && {
        address: facts.address,
        sender_name: facts.senderName,
        message_id: facts.messageId,
        reference_ids: [...facts.references],
        subject: facts.subject,
        subject_key: facts.subjectKey,
        body_hash: facts.bodyHash,
        signature_ids: facts.signatureIds ? [...facts.signatureIds] : null,
        copy_to: [...facts.copyTo],
      }),
    });
  if (changed === 0) throw new Error(`Another process has handled the message ${id}`);
}

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

/** The thread a message belongs to, with what is needed to speak of it. */
export type MessageThread = {
  threadId: string;
  repositoryId: number;
  repositoryName: string;
  label: string;
};

const threadOfMessage = (db: Db, address: string) =>
  db('messages')
    .join('threads', 'threads.id', 'messages.thread_id')
    .join('repositories', 'repositories.id', 'threads.repository_id')
    .first<MessageThread | undefined>({
      threadId: 'threads.id',
      repositoryId: 'repositories.id',
      repositoryName: 'repositories.name',
      label: 'threads.label',
    })
    .where('messages.address', address)
    .whereNull('repositories.removed_at');

/**
 * The thread that a message answers: the first of these Message-IDs that we sent to, or had from, that address.
 * @param messageIds the likeliest first
 */
export async function answeredThread(
  db: Db,
  address: string,
  messageIds: readonly string[],
): Promise<MessageThread | null> {
  if (messageIds.length === 0) return null;
  const row = await threadOfMessage(db, address)
    .whereIn('messages.message_id', messageIds)
    .orderBy([
      {
        column: db.raw('array_position(?::text[], messages.message_id)', [
          [...messageIds],
        ]) as unknown as string,
      },
      { column: 'messages.id', order: 'desc' },
    ]);
  return row ?? null;
}

/** The thread of that address's newest message with this normalised subject. */
export async function conversationThread(
  db: Db,
  address: string,
  subjectKey: string,
): Promise<MessageThread | null> {
  if (subjectKey === '') return null;
  const row = await threadOfMessage(db, address)
    .where('messages.subject_key', subjectKey)
    .orderBy('messages.id', 'desc');
  return row ?? null;
}

/** Copies of one mail, as by two ways to the same mailbox, come close together; who sends it anew has read our answer. */
const COPIES_WITHIN = "interval '10 minutes'";

/**
 * True when that very mail was taken before: by its Message-ID when it started a command, or was answered a moment ago;
 * or when not a byte differs, as after a mailbox was rebuilt or moved to another server.
 *
 * @param isVerified the sender is: then by its Message-ID alone, or by a signature, whatever was changed about the mail
 */
export async function isRepeated(
  db: Db,
  mail: {
    address: string;
    messageId: string | null;
    bodyHash: string;
    raw: Buffer;
    signatureIds: readonly string[];
  },
  { isVerified }: { isVerified: boolean },
): Promise<boolean> {
  const { address, messageId, bodyHash, raw, signatureIds } = mail;
  const row = await db('messages')
    .first('id')
    .where({ direction: 'in', state: 'handled', address })
    .andWhere((same) => {
      void same.where((copy) => {
        // What was never taken, as when it could not be verified, may be put back to be taken.
        void copy.where({ body_hash: bodyHash, raw }).whereRaw(`(${ACTED_ON} or signature_ids is not null)`);
      });
      if (messageId !== null) {
        void same.orWhere({ body_hash: bodyHash, outcome: 'command', message_id: messageId });
        void same.orWhere((copy) => {
          void copy.where({ body_hash: bodyHash, outcome: 'answered', message_id: messageId });
          void copy.whereRaw(`handled_at > now() - ${COPIES_WITHIN}`);
        });
        if (isVerified) void same.orWhereRaw(`${ACTED_ON} and message_id = ?`, [messageId]);
      }
      if (signatureIds.length > 0) {
        void same.orWhereRaw(`${ACTED_ON} and signature_ids && ?::text[]`, [[...signatureIds]]);
      }
    });
  return row !== undefined;
}

/** Others may have been forged, and must not keep the true one out. */
const ACTED_ON = "outcome in ('command', 'answered')";
