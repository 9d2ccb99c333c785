import type { Db } from './database.ts';

export type Thread = { id: string; userId: number; repositoryId: number; label: string };

/**
 * The thread of that user, repository and label, made when missing under the given id.
 *
 * @throws when another user or repository has that id already: two threads must never share a container.
 */
export async function ensureThread(db: Db, thread: Thread): Promise<Thread> {
  await db('threads')
    .insert({
      id: thread.id,
      user_id: thread.userId,
      repository_id: thread.repositoryId,
      label: thread.label,
    })
    .onConflict()
    .ignore();
  const row = await db('threads')
    .first<Thread | undefined>({ id: 'id', userId: 'user_id', repositoryId: 'repository_id', label: 'label' })
    .where({ user_id: thread.userId, repository_id: thread.repositoryId, label: thread.label });
  if (!row) throw new Error(`The thread id ${thread.id} belongs to another sender and repository already`);
  return row;
}
