import { existsSync } from 'node:fs';
import type { Docker } from '../containers/client.ts';
import { ensureContainer, type Container } from '../containers/container.ts';
import { ensureMirror, mirrorPathOf } from '../containers/mirror.ts';
import { restoreWorkspace } from '../containers/restore.ts';
import { storePathOf } from '../containers/saves-store.ts';
import { prepareWorkspace } from '../containers/workspace.ts';
import type { Config } from '../config.ts';
import { cleanSave } from '../lifecycle/clean-save.ts';
import type { LifecycleEvents } from '../lifecycle/events.ts';
import type { Log } from '../log.ts';
import { expiredNote, restoredNote } from '../mail/lifecycle-notices.ts';
import type { Command } from '../store/commands.ts';
import type { Db } from '../store/database.ts';
import { shownUrl, type Repository } from '../store/repositories.ts';
import {
  currentSave,
  markExpired,
  reviveSave,
  savesToClean,
  takeExpiredNews,
  type SavedState,
} from '../store/saved-states.ts';
import { activeSession, openSession, reopenSession, type Session } from '../store/sessions.ts';
import type { SharedState } from '../store/shared-state.ts';

/**
 * Resolves when the image that commands run in is there: at the first start that takes a minute. `isMissing`: somebody
 * has removed it since, so it is made once more.
 */
export type ImageReady = (found?: { isMissing?: boolean }) => Promise<void>;

export type ContainerParts = {
  db: Db;
  docker: Docker;
  events: LifecycleEvents;
  sharedState: SharedState;
  imageReady: ImageReady;
  installation: string;
  mirrorsDir: string;
  savesDir: string;
  config: Pick<Config, 'containerImage' | 'savedStateDays'>;
  signal: AbortSignal;
  log: Log;
  now: () => Date;
};

/** Whose container it is. */
export type ThreadOwner = Pick<Command, 'threadId' | 'userId' | 'userAddress' | 'userName'>;

export type OpenedContainer = {
  session: Session;
  /** It ran all the time, so what is not known in its workspace never was. */
  wasRunning: boolean;
  notes: string[];
};

/** The work that came back, and where from. */
type Restored = { from: 'volume' | 'save'; savedAt: Date; files: number };

/**
 * Makes sure of the thread's container and its workspace volume, and of the repository in it at its newest state. What
 * is there already is kept as it is; what was saved when an earlier container went comes back.
 *
 * @throws {ContainersError} REPOSITORY_UNAVAILABLE, WORKSPACE or RESTORE_FAILED when the sender should be told;
 *   DOCKER_UNREACHABLE when it is worth trying again
 */
export async function openContainer(
  parts: ContainerParts,
  owner: ThreadOwner,
  repository: Repository,
): Promise<OpenedContainer> {
  const { db, docker, mirrorsDir, signal, log } = parts;
  await markExpired(db, parts.now());
  // A volume of a state that is over must not be taken for the thread's.
  for (const over of await savesToClean(db, { threadId: owner.threadId, limit: 100 })) {
    await cleanSave(parts, over);
  }
  const fetching = ensureMirror({ mirrorsDir, repository, log, signal });
  // The container mounts the mirror's directory: only one that is there can be brought up to date beside it.
  if (!existsSync(mirrorPathOf(mirrorsDir, repository.id))) await fetching;
  const [mirror, container, saved] = await Promise.all([
    fetching,
    containerOf(parts, owner, repository),
    currentSave(db, owner.threadId),
  ]);
  const workspace = {
    repositoryName: repository.name,
    url: shownUrl(repository.url),
    branch: repository.branch,
    mirrorPath: mirror.path,
    author: { name: owner.userName || owner.userAddress, address: owner.userAddress },
    holdForRestore: typeof saved?.snapshot === 'string',
  };
  const outcome = await prepareWorkspace(docker, container.id, workspace, { signal });
  let restored: Restored | null = null;
  const notes = [...mirror.notes];
  if (outcome === 'empty' && saved?.snapshot) {
    const work = await restoreWorkspace(docker, container.id, {
      storePath: storePathOf(parts.savesDir, owner.threadId),
      mirrorPath: mirror.path,
      repositoryName: repository.name,
      savedStateId: saved.id,
      signal,
    });
    restored = { from: 'save', savedAt: saved.savedAt ?? parts.now(), files: work.filesRestored };
    notes.push(...work.notes);
  } else if (saved?.endReason && saved.savedAt) {
    restored = { from: 'volume', savedAt: saved.savedAt, files: saved.filesModified };
  }
  const session = await sessionOf(parts, owner, repository, { container, saved, restored, notes });
  return { session, wasRunning: container.wasRunning, notes: session.notes };
}

/** The same for a container that has been prepared before: its upstream may be out of reach by now. */
export async function resumeContainer(
  parts: ContainerParts,
  owner: ThreadOwner,
  repository: Repository,
): Promise<OpenedContainer> {
  if (!existsSync(mirrorPathOf(parts.mirrorsDir, repository.id)))
    return openContainer(parts, owner, repository);
  const [container, saved] = await Promise.all([
    containerOf(parts, owner, repository),
    currentSave(parts.db, owner.threadId),
  ]);
  const found = { container, saved, restored: null, notes: [] };
  const session = await sessionOf(parts, owner, repository, found);
  return { session, wasRunning: container.wasRunning, notes: session.notes };
}

/** The thread's container, running: as it is, started or made. Its workspace is left as it is. */
export async function containerOf(
  parts: ContainerParts,
  owner: Pick<ThreadOwner, 'threadId' | 'userId'>,
  repository: Pick<Repository, 'id' | 'name'>,
): Promise<Container> {
  await parts.imageReady();
  const spec = {
    instance: parts.installation,
    threadId: owner.threadId,
    userId: owner.userId,
    repositoryId: repository.id,
    repositoryName: repository.name,
    image: parts.config.containerImage,
    mirrorPath: mirrorPathOf(parts.mirrorsDir, repository.id),
  };
  try {
    return await ensureContainer(parts.docker, spec);
  } catch (error) {
    if ((error as { code?: string }).code !== 'IMAGE_MISSING') throw error;
    await parts.imageReady({ isMissing: true });
    return ensureContainer(parts.docker, spec);
  }
}

type Found = {
  container: Container;
  saved: SavedState | null;
  restored: Restored | null;
  notes: readonly string[];
};

async function sessionOf(
  { db, config, events, log, now }: ContainerParts,
  { threadId, userId }: ThreadOwner,
  repository: Repository,
  { container, saved, restored, notes }: Found,
): Promise<Session> {
  const known = await activeSession(db, threadId);
  if (known?.containerId === container.id) {
    if (known.state !== 'active') {
      await reopenSession(db, known.id, now());
      if (saved) await reviveSave(db, saved.id);
    }
    return { ...known, state: 'active', notes: [...known.notes, ...notes] };
  }
  const at = now();
  const session = await db.transaction(async (transaction) => {
    const expired = saved ? null : await takeExpiredNews(transaction, threadId, at);
    const told = [
      ...(restored ? [restoredNote(restored.savedAt, restored.files, saved?.endReason ?? 'lost', at)] : []),
      ...(expired?.savedAt ? [expiredNote(expired.savedAt, at, config.savedStateDays)] : []),
      // Those that an answer was to say that never came.
      ...(known?.notes ?? []),
      ...notes,
    ];
    if (saved) await reviveSave(transaction, saved.id);
    return openSession(
      transaction,
      {
        containerId: container.id,
        containerName: container.name,
        volumeName: container.volumeName,
        image: config.containerImage,
        threadId,
        userId,
        repositoryId: repository.id,
        notes: told,
      },
      { endReason: 'its container was gone', now: at },
    );
  });
  log.info({ thread: threadId, container: container.name }, 'container created');
  const of = { containerId: container.id, threadId };
  events.tell('container:created', of);
  if (restored) {
    events.tell('container:restored', {
      ...of,
      from: restored.from,
      savedAt: restored.savedAt.toISOString(),
    });
  }
  return session;
}
