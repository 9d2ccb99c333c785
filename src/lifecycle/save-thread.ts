import { atMost } from '../commands/queues.ts';
import { masksFor } from '../commands/repository-secrets.ts';
import { ContainersError } from '../containers/errors.ts';
import { mirrorPathOf } from '../containers/mirror.ts';
import { saveWorkspace, type SavedWork, type SaveKind } from '../containers/save.ts';
import { storePathOf } from '../containers/saves-store.ts';
import { tidyStore } from '../containers/tidy-store.ts';
import { repositoryById, type Repository } from '../store/repositories.ts';
import { ensureCurrentSave, recordSave, type SavedState } from '../store/saved-states.ts';
import { noteWorkspaceUse } from '../store/session-lists.ts';
import { markSaved, type DueSession } from '../store/sessions.ts';
import { writeContainerState } from './container-state.ts';
import type { LifecycleParts } from './parts.ts';

/** Saving is work for the processors: commands go before. */
const MOST_SAVES = 2;
/** A workspace can make git wait: a FIFO in the place of a .gitignore, say. */
const PATIENCE_MS = 60_000;
const oneOfFew = atMost(MOST_SAVES, PATIENCE_MS);

export type ThreadSave = { id: number; work: SavedWork; savedAt: Date };

/**
 * Saves the workspace of a thread whose container runs. Called in the thread's queue.
 *
 * @param kind see {@link SaveKind}
 * @returns null when nothing was prepared in its workspace: then the saved state before stands
 * @throws {ContainersError} what `saveWorkspace` throws; the saved state before stays as it was then
 */
export async function saveThread(
  parts: LifecycleParts,
  session: Pick<DueSession, 'id' | 'containerId' | 'threadId' | 'userId' | 'repositoryId' | 'repositoryName'>,
  kind: SaveKind,
): Promise<ThreadSave | null> {
  const { db, docker, events, signal, now } = parts;
  const { threadId, containerId, repositoryId, repositoryName } = session;
  const [current, repository] = await Promise.all([
    ensureCurrentSave(db, session),
    repositoryById(db, repositoryId),
  ]);
  const savedAt = now();
  const storePath = storePathOf(parts.savesDir, threadId);
  let work: SavedWork;
  try {
    work = await oneOfFew(() =>
      saveWorkspace(docker, containerId, {
        threadId,
        repositoryName,
        kind,
        style: repository.restore,
        storePath,
        mirrorPath: mirrorPathOf(parts.mirrorsDir, repositoryId),
        savedStateId: current.id,
        base: current.snapshot,
        ignoredMaxBytes: parts.config.saveIgnoredMaxBytes,
        now: savedAt,
        signal,
      }),
    );
  } catch (error) {
    if (!(error instanceof ContainersError)) throw error;
    if (error.code !== 'WORKSPACE_NOT_READY') throw await withMaskedWords(parts, repository, error);
    await markSaved(db, session.id);
    return null;
  }
  // Names of files and of branches are anybody's, and are told in mails and to operators.
  const masks = await masksFor(parts, repository);
  const { branch, leftOut } = work;
  if (!masks.isEmpty) work = { ...work, ...masks.all({ branch, leftOut }) };
  await db.transaction(async (transaction) => {
    await recordSave(transaction, current.id, work, savedAt);
    await markSaved(transaction, session.id);
    await noteWorkspaceUse(transaction, session.id, work.workspaceUsedBytes);
  });
  await writeContainerState(parts, threadId);
  if (isNew(current, work)) {
    const { commit, filesModified } = work;
    events.tell('container:saved', { containerId, threadId, commit, filesModified });
  }
  await tidy(parts, { threadId, storePath, kind });
  return { id: current.id, work, savedAt };
}

/** What git says of a file has its name. */
async function withMaskedWords(
  parts: LifecycleParts,
  repository: Repository,
  error: ContainersError,
): Promise<ContainersError> {
  const masks = await masksFor(parts, repository);
  if (masks.text(error.message) === error.message) return error;
  const { code, cause, mayHaveStarted } = error;
  return new ContainersError(code, masks.text(error.message), { cause, mayHaveStarted });
}

/** One at a time: it is work for the processors, and whoever comes meanwhile has a next save. */
let isTidying = false;

/** The work is safe, and nobody else who is to be saved waits for this. */
async function tidy(
  { log, signal }: LifecycleParts,
  { threadId, storePath, kind }: { threadId: string; storePath: string; kind: SaveKind },
): Promise<void> {
  if (isTidying) return;
  isTidying = true;
  try {
    await tidyStore(storePath, { canWait: kind === 'final', signal });
  } catch (error) {
    if (signal.aborted) return;
    log.warn(
      { err: error, thread: threadId },
      'the saved states of a thread could not be made one pack; it is tried again after more saves',
    );
  } finally {
    isTidying = false;
  }
}

const isNew = (before: SavedState, work: SavedWork): boolean => before.snapshot !== work.snapshot;
