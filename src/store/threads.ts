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
  const own = createHash('sha256').update(`${userId} ${repositoryId} ${label}`).digest('hex').slice(0, 8);
  for (const possible of [id, `${id}-${own}`]) {
    await db('threads')
      .insert({ id: possible, user_id: userId, repository_id: repositoryId, label })
      .onConflict()
      .ignore();
    const row = await db('threads')
      .first<Thread | undefined>(columns)
      .where({ user_id: userId, repository_id: repositoryId, label });
    if (row) return row;
  }
  throw new Error(`The thread ids ${id} and ${id}-${own} both belong to others`);
}
