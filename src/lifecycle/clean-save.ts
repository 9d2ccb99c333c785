import type { Docker } from '../containers/client.ts';
import { removeVolume } from '../containers/container.ts';
import { dropSave, storePathOf } from '../containers/saves-store.ts';
import type { Log } from '../log.ts';
import type { Db } from '../store/database.ts';
import { markCleaned, type SavedState } from '../store/saved-states.ts';
import type { SharedState } from '../store/shared-state.ts';
import { writeContainerState } from './container-state.ts';

/** Removes what a saved state that is over has kept. Called in the thread's queue; can be repeated after a crash. */
export async function cleanSave(
  parts: {
    db: Db;
    docker: Docker;
    sharedState: SharedState;
    savesDir: string;
    now: () => Date;
    log: Log;
  },
  saved: SavedState,
): Promise<void> {
  const { db, docker, log, now } = parts;
  if (saved.volumeName !== null) await removeVolume(docker, saved.volumeName);
  await dropSave(storePathOf(parts.savesDir, saved.threadId), saved.id);
  await markCleaned(db, saved.id, now());
  await writeContainerState(parts, saved.threadId);
  log.info({ thread: saved.threadId, savedAt: saved.savedAt }, 'a saved state has expired');
}
