import type { Docker } from '../containers/client.ts';
import { removeContainer, removeVolume } from '../containers/container.ts';
import { containerName } from '../containers/names.ts';
import { dropSave, storePathOf } from '../containers/saves-store.ts';
import type { WorkspaceLimit } from '../containers/workspace-limit.ts';
import type { Log } from '../log.ts';
import type { Db } from '../store/database.ts';
import { markCleaned } from '../store/expiring-saves.ts';
import type { SavedState } from '../store/saved-states.ts';
import { activeSession } from '../store/sessions.ts';
import type { SharedState } from '../store/shared-state.ts';
import { writeContainerState } from './container-state.ts';
import { finishRemoval } from './finish-removal.ts';

type CleanParts = {
  db: Db;
  docker: Docker;
  workspaceLimit: WorkspaceLimit;
  sharedState: SharedState;
  installation: string;
  savesDir: string;
  now: () => Date;
  log: Log;
};

/** Removes what a saved state that is over has kept. Called in the thread's queue; can be repeated after a crash. */
export async function cleanSave(parts: CleanParts, saved: SavedState): Promise<void> {
  const { db, docker, installation, log, now } = parts;
  const { threadId, volumeName } = saved;
  if (volumeName !== null) {
    const session = await activeSession(db, threadId);
    const isRemoving = session?.state === 'removing';
    // Somebody else is at it: the next sweep looks at it anew.
    if (isRemoving && !(await finishRemoval(parts, session))) return;
    // The volume of any other session is its own, whatever was noted of it before.
    if (!session || isRemoving) {
      // A crash may have left one that nobody knows of: with it there, the volume stays.
      await removeContainer(docker, containerName(installation, threadId));
      await removeVolume(docker, volumeName, parts.workspaceLimit);
    }
  }
  await dropSave(storePathOf(parts.savesDir, threadId), saved.id);
  await markCleaned(db, saved.id, now());
  await writeContainerState(parts, threadId);
  log.info({ thread: threadId, savedAt: saved.savedAt }, 'a saved state has expired');
}
