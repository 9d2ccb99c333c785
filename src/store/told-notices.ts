import type { Db } from './database.ts';

/**
 * Remembers, by the database's clock, that an address is told something now. Run it in the transaction that stores the
 * mail.
 *
 * @param notSince told after that, it is not told again
 * @param until what is told holds until then, and no longer: told after that, it is told again
 * @returns false when it was told, and holds
 */
export async function tellsNow(
  db: Db,
  address: string,
  kind: 'paused' | 'echo' | `cap:${string}`,
  notSince: Date,
  until: Date | null = null,
): Promise<boolean> {
  const rows = await db('told_notices')
    .insert({ address, kind, told_at: db.fn.now(), holds_until: until })
    .onConflict(['address', 'kind'])
    .merge(['told_at', 'holds_until'])
    .whereRaw('(told_notices.told_at <= ? or told_notices.holds_until <= now())', [notSince])
    .returning('kind');
  return rows.length > 0;
}
