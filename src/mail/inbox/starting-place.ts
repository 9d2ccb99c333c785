import type { ImapFlow } from 'imapflow';
import { within, type Deadlines } from './connect.ts';
import { arrival, searchUids, uidValidityOf } from './uids.ts';

/** How far a mailbox is read. UIDs mean something only together with their UIDVALIDITY (RFC 3501, 2.3.1.1). */
export type Cursor = { uidValidity: number; lastUid: number };

/**
 * `movedAt`: when the cursor moved last. Every mail that arrived before is recorded. `uidValidity` 0: that was another
 * mailbox, whose place this one has taken.
 */
export type StoredCursor = Cursor & { movedAt?: Date };

/** Where to go on, and why: a new or rebuilt mailbox has no place that could be known. */
export type StartingPlace = Cursor & {
  /** What to take before anything after `lastUid`, in order; only at a first look. */
  recentUids: number[];
  firstLook: null | {
    reason: 'new' | 'moved' | 'taken-over' | 'rebuilt' | 'renumbered';
    since: Date;
    olderMails: number;
  };
};

/** `takenOverAt`: see {@link startingPlace}. */
type StartingLimits = Deadlines & { longestLookBackMs: number; takenOverAt: Date | null };

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/**
 * Where to go on in the mailbox that is open. At the first look ever, mail of the last hour is taken and older mail left
 * alone. After the server has numbered the mailbox anew, what arrived since the cursor moved last is taken, and an hour
 * more: whoever records it knows what it has already. The same where the mailbox has taken the place of another one, though
 * no further back than `longestLookBackMs`: nobody knows what else it holds. Where it was taken over from another
 * installation since, what arrived before is left alone: that one may have run it.
 */
export async function startingPlace(
  client: ImapFlow,
  cursor: StoredCursor | null,
  now: Date,
  { longestLookBackMs, takenOverAt, ...deadlines }: StartingLimits,
): Promise<StartingPlace> {
  const uidValidity = uidValidityOf(client);
  const newest = await newestUid(client, deadlines);
  const isKnown = cursor?.uidValidity === uidValidity;
  const isTaken = takenOverAt !== null && takenOverAt > (cursor?.movedAt ?? new Date(0));
  if (isKnown && !isTaken && cursor.lastUid <= newest) {
    return { uidValidity, lastUid: cursor.lastUid, recentUids: [], firstLook: null };
  }
  const isMoved = cursor?.uidValidity === 0;
  const readAtMs = Math.min(now.getTime(), cursor?.movedAt?.getTime() ?? now.getTime()) - HOUR_MS;
  const furthestMs = isTaken ? takenOverAt.getTime() : isMoved ? now.getTime() - longestLookBackMs : 0;
  const since = new Date(Math.max(readAtMs, furthestMs));
  const recentUids = (await uidsSince(client, since, deadlines)).filter((uid) => uid <= newest);
  const exists = client.mailbox ? client.mailbox.exists : 0;
  const reason = whyAnew(cursor, { isTaken, isMoved, isKnown });
  const olderMails = Math.max(0, exists - recentUids.length);
  return { uidValidity, lastUid: newest, recentUids, firstLook: { reason, since, olderMails } };
}

function whyAnew(
  cursor: StoredCursor | null,
  { isTaken, isMoved, isKnown }: { isTaken: boolean; isMoved: boolean; isKnown: boolean },
): NonNullable<StartingPlace['firstLook']>['reason'] {
  if (isTaken) return 'taken-over';
  if (cursor === null) return 'new';
  if (isMoved) return 'moved';
  return isKnown ? 'renumbered' : 'rebuilt';
}

/** The highest UID there is or was. */
async function newestUid(client: ImapFlow, { answerMs }: Deadlines): Promise<number> {
  const next = client.mailbox ? client.mailbox.uidNext : 0;
  if (next > 0) return next - 1;
  return (await searchUids(client, { all: true }, answerMs)).at(-1) ?? 0;
}

async function uidsSince(client: ImapFlow, since: Date, { answerMs, fetchMs }: Deadlines): Promise<number[]> {
  // SEARCH knows only days, in the server's time zone (RFC 3501, 6.4.4).
  const day = new Date(since.getTime() - DAY_MS);
  const [first, ...others] = await searchUids(client, { since: day }, answerMs);
  if (first === undefined) return [];
  // A range, and not the UIDs: servers limit the length of a line.
  const range = `${first}:${others.at(-1) ?? first}`;
  const rows = await within(
    client,
    fetchMs,
    client.fetchAll(range, { uid: true, internalDate: true }, { uid: true }),
  );
  const recent = rows.filter((row) => arrival(row) >= since).map(({ uid }) => uid);
  return [...new Set(recent)].toSorted((one, other) => one - other);
}
