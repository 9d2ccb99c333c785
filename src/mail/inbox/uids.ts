import type { FetchMessageObject, ImapFlow } from 'imapflow';
import { within } from './connect.ts';

/** As IMAP writes it: `4:7,9` (RFC 3501, 9: sequence-set). Ranges keep the line short. */
export function uidSet(uids: readonly number[]): string {
  const ranges: { first: number; last: number }[] = [];
  for (const uid of uids) {
    const range = ranges.at(-1);
    if (range && uid === range.last + 1) range.last = uid;
    else ranges.push({ first: uid, last: uid });
  }
  return ranges.map(({ first, last }) => (first === last ? String(first) : `${first}:${last}`)).join(',');
}

/** UIDs in ascending order. @throws when the server refuses to search. */
export async function searchUids(
  client: ImapFlow,
  query: Parameters<ImapFlow['search']>[0],
  timeoutMs: number,
): Promise<number[]> {
  const found = await within(client, timeoutMs, client.search(query, { uid: true }));
  if (!Array.isArray(found)) throw new Error('The IMAP server has refused to search the mailbox');
  return found.toSorted((one, other) => one - other);
}

/** When the server got a mail; the time of looking where it does not say. */
export function arrival({ internalDate }: Pick<FetchMessageObject, 'internalDate'>): Date {
  const date = new Date(internalDate ?? Number.NaN);
  return Number.isNaN(date.getTime()) ? new Date() : date;
}

export function uidValidityOf(client: ImapFlow): number {
  if (!client.mailbox) throw new Error('The IMAP server has closed the mailbox');
  return Number(client.mailbox.uidValidity);
}
