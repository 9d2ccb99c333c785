import { openReader, SQL_LIMITS, type Reader } from './admin/run-query.ts';
import type { Config, Secrets } from './config.ts';
import { limitMemory } from './embedded/limit-memory.ts';
import type { Db } from './store/database.ts';

/** What runs the queries of admins, by the settings. Only on a server of our own can their memory be bounded. */
export function sqlReader(
  { config, secrets }: { config: Config; secrets: Secrets },
  { db, databaseUrl, now }: { db: Db; databaseUrl: string; now: () => Date },
): Reader {
  return openReader({
    db,
    settings: { databaseUrl, readerUrl: secrets.sqlDatabaseUrl, showsBodies: config.sqlShowsBodies },
    limits: SQL_LIMITS,
    limitMemory: config.usesEmbeddedPostgres ? limitMemory : null,
    now,
  });
}
