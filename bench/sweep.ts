import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Closers } from '../src/closers.ts';
import { startEmbedded } from '../src/embedded/embedded.ts';
import { createLog } from '../src/log.ts';
import { migrate, openDatabase, type Db } from '../src/store/database.ts';
import { addRepository, listRepositories } from '../src/store/repositories.ts';
import { dueSessions } from '../src/store/sessions.ts';
import { ensureUser } from '../src/store/users.ts';
import type { Series } from './figures.ts';

const SESSIONS = 10_000;
const DUE = 5;
const WARM_UPS = 50;
/** As many as the sweep asks for at once. */
const LIMIT = 100;

/** Asking which sessions are due, and reading as many by their keys on the same connection. In ms. */
export async function sweep(closers: Closers, n: number): Promise<Series> {
  const dir = await mkdtemp(join(tmpdir(), 'threadbox-bench-'));
  closers.add('the data', () => rm(dir, { recursive: true, force: true }));
  const want = { postgres: true, redis: false, mail: false };
  const embedded = await startEmbedded({ dataDir: dir, want, log: createLog('warn') });
  closers.add('PostgreSQL', () => embedded.close());
  const now = new Date();
  const all = openDatabase(embedded.databaseUrl as string);
  try {
    await migrate(all);
    await fill(all, now);
  } finally {
    await all.destroy();
  }
  const db = openDatabase(embedded.databaseUrl as string, { poolSize: 1 });
  closers.add('the connection', () => db.destroy());

  const values: number[] = [];
  const floors: number[] = [];
  for (let index = -WARM_UPS; index < n; index += 1) {
    const startedAt = performance.now();
    const due = await dueSessions(db, now, LIMIT);
    const dueAt = performance.now();
    const ids = due.map(({ id }) => id);
    const askedAt = performance.now();
    const read = await db('container_sessions').whereIn('id', ids);
    const readAt = performance.now();
    if (due.length !== DUE || read.length !== DUE)
      throw new Error(`Expected ${DUE} sessions, got ${due.length}`);
    if (index < 0) continue;
    values.push(dueAt - startedAt);
    floors.push(readAt - askedAt);
  }
  return { values, floors };
}

async function fill(db: Db, now: Date): Promise<void> {
  const user = await ensureUser(db, 'alice@example.com', 'Alice');
  const of = { url: 'https://git.example.com/x.git', branch: null, threadBy: null };
  await addRepository(db, { name: 'sample', ...of });
  const [repository] = await listRepositories(db);
  const repositoryId = repository?.id as number;
  await db.raw(
    `insert into threads (id, user_id, repository_id, label)
       select 't' || n, ?, ?, '#' || n from generate_series(1, ?) n`,
    [user.id, repositoryId, SESSIONS],
  );
  // The due ones lie anywhere among the others.
  await db.raw(
    `insert into container_sessions
       (container_id, container_name, volume_name, image, thread_id, user_id, repository_id, last_activity_at, check_at)
     select 'c' || n, 'n' || n, 'v' || n, 'i', 't' || n, ?, ?, ?::timestamptz,
            ?::timestamptz + case when n % ? = 0 then interval '0' else interval '1 hour' end
       from generate_series(1, ?) n`,
    [user.id, repositoryId, now, now, SESSIONS / DUE, SESSIONS],
  );
  await db.raw('analyze');
}
