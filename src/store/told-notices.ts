import type { Db } from './database.ts';

/**
 * Remembers, by the database's clock, that an address is told something now. Run it in the transaction that stores the
 * mail.
 *
 * @param notSince told after that, it is not told again
 * @returns false when it was
 */
export async function tellsNow(
  db: Db,
  address: string,
  kind: 'paused' | 'cap' | 'echo',
  notSince: Date,
): Promise<boolean> {
  const rows = await db('told_notices')
    .insert({ address, kind, told_at: db.fn.now() })
    .onConflict(['address', 'kind'])
    .merge({ told_at: db.fn.now() })
    .where('told_notices.told_at', '<=', notSince)
    .returning('kind');
  return rows.length > 0;
}
