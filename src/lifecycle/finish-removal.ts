import type { Docker } from '../containers/client.ts';
import { removeContainer, removeVolume } from '../containers/container.ts';
import type { Db } from '../store/database.ts';
import { endSession } from '../store/session-ends.ts';
import type { Session } from '../store/sessions.ts';

/**
 * Removes the container of a session that is `removing`: all that is needed of it was recorded before. Called in the
 * thread's queue; can be repeated after a crash.
 */
export async function finishRemoval(
  { db, docker, now }: { db: Db; docker: Docker; now: () => Date },
  session: Pick<Session, 'id' | 'containerName' | 'volumeName' | 'dropsVolume'>,
): Promise<void> {
  // By its name: after a crash in between it may be another one than the session knows.
  await removeContainer(docker, session.containerName);
  if (session.dropsVolume) await removeVolume(docker, session.volumeName);
  await endSession(db, session.id, now());
}
