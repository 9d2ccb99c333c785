import type { Db } from './database.ts';

/** One container's life for one thread. */
export type Session = { id: number; containerId: string; containerName: string; volumeName: string };

const columns = {
  id: 'id',
  containerId: 'container_id',
  containerName: 'container_name',
  volumeName: 'volume_name',
};

export async function activeSession(db: Db, threadId: string): Promise<Session | null> {
  const row = await db('container_sessions')
    .first<Session | undefined>(columns)
    .where({ thread_id: threadId, is_active: true });
  return row ?? null;
}

/** Ends the thread's session, if there is one, and opens the next: a thread never has two. */
export async function openSession(
  db: Db,
  session: Omit<Session, 'id'> & { image: string; threadId: string; userId: number; repositoryId: number },
  endReason: string,
): Promise<Session> {
  return db.transaction(async (transaction) => {
    await transaction('container_sessions')
      .where({ thread_id: session.threadId, is_active: true })
      .update({ is_active: false, ended_at: transaction.fn.now(), end_reason: endReason });
    const [row] = await transaction('container_sessions')
      .insert({
        container_id: session.containerId,
        container_name: session.containerName,
        volume_name: session.volumeName,
        image: session.image,
        thread_id: session.threadId,
        user_id: session.userId,
        repository_id: session.repositoryId,
      })
      .returning<{ id: number }[]>('id');
    const { containerId, containerName, volumeName } = session;
    return { id: (row as { id: number }).id, containerId, containerName, volumeName };
  });
}

/** The thread did something just now: idle time counts from here. */
export async function touchSession(db: Db, id: number): Promise<void> {
  await db('container_sessions').where({ id }).update({ last_activity_at: db.fn.now() });
}
