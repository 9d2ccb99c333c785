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
const COUNTED = `select address, thread_id, handled_at from messages where direction = 'in' and outcome in ('command', 'answered')
  and handled_at > ${LAST_HOUR}`;
const WRITTEN = `select received_at from messages where direction = 'out' and received_at > ${LAST_HOUR}`;

const asMany = (query: string) => `(select count(*)::int from (${query} limit ?) counted)`;

/** The one that many back, if there are so many: with it gone from the hour there is room again. */
const nthNewest = (query: string, column: string) =>
  `(select ${column} from (${query}) counted order by ${column} desc offset ? limit 1)`;

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
const keyOf = ({ address, threadId }: OfMail): string => `${address} ${threadId ?? ''}`;
type TakenCaps = Exclude<keyof Caps, 'writtenPerAddress'>;

/** What was counted for a sender and a thread. `room`: so many more cannot reach a cap on what is taken. */
type Counted = { atId: number; room: number };

/**
 * Looks for reached caps, and counts no more often than needed: ids of messages go up by one for each, so between two of
 * them no more than their distance can have been taken. Mails that are put off come after others with higher ids, and
 * another bot may take some: {@link forget} what was counted before those.
 *
 * That is so where one message is settled before the next is judged. Those of different senders may be judged side by side
 * only as far as the cap on all leaves room for them: {@link hasRoomFor}. Each of the other caps is one sender's own.
 */
export class HourlyCaps {
  readonly #db: Db;
  readonly #caps: Caps;
  readonly #countTaken: (of: OfMail) => Promise<Record<TakenCaps, number>>;
  readonly #countWritten: (address: string) => Promise<number>;
  readonly #counted = new Map<string, Counted>();
  /** When so little had been written to an address that the cap on that was far. */
  readonly #fewWrittenAtMs = new Map<string, number>();
  /** At least so many more of all senders can be taken, whatever became of those that were counted in. */
  #room = 0;

  constructor(db: Db, caps: Caps) {
    this.#db = db;
    this.#caps = caps;
    this.#countTaken = coalesce((asked) => countTaken(db, asked, caps));
    this.#countWritten = coalesce((addresses) => countWritten(db, addresses, caps));
  }

  /** As {@link reachedCap}. @param of `messageId`: the message that is about to be taken */
  async reached(of: OfMail & { messageId: number }): Promise<ReachedCap | null> {
    const [isTakenReached, isWrittenReached] = await Promise.all([
      this.#isTakenReached(of),
      this.#isWrittenReached(of.address),
    ]);
    return isTakenReached || isWrittenReached ? reachedCap(this.#db, of, this.#caps) : null;
  }

  /**
   * How many mails of one sender, to one thread, the caps have room for from that message on; each of the sender's before it
   * is settled. What others take meanwhile is {@link hasRoomFor}'s.
   *
   * @param enough nobody wants to know of more
   */
  async roomFrom(of: OfMail & { messageId: number }, enough: number): Promise<number> {
    if (await this.#isWrittenReached(of.address)) return 0;
    const known = this.#counted.get(keyOf(of));
    const distance = of.messageId - (known?.atId ?? of.messageId);
    if (known && distance > 0 && known.room - distance >= enough) return enough;
    return Math.max(0, await this.#countRoom(of));
  }

  /** Mails may be taken now that have lower ids than those that were counted, or that another bot has recorded. */
  forget(): void {
    this.#counted.clear();
    this.#fewWrittenAtMs.clear();
    this.#room = 0;
  }

  async #isTakenReached(of: OfMail & { messageId: number }): Promise<boolean> {
    const known = this.#counted.get(keyOf(of));
    const distance = of.messageId - (known?.atId ?? of.messageId);
    if (known && distance > 0 && distance < known.room) return false;
    return (await this.#countRoom(of)) <= 0;
  }

  async #countRoom(of: OfMail & { messageId: number }): Promise<number> {
    const key = keyOf(of);
    this.#counted.delete(key);
    const counts = await this.#countTaken(of);
    const room = Math.min(
      ...(['perSender', 'perThread', 'overall'] as const).map((name) => this.#caps[name] - counts[name]),
    );
    if (room <= 0) return room;
    if (this.#counted.size >= MOST_REMEMBERED) this.#counted.clear();
    this.#counted.set(key, { atId: of.messageId, room });
    return room;
  }

  async #isWrittenReached(address: string): Promise<boolean> {
    const atMs = performance.now();
    if (atMs - (this.#fewWrittenAtMs.get(address) ?? Number.NEGATIVE_INFINITY) < STILL_TRUE_MS) return false;
    this.#fewWrittenAtMs.delete(address);
    const written = await this.#countWritten(address);
    const maximum = this.#caps.writtenPerAddress;
    if (written < maximum / 2) {
      if (this.#fewWrittenAtMs.size >= MOST_REMEMBERED) this.#fewWrittenAtMs.clear();
      this.#fewWrittenAtMs.set(address, atMs);
    }
    return written >= maximum;
  }

  /**
   * Whether so many mails more can be judged side by side, without the cap on all being reached amid them. Where not, each
   * has to be settled before the next is judged: what was remembered is forgotten for that.
   *
   * @param inHand those being judged now, for which this was asked before; they may be counted or not
   */
  async hasRoomFor(mails: number, inHand: number): Promise<boolean> {
    if (this.#room < mails) {
      const { overall } = this.#caps;
      const { rows } = await this.#db.raw<{ rows: { taken: number }[] }>(
        `select ${asMany(COUNTED)} as taken`,
        [overall],
      );
      this.#room = overall - (rows[0]?.taken ?? overall) - inHand;
    }
    this.#room -= mails;
    if (this.#room >= 0) return true;
    this.#counted.clear();
    return mails + inHand <= 1;
  }
}

/**
 * No further than to the caps. All that was taken in the hour is read once, whoever is asked about: in a new database, of
 * which PostgreSQL knows nothing, it would read through all of it for each of them, by the same index.
 */
async function countTaken(
  db: Db,
  asked: readonly OfMail[],
  caps: Caps,
): Promise<Record<TakenCaps, number>[]> {
  const { rows } = await db.raw<{ rows: (Record<TakenCaps, number> & { n: number })[] }>(
    `with taken as materialized (select address, thread_id from (${COUNTED}) counted limit ?),
     of_sender as (select address, count(*)::int as mails from taken group by address),
     of_thread as (select thread_id, count(*)::int as mails from taken group by thread_id)
    select asked.n,
      coalesce(of_sender.mails, 0) as "perSender",
      coalesce(of_thread.mails, 0) as "perThread",
      (select count(*)::int from taken) as "overall"
    from jsonb_to_recordset(?::jsonb) as asked (n int, address text, "threadId" text)
      left join of_sender on of_sender.address = asked.address
      left join of_thread on of_thread.thread_id = asked."threadId"`,
    [caps.overall, asNumberedRows(asked.map(({ address, threadId }) => ({ address, threadId })))],
  );
  return inPlaces(asked.length, rows, null) as Record<TakenCaps, number>[];
}

async function countWritten(db: Db, addresses: readonly string[], caps: Caps): Promise<number[]> {
  const { rows } = await db.raw<{ rows: { n: number; mails: number }[] }>(
    `select asked.n, ${asMany(`${WRITTEN} and address = asked.address`)} as mails
     from jsonb_to_recordset(?::jsonb) as asked (n int, address text)`,
    [caps.writtenPerAddress, asNumberedRows(addresses.map((address) => ({ address })))],
  );
  return inPlaces(addresses.length, rows, { mails: 0 }).map(({ mails }) => mails);
}
