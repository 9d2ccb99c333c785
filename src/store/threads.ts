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
