import type { Db } from './database.ts';

/** What a command wrote, as far as it was kept. */
export type StoredOutput = {
  /** The beginning; everything when `omittedBytes` is 0 and `tail` is empty. */
  head: Buffer;
  tail: Buffer;
  omittedBytes: number;
  hasLog: boolean;
  /** False when the log has the beginning only. */
  isLogComplete: boolean;
};

/** Stored together with the command's end. */
export async function recordOutput(
  db: Db,
  commandId: number,
  output: {
    head: Buffer;
    tail: Buffer;
    omittedBytes: number;
    log: { gzip: Buffer; isComplete: boolean } | null;
  },
): Promise<void> {
  const { head, tail, omittedBytes, log } = output;
  await db('command_outputs')
    .insert({
      command_id: commandId,
      head,
      tail,
      omitted_bytes: omittedBytes,
      // What the two ends have whole needs no log.
      log: omittedBytes > 0 ? (log?.gzip ?? null) : null,
      is_log_complete: log?.isComplete ?? true,
    })
    .onConflict('command_id')
    .merge();
}

/** @returns null when it never ran, still runs, or ended before outputs were kept */
export async function outputOfCommand(db: Db, commandId: number): Promise<StoredOutput | null> {
  const [row] = await db('command_outputs')
    .select<StoredOutput[]>(
      'head',
      'tail',
      'omitted_bytes as omittedBytes',
      'is_log_complete as isLogComplete',
      db.raw('log is not null as "hasLog"'),
    )
    .where({ command_id: commandId });
  return row ?? null;
}

/** All of it, as gzip; null when the two ends have it all, or nothing was kept. */
export async function logOfCommand(db: Db, commandId: number): Promise<Buffer | null> {
  const row = await db('command_outputs')
    .first<{ log: Buffer | null } | undefined>('log')
    .where({ command_id: commandId });
  return row?.log ?? null;
}
