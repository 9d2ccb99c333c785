import type { Db } from './database.ts';

/** While there is one, no command is started. `reason` as the operator gave it, may be empty. */
export type Pause = { since: Date; reason: string };

type Row = { since: Date | null; reason: string | null };

const asPause = (row: Row | undefined): Pause | null =>
  row?.since ? { since: row.since, reason: row.reason ?? '' } : null;

const columns = { since: 'paused_at', reason: 'pause_reason' } as const;

export async function readPause(db: Db): Promise<Pause | null> {
  return asPause(await db('installation').first<Row | undefined>(columns));
}

/** One that is there goes on, with another reason where one is given. */
export async function startPause(db: Db, reason: string): Promise<Pause> {
  await db('installation').update({
    paused_at: db.raw('coalesce(paused_at, now())'),
    pause_reason: db.raw(`coalesce(nullif(?::text, ''), pause_reason, '')`, [reason]),
  });
  return (await readPause(db)) as Pause;
}

/** @returns the pause that ends, or null when there was none; and how many commands wait, which start from here on */
export async function endPause(db: Db): Promise<{ pause: Pause | null; waitingCommands: number }> {
  return db.transaction(async (transaction) => {
    const pause = asPause(await transaction('installation').first<Row | undefined>(columns).forUpdate());
    await transaction('installation').update({ paused_at: null, pause_reason: null });
    const waiting = transaction('commands').where({ state: 'queued' });
    const [row] = await waiting.count<{ count: number }[]>('* as count');
    return { pause, waitingCommands: row?.count ?? 0 };
  });
}
