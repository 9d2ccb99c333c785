import { containerStates, threadsWithState, type KnownState } from '../store/container-states.ts';
import type { Db } from '../store/database.ts';
import type { SharedState } from '../store/shared-state.ts';

type StateParts = { db: Db; sharedState: SharedState; now: () => Date };

/** So many are read at once when all is written anew. */
const PORTION = 500;

/**
 * Writes to Redis what PostgreSQL knows of a thread's container and its saved state. Called by whoever changes them, in the
 * thread's queue.
 */
export async function writeContainerState(parts: StateParts, threadId: string): Promise<void> {
  for (const state of await containerStates(parts.db, [threadId])) write(parts, state);
}

function write({ sharedState, now }: StateParts, known: KnownState): void {
  const { threadId, containerId, lastActivityAt, savedAt, expiresAt } = known;
  if (containerId === null && expiresAt === null) {
    sharedState.dropContainerState(threadId);
    return;
  }
  const leftMs = expiresAt === null ? null : expiresAt.getTime() - now().getTime();
  sharedState.setContainerState(
    {
      threadId,
      isActive: containerId !== null,
      containerId,
      containerName: known.containerName,
      lastActivityAt: lastActivityAt?.toISOString() ?? null,
      commit: known.commit,
      branch: known.branch,
      savedAt: savedAt?.toISOString() ?? null,
      filesModified: known.filesModified ?? 0,
      expiresAt: expiresAt?.toISOString() ?? null,
    },
    leftMs === null ? undefined : Math.max(1, Math.ceil(leftMs / 1000)),
  );
}

/**
 * What could not be written before, or could wait; and all of it anew when Redis was flushed, or the bot has started. Goes
 * on beside the threads' queues: what they have written meanwhile is newer, and stays.
 */
export async function rebuildContainerStates(parts: StateParts): Promise<void> {
  const { db, sharedState } = parts;
  const isComplete = await sharedState.isComplete();
  if (isComplete === null) return;
  const known = isComplete ? [] : await threadsWithState(db);
  const threads = [...new Set([...sharedState.takeUnwritten(), ...known])];
  for (let start = 0; start < threads.length; start += PORTION) {
    const written = sharedState.watchWrites();
    try {
      const states = await containerStates(db, threads.slice(start, start + PORTION));
      for (const state of states) if (!written.threads.has(state.threadId)) write(parts, state);
    } catch (error) {
      for (const threadId of threads.slice(start)) sharedState.writeLater(threadId);
      throw error;
    } finally {
      written.close();
    }
  }
  if (!isComplete) sharedState.markComplete();
}
