import type { Db } from '../store/database.ts';
import { activeThreads } from '../store/places.ts';
import { currentSave, listSavedStates } from '../store/saved-states.ts';
import { sessionOfThread } from '../store/sessions.ts';
import type { SharedState } from '../store/shared-state.ts';

type StateParts = { db: Db; sharedState: SharedState; now: () => Date };

/** Writes to Redis what PostgreSQL knows of a thread's container and its saved state. */
export async function writeContainerState(
  { db, sharedState, now }: StateParts,
  threadId: string,
): Promise<void> {
  const [session, saved] = await Promise.all([sessionOfThread(db, threadId), currentSave(db, threadId)]);
  if (!session && !saved?.expiresAt) {
    sharedState.dropContainerState(threadId);
    return;
  }
  const leftMs = saved?.expiresAt ? saved.expiresAt.getTime() - now().getTime() : null;
  sharedState.setContainerState(
    {
      threadId,
      isActive: session !== null,
      containerId: session?.containerId ?? null,
      containerName: session?.containerName ?? null,
      lastActivityAt: session?.lastActivityAt.toISOString() ?? null,
      commit: saved?.commitHash ?? null,
      branch: saved?.branch ?? null,
      savedAt: saved?.savedAt?.toISOString() ?? null,
      filesModified: saved?.filesModified ?? 0,
      expiresAt: saved?.expiresAt?.toISOString() ?? null,
    },
    leftMs === null ? undefined : Math.max(1, Math.ceil(leftMs / 1000)),
  );
}

/** What could not be written before; and all of it anew when Redis was flushed, or the bot has started. */
export async function rebuildContainerStates(parts: StateParts): Promise<void> {
  const { db, sharedState } = parts;
  const isComplete = await sharedState.isComplete();
  if (isComplete === null) return;
  const threads = new Set(sharedState.unwritten());
  if (!isComplete) {
    for (const { threadId } of await listSavedStates(db)) threads.add(threadId);
    for (const threadId of await activeThreads(db)) threads.add(threadId);
  }
  for (const threadId of threads) await writeContainerState(parts, threadId);
  if (!isComplete) sharedState.markComplete();
}
