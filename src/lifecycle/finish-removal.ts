import { atMost } from '../commands/queues.ts';
import type { Docker } from '../containers/client.ts';
import { removeContainer, removeVolume } from '../containers/container.ts';
import type { WorkspaceLimit } from '../containers/workspace-limit.ts';
import type { Db } from '../store/database.ts';
import { endRemoving } from '../store/session-ends.ts';
import type { Session } from '../store/sessions.ts';

/** Each holds a connection to the database meanwhile, and an engine may take its time. */
const oneOfFew = atMost(3);

/**
 * Removes the container of a session that is `removing`: all that is needed of it was recorded before. Called in the
 * thread's queue; can be repeated after a crash.
 *
 * @returns false when another bot was quicker, or uses the container again: then nothing of it is touched
 */
export async function finishRemoval(
  { db, docker, workspaceLimit, now }: RemovalParts,
  { id, containerName, volumeName, dropsVolume }: Removing,
): Promise<boolean> {
  const remove = async (): Promise<void> => {
    // By its name: after a crash in between it may be another one than the session knows.
    await removeContainer(docker, containerName);
    if (dropsVolume) await removeVolume(docker, volumeName, workspaceLimit);
  };
  return oneOfFew(() => endRemoving(db, id, { now, remove }));
}

type RemovalParts = { db: Db; docker: Docker; workspaceLimit: WorkspaceLimit; now: () => Date };

type Removing = Pick<Session, 'id' | 'containerName' | 'volumeName' | 'dropsVolume'>;
