import { coalesce } from './coalesce.ts';
import type { Db } from './database.ts';
import { asNumberedRows, inPlaces } from './rows.ts';

/** How much there may be in any hour. */
export type Caps = {
  /** Mails of one sender that are run or answered. */
  perSender: number;
  perThread: number;
  overall: number;
  /** Mails written to one address, of whatever kind. */
  writtenPerAddress: number;
};

/** A cap that is reached, and when there is room under it again. */
export type ReachedCap = { cap: keyof Caps; maximum: number; againAt: Date };

const HOUR_MS = 3_600_000;
const LAST_HOUR = "now() - interval '1 hour'";
const COUNTED = `select handled_at from messages where direction = 'in' and outcome in ('command', 'answered')
  and handled_at > ${LAST_HOUR}`;
const WRITTEN = `select received_at from messages where direction = 'out' and received_at > ${LAST_HOUR}`;

const asMany = (query: string) => `(select count(*)::int from (${query} limit ?) counted)`;

/** The one that many back, if there are so many: with it gone from the hour there is room again. */
const nthNewest = (query: string, column: string) => `(${query} order by ${column} desc offset ? limit 1)`;

/**
 * The first cap that another mail of this sender would break, by the database's clock. The one on what was written goes
 * first: it says that there is a loop which the others have not ended.
 */
export async function reachedCap(
  db: Db,
  { address, threadId }: { address: string; threadId: string | null },
  caps: Caps,
): Promise<ReachedCap | null> {
  const { rows } = await db.raw<{ rows: Record<keyof Caps, Date | null>[] }>(
    `select
      ${nthNewest(`${WRITTEN} and address = ?`, 'received_at')} as "writtenPerAddress",
      ${nthNewest(`${COUNTED} and address = ?`, 'handled_at')} as "perSender",
      ${nthNewest(`${COUNTED} and thread_id = ?`, 'handled_at')} as "perThread",
      ${nthNewest(COUNTED, 'handled_at')} as "overall"`,
    // prettier-ignore
    [address, caps.writtenPerAddress - 1, address, caps.perSender - 1, threadId, caps.perThread - 1, caps.overall - 1],
  );
  const order = ['writtenPerAddress', 'perSender', 'perThread', 'overall'] as const;
  const cap = order.find((name) => rows[0]?.[name]);
  const since = cap && rows[0]?.[cap];
  return since ? { cap, maximum: caps[cap], againAt: new Date(since.getTime() + HOUR_MS) } : null;
}

/** A loop needs longer than this to fill half a cap with mails to one address. */
const STILL_TRUE_MS = 2_000;
const MOST_REMEMBERED = 1_000;

type OfMail = { address: string; threadId: string | null };

/** What was counted for a sender and a thread. `room`: so many more cannot reach a cap on what is taken. */
type Counted = { atId: number; atMs: number; room: number };

/**
 * Looks for reached caps, and counts no more often than needed: ids of messages go up by one for each, so between two of
 * them no more than their distance can have been taken.
 *
 * That is so where one message is settled before the next is judged. Those of different senders may be judged side by side
 * only as far as the cap on all leaves room for them: {@link hasRoomFor}. Each of the other caps is one sender's own.
 */
export class HourlyCaps {
  readonly #db: Db;
  readonly #caps: Caps;
  readonly #count: (of: OfMail) => Promise<Record<keyof Caps, number>>;
  readonly #counted = new Map<string, Counted>();
  /** At least so many more of all senders can be taken, whatever became of those that were counted in. */
  #room = { atMs: Number.NEGATIVE_INFINITY, mails: 0 };

  constructor(db: Db, caps: Caps) {
    this.#db = db;
    this.#caps = caps;
    this.#count = coalesce((asked) => countInLastHour(db, asked, caps));
  }

  /** As {@link reachedCap}. @param of `messageId`: the message that is about to be taken */
  async reached(of: OfMail & { messageId: number }): Promise<ReachedCap | null> {
    const key = `${of.address} ${of.threadId ?? ''}`;
    const known = this.#counted.get(key);
    const distance = of.messageId - (known?.atId ?? of.messageId);
    const isFresh = known !== undefined && performance.now() - known.atMs < STILL_TRUE_MS;
    // One that was put off comes after others with higher ids.
    if (isFresh && distance > 0 && distance < known.room) return null;
    this.#counted.delete(key);
    const atMs = performance.now();
    const counts = await this.#count(of);
    const caps = this.#caps;
    const isReached = (Object.keys(caps) as (keyof Caps)[]).some((name) => counts[name] >= caps[name]);
    if (isReached) return reachedCap(this.#db, of, caps);
    if (counts.writtenPerAddress < caps.writtenPerAddress / 2) {
      const taken = ['perSender', 'perThread', 'overall'] as const;
      const room = Math.min(...taken.map((name) => caps[name] - counts[name]));
      if (this.#counted.size >= MOST_REMEMBERED) this.#counted.clear();
      this.#counted.set(key, { atId: of.messageId, atMs, room });
    }
    return null;
  }

  /**
   * Whether so many mails more can be judged side by side, without the cap on all being reached amid them. Where not, each
   * has to be settled before the next is judged: what was remembered is forgotten for that.
   *
   * @param inHand those being judged now, for which this was asked before; they may be counted or not
   */
  async hasRoomFor(mails: number, inHand: number): Promise<boolean> {
    const atMs = performance.now();
    if (mails + inHand > 1 && (atMs - this.#room.atMs >= STILL_TRUE_MS || this.#room.mails < mails)) {
      const { overall } = this.#caps;
      const { rows } = await this.#db.raw<{ rows: { taken: number }[] }>(
        `select ${asMany(COUNTED)} as taken`,
        [overall],
      );
      this.#room = { atMs, mails: overall - (rows[0]?.taken ?? overall) - inHand };
    }
    this.#room.mails -= mails;
    if (mails + inHand <= 1 || this.#room.mails >= 0) return true;
    this.#counted.clear();
    return false;
  }
}

/** No further than to the caps. */
async function countInLastHour(
  db: Db,
  asked: readonly OfMail[],
  caps: Caps,
): Promise<Record<keyof Caps, number>[]> {
  const { rows } = await db.raw<{ rows: (Record<keyof Caps, number> & { n: number })[] }>(
    `select asked.n,
      ${asMany(`${WRITTEN} and address = asked.address`)} as "writtenPerAddress",
      ${asMany(`${COUNTED} and address = asked.address`)} as "perSender",
      ${asMany(`${COUNTED} and thread_id = asked."threadId"`)} as "perThread",
      ${asMany(COUNTED)} as "overall"
    from jsonb_to_recordset(?::jsonb) as asked (n int, address text, "threadId" text)`,
    [
      caps.writtenPerAddress,
      caps.perSender,
      caps.perThread,
      caps.overall,
      asNumberedRows(asked.map(({ address, threadId }) => ({ address, threadId }))),
    ],
  );
  return inPlaces(asked.length, rows, null) as Record<keyof Caps, number>[];
}
