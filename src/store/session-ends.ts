import type { Db } from './database.ts';
import { statesBefore } from './session-states.ts';
import type { Session } from './sessions.ts';

/**
 * Ends a session that is `removing`. While `remove` takes its container away nobody else ends it, and nobody begins to
 * use it again: who wants to, waits, and finds it ended.
 *
 * @returns false when there is nothing to be done here: somebody else has ended it, or uses its container again
 */
export async function endRemoving(
  db: Db,
  id: number,
  { now, remove }: { now: () => Date; remove: () => Promise<void> },
): Promise<boolean> {
  return db.transaction(async (transaction) => {
    const [row] = await transaction('container_sessions')
      .select('id')
      .where({ id, is_active: true, state: 'removing' })
      .forUpdate();
    if (!row) return false;
    await remove();
    await endSession(transaction, id, now());
    return true;
  });
}

/** Its container has gone; why was said before. */
export async function endSession(db: Db, id: number, now: Date): Promise<void> {
  await db('container_sessions')
    .where({ id })
    .whereIn('state', statesBefore('ended'))
    .update({ is_active: false, state: 'ended', ended_at: now });
}

/** The session that a container has, or had. */
export type NamedSession = Pick<Session, 'id' | 'containerId' | 'state'> & {
  threadId: string;
  repositoryName: string;
  saveError: string | null;
};

const DOCKER_ID = /^[0-9a-f]{12,64}$/;

/** @param reference Docker's id of it, its first twelve digits at least. Not its name, which its thread's next one has, too */
export async function sessionOfContainer(db: Db, reference: string): Promise<NamedSession | null> {
  if (!DOCKER_ID.test(reference)) return null;
  const [row] = await db('container_sessions')
    .join('repositories', 'repositories.id', 'container_sessions.repository_id')
    .select<NamedSession[]>({
      id: 'container_sessions.id',
      containerId: 'container_sessions.container_id',
      state: 'container_sessions.state',
      threadId: 'container_sessions.thread_id',
      repositoryName: 'repositories.name',
      saveError: 'container_sessions.save_error',
    })
    .where('container_id', 'like', `${reference}%`)
    .orderBy('container_sessions.id', 'desc')
    .limit(1);
  return row ?? null;
}

/**
 * Says, before it is done, that a container is to be saved and removed: after a crash the sweep finds it. One that is
 * `removing` it finds without that; who asked for it in the middle of its end would wait for Docker.
 */
export async function askRemoval(db: Db, id: number, now: Date): Promise<void> {
  await db('container_sessions')
    .where({ id, is_active: true })
    .whereNot({ state: 'removing' })
    .update({ removal_asked_at: db.raw('coalesce(removal_asked_at, ?)', [now]), check_at: now });
}

export async function isRemovalAsked(db: Db, id: number): Promise<boolean> {
  const of = db('container_sessions').where({ id }).whereNotNull('removal_asked_at');
  return (await of.first('id')) !== undefined;
}
