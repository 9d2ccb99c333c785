import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { startEmbedded } from '../../src/embedded/embedded.ts';
import { migrate, openDatabase, type Db } from '../../src/store/database.ts';
import { layPostgres } from './laid-postgres.ts';

export type PrivateDatabase = { url: string; db: Db; close: () => Promise<void> };

/** A PostgreSQL of the test's own, with all tables and nothing in them; gone after `close`. */
export async function startPrivateDatabase(): Promise<PrivateDatabase> {
  const dataDir = await mkdtemp(join(tmpdir(), 'threadbox-store-'));
  await layPostgres(join(dataDir, 'postgres'));
  const want = { postgres: true, redis: false, mail: false };
  const embedded = await startEmbedded({ dataDir, want, log: pino({ level: 'silent' }) });
  const url = embedded.databaseUrl as string;
  const db = openDatabase(url);
  await migrate(db);
  return {
    url,
    db,
    async close() {
      await db.destroy();
      await embedded.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
