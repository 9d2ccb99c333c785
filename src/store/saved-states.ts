import type { Db } from './database.ts';

/** Why a container went: told when its work comes back. */
export type EndReason = 'idle' | 'evicted' | 'stopped' | 'lost' | 'restored';

/** Everything kept of a thread's workspace. */
export type SavedState = {
  id: number;
  threadId: string;
  userId: number;
  repositoryId: number;
  /** `aside`: put away by `fresh` or `restore`. */
  state: 'current' | 'aside' | 'expired' | 'deleted';
  /** The save commit in the thread's store; null before the first one is verified. */
  snapshot: string | null;
  commitHash: string | null;
  branch: string | null;
  filesModified: number;
  unpushedCommits: number;
  leftOut: string[];
  volumeName: string | null;
  savedAt: Date | null;
  /** null while a container has the work. */
  expiresAt: Date | null;
  endReason: EndReason | null;
};

export const savedStateColumns = {
  id: 'saved_states.id',
  threadId: 'saved_states.thread_id',
  userId: 'saved_states.user_id',
  repositoryId: 'saved_states.repository_id',
  state: 'saved_states.state',
  snapshot: 'saved_states.snapshot',
  commitHash: 'saved_states.commit_hash',
  branch: 'saved_states.branch',
  filesModified: 'saved_states.files_modified',
  unpushedCommits: 'saved_states.unpushed_commits',
  leftOut: 'saved_states.left_out',
  volumeName: 'saved_states.volume_name',
  savedAt: 'saved_states.saved_at',
  expiresAt: 'saved_states.expires_at',
  endReason: 'saved_states.end_reason',
};

const savedStates = (db: Db) => db('saved_states').select<SavedState[]>(savedStateColumns);

/** What the thread goes on with. */
export async function currentSave(db: Db, threadId: string): Promise<SavedState | null> {
  const [row] = await savedStates(db).where({ thread_id: threadId, state: 'current' });
  return row ?? null;
}

export async function savedStateById(db: Db, id: number): Promise<SavedState | null> {
  const [row] = await savedStates(db).where({ id });
  return row ?? null;
}

/** The same as {@link currentSave}, made when missing: its id is the name of the save in the store, so it is there before the first save. */
export async function ensureCurrentSave(
  db: Db,
  of: { threadId: string; userId: number; repositoryId: number },
): Promise<SavedState> {
  await db('saved_states')
    .insert({ thread_id: of.threadId, user_id: of.userId, repository_id: of.repositoryId })
    .onConflict(db.raw(`(thread_id) where state = 'current'`))
    .ignore();
  const saved = await currentSave(db, of.threadId);
  if (!saved) throw new Error(`The saved state of the thread ${of.threadId} was put away meanwhile`);
  return saved;
}

/** A save that was carried out and verified. */
export async function recordSave(
  db: Db,
  id: number,
  saved: {
    snapshot: string;
    commit: string | null;
    branch: string | null;
    filesModified: number;
    unpushedCommits: number;
    leftOut: readonly string[];
  },
  now: Date,
): Promise<void> {
  await db('saved_states')
    .where({ id })
    .update({
      snapshot: saved.snapshot,
      commit_hash: saved.commit,
      branch: saved.branch,
      files_modified: saved.filesModified,
      unpushed_commits: saved.unpushedCommits,
      left_out: [...saved.leftOut],
      saved_at: now,
    });
}

/** Its container goes: from now on it is kept until it expires. */
export async function retireSave(
  db: Db,
  id: number,
  { expiresAt, volumeName, endReason }: { expiresAt: Date; volumeName: string | null; endReason: EndReason },
): Promise<void> {
  await db('saved_states').where({ id }).update({
    expires_at: expiresAt,
    volume_name: volumeName,
    end_reason: endReason,
    announced_at: null,
  });
}

/** A container has the work again. */
export async function reviveSave(db: Db, id: number): Promise<void> {
  await db('saved_states')
    .where({ id })
    .update({ expires_at: null, volume_name: null, end_reason: null, announced_at: null });
}

/** Put away by `fresh` or `restore`; kept until it expires. Its volume is not kept. */
export async function putAside(
  db: Db,
  id: number,
  { expiresAt, now }: { expiresAt: Date; now: Date },
): Promise<void> {
  await db('saved_states').where({ id, state: 'current' }).update({
    state: 'aside',
    aside_at: now,
    expires_at: expiresAt,
    volume_name: null,
    announced_at: null,
  });
}

/** The one that was put away last. */
export async function newestAside(db: Db, threadId: string): Promise<SavedState | null> {
  const [row] = await savedStates(db)
    .where({ thread_id: threadId, state: 'aside' })
    .whereNotNull('snapshot')
    .orderBy([
      { column: 'aside_at', order: 'desc' },
      { column: 'id', order: 'desc' },
    ])
    .limit(1);
  return row ?? null;
}

/** @throws when it is not put aside any more: it has expired meanwhile */
export async function bringBack(db: Db, id: number): Promise<void> {
  const changed = await db('saved_states')
    .where({ id, state: 'aside' })
    .update({ state: 'current', expires_at: null, end_reason: 'restored', announced_at: null });
  if (changed === 0) throw new Error(`The saved state ${id} is not put aside any more`);
}

/** Those of a thread that will expire: with no container that has them. */
export async function expiringSaves(db: Db, threadId: string): Promise<SavedState[]> {
  return savedStates(db)
    .where({ thread_id: threadId })
    .whereIn('state', ['current', 'aside'])
    .whereNotNull('snapshot')
    .whereNotNull('expires_at');
}

/** What `keep` does. @returns the new end, or null when nothing of the thread is about to expire */
export async function keepLonger(db: Db, threadId: string, until: Date): Promise<Date | null> {
  const rows = await db('saved_states')
    .where({ thread_id: threadId })
    .whereIn('state', ['current', 'aside'])
    .whereNotNull('expires_at')
    .update({ expires_at: db.raw('greatest(expires_at, ?)', [until]), announced_at: null })
    .returning<{ expires_at: Date }[]>('expires_at');
  return rows.length === 0 ? null : new Date(Math.max(...rows.map(({ expires_at: at }) => at.getTime())));
}

/** The thread's last state that expired with nobody told; it is told from now on. */
export async function takeExpiredNews(db: Db, threadId: string, now: Date): Promise<SavedState | null> {
  const [newest] = await savedStates(db)
    .where({ thread_id: threadId, state: 'expired' })
    .whereNotNull('snapshot')
    .whereNull('expired_told_at')
    .orderBy('id', 'desc')
    .limit(1);
  if (!newest) return null;
  await db('saved_states')
    .where({ thread_id: threadId, state: 'expired' })
    .whereNull('expired_told_at')
    .update({ expired_told_at: now });
  return newest;
}

export async function forgetVolume(db: Db, id: number): Promise<void> {
  await db('saved_states').where({ id }).update({ volume_name: null });
}

export type ListedSave = SavedState & { userAddress: string; repositoryName: string };

/** Those that are kept, for people. */
export async function listSavedStates(db: Db): Promise<ListedSave[]> {
  return savedStates(db)
    .join('users', 'users.id', 'saved_states.user_id')
    .join('repositories', 'repositories.id', 'saved_states.repository_id')
    .select<ListedSave[]>({ userAddress: 'users.address', repositoryName: 'repositories.name' })
    .whereIn('saved_states.state', ['current', 'aside'])
    .whereNotNull('saved_states.snapshot')
    .orderBy('saved_states.saved_at', 'desc');
}
