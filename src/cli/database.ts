import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import type { Embedded } from '../embedded/embedded.ts';
import type { Db } from '../store/database.ts';
import { CliError } from './command.ts';
import { withCauses } from './explain.ts';

/**
 * Runs `work` on the configured database, or the embedded one: that of the bot if it runs on this data directory,
 * else started for as long as it takes.
 *
 * @param ifNew what is answered where there is no embedded database yet; without it one is made
 * @param migrates false: the tables are left as they are, and may be older or newer than this Threadbox, or none
 * @throws {CliError} in plain words when the database cannot be used
 */
export async function withDatabase<T>(
  work: (db: Db, databaseUrl: string) => Promise<T>,
  { ifNew, migrates = true }: { ifNew?: T; migrates?: boolean } = {},
): Promise<T> {
  // Only now, as for all that loads drivers: a wrong word on the command line is told at once.
  const { loadConfig, readEnvironment } = await import('../config.ts');
  const { config, secrets } = loadConfig(readEnvironment(), { isForBot: false });
  if (secrets.databaseUrl !== null) {
    const where = `The database of DATABASE_URL (${placeOf(secrets.databaseUrl)})`;
    return workOn(secrets.databaseUrl, { where, migrates }, work);
  }
  const { dataDir } = config;
  const where = `The embedded PostgreSQL in ${dataDir}`;
  const { connectEmbedded } = await import('../embedded/embedded.ts');
  const running = await connectEmbedded(dataDir);
  if (running?.databaseUrl) return workOn(running.databaseUrl, { where, migrates }, work);
  if (!existsSync(join(dataDir, 'postgres'))) {
    const told = `there is no installation in ${dataDir} yet`;
    if (ifNew !== undefined) {
      process.stderr.write(`threadbox: ${told} (DATA_DIR says where it is)\n`);
      return ifNew;
    }
    process.stderr.write(`threadbox: ${told}: making one\n`);
  }
  const started = await startFor(config);
  try {
    return await workOn(started.databaseUrl as string, { where, migrates }, work);
  } finally {
    await started.close();
  }
}

async function startFor({ dataDir, logLevel }: Config): Promise<Embedded> {
  const { startEmbedded } = await import('../embedded/embedded.ts');
  const { createLog } = await import('../log.ts');
  // Standard output belongs to what was asked for. What goes wrong is thrown, with the server's last words.
  const isDebugging = logLevel === 'debug' || logLevel === 'trace';
  return startEmbedded({
    dataDir,
    want: { postgres: true, redis: false, mail: false },
    log: createLog(isDebugging ? logLevel : 'silent'),
    role: 'command',
  });
}

async function workOn<T>(
  databaseUrl: string,
  { where, migrates }: { where: string; migrates: boolean },
  work: (db: Db, databaseUrl: string) => Promise<T>,
): Promise<T> {
  const { isDatabaseAway, migrate, openDatabase } = await import('../store/database.ts');
  const db = openDatabase(databaseUrl, { poolSize: 2 });
  try {
    if (migrates) await migrate(db);
    return await work(db, databaseUrl);
  } catch (error) {
    // Told in plain words already, which may speak of a timeout themselves.
    if (error instanceof CliError) throw error;
    const told = databaseTrouble(error, where, isDatabaseAway(error));
    throw told === null ? error : new CliError(told, 1, { cause: error });
  } finally {
    await db.destroy();
  }
}

/** What is wrong with the database and what to do, or null where it is about something else. */
export function databaseTrouble(error: unknown, where: string, isAway: boolean): string | null {
  const { code: given, message = '' } = (error ?? {}) as { code?: unknown; message?: string };
  // Of a program that failed it is a number.
  const code = typeof given === 'string' ? given : '';
  const words = withCauses(error);
  // Appendix A of PostgreSQL's manual: 28 is about who one is, 3D000 a database that is not there.
  if (code.startsWith('28')) {
    return `${where} does not let us in: ${words}.\nCorrect the user and the password.`;
  }
  if (code === '3D000') return `${where} is not there: ${words}.\nCreate it (createdb), or correct its name.`;
  if (code === '42501') {
    return `${where} does not allow enough: ${words}.\nThreadbox makes tables: its user needs CREATE in the schema public.`;
  }
  if (code === 'SCHEMA_TOO_NEW' || /migration directory is corrupt/.test(message)) {
    return `${where} was made by a newer Threadbox than this one. Update this one, or restore a backup made before.`;
  }
  if (isAway) {
    return `${where} does not answer: ${words}.\nCheck that it runs and can be reached from here.`;
  }
  return /SSL|certificate/i.test(message) ? `${where} cannot be used: ${words}.` : null;
}

/** Host, port and database: what a person needs to find it, and no password. */
function placeOf(databaseUrl: string): string {
  const { hostname, port, pathname, searchParams } = new URL(databaseUrl);
  return `${hostname || searchParams.get('host') || 'localhost'}:${port || '5432'}${pathname}`;
}
