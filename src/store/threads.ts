import { createHash } from 'node:crypto';
import type { Db } from './database.ts';

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

/** The thread of that sender, repository and label, if there has ever been a command in it. */
export async function storedThread(
  db: Db,
  of: { address: string; repositoryId: number; label: string },
): Promise<Thread | null> {
  const row = await db('threads')
    .join('users', 'users.id', 'threads.user_id')
    .first<Thread | undefined>({
      id: 'threads.id',
      userId: 'threads.user_id',
      repositoryId: 'threads.repository_id',
      label: 'threads.label',
    })
    .where({
      'users.address': of.address,
      'threads.repository_id': of.repositoryId,
      'threads.label': of.label,
    });
  return row ?? null;
}
