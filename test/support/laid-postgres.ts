import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/**
 * Puts an empty PostgreSQL where one is to be started for the first time: initdb is most of a start, and what it makes is
 * always the same. scripts/with-engine.mjs has made one for the whole run; without it, the start makes its own.
 *
 * @param dir of the part, not there yet
 */
export async function layPostgres(dir: string): Promise<void> {
  const made = process.env['TEST_POSTGRES'];
  if (made !== undefined) await promisify(execFile)('cp', ['-a', made, dir]);
}
