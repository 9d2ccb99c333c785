import type { FetchMessageObject, FetchQueryObject, ImapFlow } from 'imapflow';
import { within, type Deadlines } from './connect.ts';
import { arrival, searchUids, uidSet, uidValidityOf } from './uids.ts';

/** One mail as the server has it. */
export type FetchedMessage = {
  uid: number;
  uidValidity: number;
  sizeBytes: number;
  receivedAt: Date;
  /** Only the headers where the mail is too large; empty where the server does not give it out. */
  raw: Buffer;
  isTruncated: boolean;
};

/** So much of each mail comes with the first request: nearly all are whole then. */
const FIRST_BYTES = 128 * 1024;
/** So many at once, so that what one request brings stays within a few megabytes. */
export const MOST_AT_ONCE = 32;

export type FetchOptions = { maxMessageBytes: number; deadlines: Deadlines };

/**
 * The mails that have these UIDs, in their order. A mail that is gone by now is left out.
 *
 * @param uids as a search found them, {@link MOST_AT_ONCE} at most
 * @returns as {@link batches} does
 * @throws with `code: 'MAIL_NOT_GIVEN_OUT'` when the server lists a mail but does not send it
 */
export async function* fetchListed(
  client: ImapFlow,
  uids: readonly number[],
  options: FetchOptions,
): AsyncGenerator<FetchedMessage[]> {
  const rows = await fetchSources(client, uids, FIRST_BYTES, options);
  if (rows.length < uids.length) {
    const missing = uids.filter((uid) => !rows.some((row) => row.uid === uid));
    const [kept] = await searchUids(client, { uid: uidSet(missing) }, options.deadlines.answerMs);
    if (kept !== undefined) throw notGivenOut(kept);
  }
  yield* batches(client, rows, options);
}

/**
 * The mails right after a UID, without asking first which there are: one command, and a new mail is here. Ends at the
 * first UID that no mail has, since nobody can tell then whether the server has left one out.
 */
export async function* fetchNext(
  client: ImapFlow,
  afterUid: number,
  options: FetchOptions,
): AsyncGenerator<FetchedMessage[]> {
  const uids = Array.from({ length: MOST_AT_ONCE }, (_, index) => afterUid + 1 + index);
  const rows = await fetchSources(client, uids, FIRST_BYTES, options);
  const gap = rows.findIndex(({ uid }, index) => uid !== uids[index]);
  yield* batches(client, gap === -1 ? rows : rows.slice(0, gap), options);
}

/** A few megabytes at most each, but for a large mail, which comes alone. */
async function* batches(
  client: ImapFlow,
  rows: readonly SourceRow[],
  options: FetchOptions,
): AsyncGenerator<FetchedMessage[]> {
  let batch: FetchedMessage[] = [];
  for (const row of rows) {
    if (row.source.length < FIRST_BYTES && row.source.length <= options.maxMessageBytes) {
      batch.push(toMessage(client, row, false));
      continue;
    }
    if (batch.length > 0) yield batch;
    batch = [];
    yield [await largeMessage(client, row, options)];
  }
  if (batch.length > 0) yield batch;
}

async function largeMessage(
  client: ImapFlow,
  row: SourceRow,
  options: FetchOptions,
): Promise<FetchedMessage> {
  const { maxMessageBytes } = options;
  if (Math.max(row.source.length, row.size ?? 0) > maxMessageBytes) return toMessage(client, row, true);
  // The size that a server tells is not always that of what it sends, so the request is limited as well.
  const [whole] = await fetchSources(client, [row.uid], maxMessageBytes + 1, options);
  return toMessage(client, whole ?? row, whole === undefined || whole.source.length > maxMessageBytes);
}

type SourceRow = FetchMessageObject & { source: Buffer };

const notGivenOut = (uid: number) =>
  Object.assign(new Error(`The IMAP server lists the mail with UID ${uid} but does not send it`), {
    code: 'MAIL_NOT_GIVEN_OUT',
  });

/** Nothing is marked as read (RFC 3501, 6.4.5: PEEK). */
async function fetchSources(
  client: ImapFlow,
  uids: readonly number[],
  maxLength: number,
  { deadlines }: FetchOptions,
): Promise<SourceRow[]> {
  const query = { size: true, internalDate: true, source: { start: 0, maxLength } };
  const rows = await fetchRows(client, uids, query, deadlines.fetchMs);
  // A server may put in a line that only tells changed flags (RFC 3501, 7.4.2).
  const sent = new Map(rows.filter(hasSource).map((row) => [row.uid, row]));
  const kept = rows.find(({ uid }) => uids.includes(uid) && !sent.has(uid));
  if (kept) throw notGivenOut(kept.uid);
  return uids.map((uid) => sent.get(uid)).filter((row) => row !== undefined);
}

const hasSource = (row: FetchMessageObject): row is SourceRow => Buffer.isBuffer(row.source);

function fetchRows(
  client: ImapFlow,
  uids: readonly number[],
  query: FetchQueryObject,
  timeoutMs: number,
): Promise<FetchMessageObject[]> {
  return within(client, timeoutMs, client.fetchAll(uidSet(uids), { ...query, uid: true }, { uid: true }));
}

/**
 * What can be had of a mail that the server does not send however often it is asked: its headers, or only the fact.
 */
export async function fetchRemains(
  client: ImapFlow,
  uid: number,
  { hasHeaders, deadlines }: { hasHeaders: boolean; deadlines: Deadlines },
): Promise<FetchedMessage> {
  if (!hasHeaders) return toMessage(client, { uid, source: Buffer.alloc(0) }, true);
  const query = { size: true, internalDate: true, headers: true };
  const rows = await fetchRows(client, [uid], query, deadlines.answerMs);
  const row = rows.find(({ headers }) => Buffer.isBuffer(headers));
  return toMessage(client, { ...row, uid, source: row?.headers ?? Buffer.alloc(0) }, true);
}

function toMessage(
  client: ImapFlow,
  row: Pick<SourceRow, 'uid' | 'source'> & Partial<FetchMessageObject>,
  isTruncated: boolean,
): FetchedMessage {
  const { uid, source, size = 0 } = row;
  return {
    uid,
    uidValidity: uidValidityOf(client),
    sizeBytes: isTruncated ? Math.max(size, source.length) : source.length,
    receivedAt: arrival(row),
    raw: isTruncated ? headersOf(source) : source,
    isTruncated,
  };
}

function headersOf(source: Buffer): Buffer {
  const start = source.subarray(0, FIRST_BYTES);
  const end = /\r?\n\r?\n/.exec(start.toString('latin1'));
  // A copy: a view would keep the large mail in memory.
  return Buffer.from(end ? start.subarray(0, end.index + end[0].length) : start);
}
