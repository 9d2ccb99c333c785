import type { Db } from './database.ts';

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
