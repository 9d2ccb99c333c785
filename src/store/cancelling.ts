import type { Db } from './database.ts';

/** What a `cancel` is about, by ids of commands: what runs, and what waits. */
export type Cancelled = { running: readonly number[]; queued: readonly number[] };

/**
 * Records that running commands are to be ended, and that waiting ones have been. Run it in the transaction that says so
 * to the sender.
 *
 * @param by whose wish it is, when not its sender's
 * @returns false when one of them has begun or ended since it was looked at; nothing is recorded then
 */
export async function recordCancel(
  db: Db,
  { running, queued }: Cancelled,
  by: string | null = null,
): Promise<boolean> {
  const ids = [...running, ...queued];
  const rows = await db('commands')
    .select<{ id: number; state: string }[]>('id', 'state')
    .whereIn('id', ids)
    .orderBy('id')
    .forUpdate();
  const states = new Map(rows.map(({ id, state }) => [id, state]));
  const isAsSeen =
    running.every((id) => states.get(id) === 'running') && queued.every((id) => states.get(id) === 'queued');
  if (!isAsSeen) return false;
  await db('commands')
    .whereIn('id', [...running])
    .whereNull('cancel_requested_at')
    .update({ cancel_requested_at: db.fn.now(), cancelled_by: by });
  await db('commands')
    .whereIn('id', [...queued])
    .update({
      state: 'cancelled',
      cancel_requested_at: db.fn.now(),
      cancelled_by: by,
      ended_at: db.fn.now(),
    });
  return true;
}
