import { createHash } from 'node:crypto';
import type { LastCommand } from './commands.ts';
import type { Db } from './database.ts';
import { asNumberedRows, inPlaces } from './rows.ts';

const columns = { id: 'id', userId: 'user_id', repositoryId: 'repository_id', label: 'label' };

export type Thread = { id: string; userId: number; repositoryId: number; label: string };

/**
 * The thread of that user, repository and label, made when missing under the given id. Where another thread has that id
 * (`web` by subject `api` and a repository `web-api` would share one), a short hash goes behind it: two threads must
 * never share a container.
 */
export async function ensureThread(db: Db, thread: Thread): Promise<Thread> {
  const { id, userId, repositoryId, label } = thread;
  const of = { user_id: userId, repository_id: repositoryId, label };
  const known = await db('threads').first<Thread | undefined>(columns).where(of);
  if (known) return known;
  const own = createHash('sha256').update(`${userId} ${repositoryId} ${label}`).digest('hex').slice(0, 8);
  for (const possible of [id, `${id}-${own}`]) {
    await db('threads')
      .insert({ id: possible, ...of })
      .onConflict()
      .ignore();
    const row = await db('threads').first<Thread | undefined>(columns).where(of);
    if (row) return row;
  }
  throw new Error(`The thread ids ${id} and ${id}-${own} both belong to others`);
}

export async function threadById(db: Db, id: string): Promise<Thread | null> {
  const row = await db('threads').first<Thread | undefined>(columns).where({ id });
  return row ?? null;
}

/** All threads of that sender, also those of repositories that are out of use. */
export async function threadIdsOf(db: Db, address: string): Promise<string[]> {
  return db('threads')
    .join('users', 'users.id', 'threads.user_id')
    .where('users.address', address)
    .pluck<string[]>('threads.id');
}

/** What is needed to speak of a thread; null where its repository is out of use. */
export async function usableThread(
  db: Db,
  id: string,
): Promise<{ threadId: string; repositoryId: number; repositoryName: string; label: string } | null> {
  const row = await db('threads')
    .join('repositories', 'repositories.id', 'threads.repository_id')
    .first<{ threadId: string; repositoryId: number; repositoryName: string; label: string } | undefined>({
      threadId: 'threads.id',
      repositoryId: 'repositories.id',
      repositoryName: 'repositories.name',
      label: 'threads.label',
    })
    .where('threads.id', id)
    .whereNull('repositories.removed_at');
  return row ?? null;
}

/** What the tokens of this installation are signed with. */
export async function tokenKey(db: Db): Promise<Buffer> {
  const row = await db('installation').first<{ key: Buffer }>({ key: 'token_key' });
  return row.key;
}

/** A sender's thread in a repository. */
export type ThreadOfSender = { address: string; repositoryId: number; label: string };

export type StoredThread = Thread & { userName: string; last: LastCommand | null };

/** The thread of that sender, repository and label, if there has ever been a command in it. */
export async function storedThread(db: Db, of: ThreadOfSender): Promise<StoredThread | null> {
  const [thread = null] = await storedThreads(db, [of]);
  return thread;
}

/** The same for several, each with the last command in it. */
export async function storedThreads(
  db: Db,
  asked: readonly ThreadOfSender[],
): Promise<(StoredThread | null)[]> {
  const { rows } = await db.raw<{ rows: (Omit<StoredThread, 'last'> & LastCommand & { n: number })[] }>(
    `select asked.n, threads.id, threads.user_id as "userId", threads.repository_id as "repositoryId", threads.label,
       users.name as "userName", last.*
     from jsonb_to_recordset(?::jsonb) as asked (n int, address text, "repositoryId" bigint, label text)
     join users on users.address = asked.address
     join threads on threads.user_id = users.id and threads.repository_id = asked."repositoryId"
       and threads.label = asked.label
     left join lateral (
       select script, state, exit_code as "exitCode", ended_at as "endedAt" from commands
       where thread_id = threads.id order by commands.id desc limit 1) last on true`,
    [asNumberedRows(asked)],
  );
  return inPlaces(asked.length, rows, null).map((row) => {
    if (row === null) return null;
    const { script, state, exitCode, endedAt, ...thread } = row;
    return { ...thread, last: state ? { script, state, exitCode, endedAt } : null };
  });
}
