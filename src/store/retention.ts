import type { Db } from './database.ts';

/**
 * Removes kept outputs of commands that ended before a moment, the oldest first. Looks only at the oldest there are, by their
 * number: so it costs next to nothing where none is to go.
 *
 * @returns how many are gone; 0: none of the oldest is to go now
 */
export async function removeOutputs(db: Db, before: Date, limit: number): Promise<number> {
  return db('command_outputs')
    .whereIn('command_id', db('command_outputs').select('command_id').orderBy('command_id').limit(limit))
    .whereExists(
      db('commands')
        .whereRaw('commands.id = command_outputs.command_id')
        .whereRaw('coalesce(commands.ended_at, commands.created_at) < ?', [before]),
    )
    .delete();
}

/** The same of the record of admins' queries. One that is still to be run stays. */
export async function removeAskedQueries(db: Db, before: Date, limit: number): Promise<number> {
  return db('sql_queries')
    .whereIn('id', db('sql_queries').select('id').orderBy('id').limit(limit))
    .where('asked_at', '<', before)
    .whereNot('state', 'queued')
    .delete();
}
