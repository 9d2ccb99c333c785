import type { Db } from './database.ts';
import { asNumberedRows, asRows, inPlaces } from './rows.ts';

// What is known of earlier mail, asked for several mails at once. Each subquery has a limit of its own, or an offset where
// one condition is to be looked up before the others: so PostgreSQL goes by that index for each mail, whatever it believes
// of the table. In a new database it knows nothing of it.

/** The thread a message belongs to, with what is needed to speak of it. */
export type MessageThread = {
  threadId: string;
  repositoryId: number;
  repositoryName: string;
  label: string;
};

const threadOf = (messages: string): string =>
  `select threads.id as "threadId", repositories.id as "repositoryId", repositories.name as "repositoryName",
    threads.label
  from ${messages} messages join threads on threads.id = messages.thread_id
    join repositories on repositories.id = threads.repository_id
  where messages.address = asked.address and repositories.removed_at is null`;

/**
 * The thread that each mail answers: the first of these Message-IDs that we sent to, or had from, that address.
 * @param asked `messageIds`: the likeliest first
 */
export async function answeredThreads(
  db: Db,
  asked: readonly { address: string; messageIds: readonly string[] }[],
): Promise<(MessageThread | null)[]> {
  const ids = asked.flatMap(({ address, messageIds }, n) =>
    messageIds.map((messageId, place) => ({ n, place, address, message_id: messageId })),
  );
  if (ids.length === 0) return asked.map(() => null);
  const { rows } = await db.raw<{ rows: (MessageThread & { n: number })[] }>(
    `select distinct on (asked.n) asked.n, thread.*
     from jsonb_to_recordset(?::jsonb) as asked (n int, place int, address text, message_id text)
     cross join lateral (
       ${threadOf('(select * from messages where message_id = asked.message_id offset 0)')}
       order by messages.id desc limit 1) thread
     order by asked.n, asked.place`,
    [asRows(ids)],
  );
  return inPlaces(asked.length, rows, null);
}

/** The thread of each address's newest message with this normalised subject. */
export async function conversationThreads(
  db: Db,
  asked: readonly { address: string; subjectKey: string }[],
): Promise<(MessageThread | null)[]> {
  const { rows } = await db.raw<{ rows: (MessageThread & { n: number })[] }>(
    `select asked.n, thread.*
     from jsonb_to_recordset(?::jsonb) as asked (n int, address text, "subjectKey" text)
     cross join lateral (
       ${threadOf('messages')} and messages.subject_key = asked."subjectKey" order by messages.id desc limit 1) thread
     where asked."subjectKey" <> ''`,
    [asNumberedRows(asked)],
  );
  return inPlaces(asked.length, rows, null);
}

/** Copies of one mail, as by two ways to the same mailbox, come close together; who sends it anew has read our answer. */
const COPIES_WITHIN = "interval '10 minutes'";
/** Others may have been forged, and must not keep the true one out. */
const ACTED_ON = "copy.outcome in ('command', 'answered')";
const copyBy = (condition: string): string =>
  `select true from (select * from messages where ${condition} offset 0) copy
  where copy.direction = 'in' and copy.state = 'handled' and copy.address = asked.address`;

const SAME_BODY = `direction = 'in' and address = asked.address and body_hash = asked."bodyHash"`;

/** A mail that is about to be taken. */
export type MailToTake = {
  /** Of its message. */
  id: number;
  address: string;
  messageId: string | null;
  bodyHash: string;
  signatureIds: readonly string[];
  /** The sender is: then it is known by its Message-ID alone, or by a signature, whatever was changed about the mail. */
  isVerified: boolean;
};

/**
 * True for each that was taken before, that very mail: by its Message-ID when it started a command, or was answered a
 * moment ago; or when not a byte differs, as after a mailbox was rebuilt or moved to another server.
 */
export async function areRepeated(db: Db, mails: readonly MailToTake[]): Promise<boolean[]> {
  const { rows } = await db.raw<{ rows: { n: number }[] }>(
    `select asked.n
     from jsonb_to_recordset(?::jsonb) as asked (n int, id bigint, address text, "messageId" text, "bodyHash" text,
       "signatureIds" text[], "isVerified" boolean)
     where
       -- What was never taken, as when it could not be verified, may be put back to be taken.
       (${copyBy(SAME_BODY)} and (${ACTED_ON} or copy.signature_ids is not null)
          and copy.raw = (select raw from messages where id = asked.id) limit 1)
       or (${copyBy('message_id = asked."messageId"')}
          and (asked."isVerified" and ${ACTED_ON} or copy.body_hash = asked."bodyHash" and (copy.outcome = 'command'
            or copy.outcome = 'answered' and copy.handled_at > now() - ${COPIES_WITHIN})) limit 1)
       or asked."signatureIds" <> '{}'
          and (${copyBy(`signature_ids <> '{}' and signature_ids && asked."signatureIds"`)} and ${ACTED_ON} limit 1)`,
    [asNumberedRows(mails)],
  );
  const repeated = new Set(rows.map(({ n }) => n));
  return mails.map((_, n) => repeated.has(n));
}
