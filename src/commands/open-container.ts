import { existsSync } from 'node:fs';
import type { Docker } from '../containers/client.ts';
import { ensureContainer, type Container } from '../containers/container.ts';
import { limitsFor } from '../containers/limits.ts';
import { ensureMirror, mirrorPathOf } from '../containers/mirror.ts';
import { restoreWorkspace } from '../containers/restore.ts';
import { runnersOf } from '../containers/runner.ts';
import { storePathOf } from '../containers/saves-store.ts';
import { prepareWorkspace } from '../containers/workspace.ts';
import type { WorkspaceLimit } from '../containers/workspace-limit.ts';
import type { Config } from '../config.ts';
import { cleanSave } from '../lifecycle/clean-save.ts';
import { writeContainerState } from '../lifecycle/container-state.ts';
import type { LifecycleEvents } from '../lifecycle/events.ts';
import { finishRemoval } from '../lifecycle/finish-removal.ts';
import type { Log } from '../log.ts';
import { expiredNote, restoredNote } from '../mail/lifecycle-notices.ts';
import type { Command } from '../store/commands.ts';
import type { Db } from '../store/database.ts';
import { shownUrl, type Repository } from '../store/repositories.ts';
import { leaveOtherNetwork, rulesFor, type NetworkParts } from './other-network.ts';
import type { SecretsOf } from './repository-secrets.ts';
import { markExpired, savesToClean } from '../store/expiring-saves.ts';
import { currentSave, reviveSave, takeExpiredNews, type SavedState } from '../store/saved-states.ts';
import {
  activeSession,
  openSession,
  recordNetwork,
  reopenSession,
  setNotes,
  type Session,
} from '../store/sessions.ts';
import type { SharedState } from '../store/shared-state.ts';

/**
 * Resolves when the image that commands run in is there: at the first start that takes a minute. `isMissing`: somebody
 * has removed it since, so it is made once more.
 */
export type ImageReady = (found?: { isMissing?: boolean }) => Promise<void>;

export type ContainerParts = NetworkParts & {
  db: Db;
  docker: Docker;
  events: LifecycleEvents;
  sharedState: SharedState;
  imageReady: ImageReady;
  secretsOf: SecretsOf;
  workspaceLimit: WorkspaceLimit;
  installation: string;
  mirrorsDir: string;
  savesDir: string;
  config: Pick<
    Config,
    | 'containerImage'
    | 'containerDns'
    | 'savedStateDays'
    | 'containerLimits'
    | 'containerRuntime'
    | 'workspaceSizeBytes'
  >;
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
  /** The work that came back just now. */
  restored: Restored | null;
};

/** The work that came back, and where from. */
type Restored = {
  from: 'volume' | 'save';
  savedAt: Date;
  files: number;
  /** A command had taken the repository away. */
  wasMissing: boolean;
};

/**
 * Makes sure of the thread's container and its workspace volume, and of the repository in it at its newest state. What
 * is there already is kept as it is; what was saved when an earlier container went comes back.
 *
 * @throws {ContainersError} REPOSITORY_UNAVAILABLE, WORKSPACE or RESTORE_FAILED when the sender should be told;
 *   DOCKER_UNREACHABLE or NETWORK_GUARD when it is worth trying again
 */
export async function openContainer(
  parts: ContainerParts,
  owner: ThreadOwner,
  repository: Repository,
): Promise<OpenedContainer> {
  const { db, docker, mirrorsDir, signal, log } = parts;
  const fetching = ensureMirror({ mirrorsDir, repository, log, signal });
  // Awaited below; what fails before that is told first.
  fetching.catch(() => undefined);
  await clearTheWay(parts, owner.threadId);
  // Before the container goes: without the proxy none would come in its place.
  await parts.allowLists.ensure(repository, { looks: true });
  const moved = await leaveOtherNetwork(parts, owner.threadId, repository);
  // The container mounts the mirror's directory: only one that is there can be brought up to date beside it.
  if (!existsSync(mirrorPathOf(mirrorsDir, repository.id))) await fetching;
  const [mirror, container, saved] = await Promise.all([
    fetching,
    warmContainer(parts, owner, repository),
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
  const preparing = prepareWorkspace(docker, container.id, workspace, { signal });
  // Whatever fails then, the container is known, and goes in its time.
  const recording = sessionOf(parts, owner, repository, container);
  // Both to their ends: the next try must not find somebody at work in it.
  await Promise.allSettled([preparing, recording]);
  const session = await recording;
  const outcome = await preparing;
  let restored: Restored | null = null;
  const notes = [...session.notes, ...moved, ...mirror.notes];
  if (outcome !== 'ready' && saved?.snapshot) {
    const work = await restoreWorkspace(docker, container.id, {
      storePath: storePathOf(parts.savesDir, owner.threadId),
      mirrorPath: mirror.path,
      repositoryName: repository.name,
      savedStateId: saved.id,
      signal,
    });
    const savedAt = saved.savedAt ?? parts.now();
    restored = { from: 'save', savedAt, files: work.filesRestored, wasMissing: outcome === 'missing' };
    notes.push(...work.notes);
  } else if (saved?.endReason && saved.savedAt) {
    const { savedAt, filesModified: files } = saved;
    restored = { from: 'volume', savedAt, files, wasMissing: false };
  }
  const told = await recordOpening(parts, session, { saved, restored, notes, threadId: owner.threadId });
  return { session, wasRunning: container.wasRunning, notes: told, restored };
}

/** What will run the command is started while its workspace is still being prepared. */
async function warmContainer(...of: Parameters<typeof containerOf>): Promise<Container> {
  const [{ docker, signal }] = of;
  const container = await containerOf(...of);
  runnersOf(docker).warm(container.id, signal);
  return container;
}

/** What was over before this command came is brought to its end first. */
async function clearTheWay(parts: ContainerParts, threadId: string): Promise<void> {
  const { db, now } = parts;
  await markExpired(db, now());
  const session = await activeSession(db, threadId);
  if (session?.state === 'removing' && session.dropsVolume) await finishRemoval(parts, session);
  // A volume of a state that is over must not be taken for the thread's.
  for (const over of await savesToClean(db, { threadId, limit: 100 })) await cleanSave(parts, over);
}

/** What has come back, and what the next answer has to say of it. @returns all that it has to say */
async function recordOpening(
  parts: ContainerParts,
  session: Session,
  {
    saved,
    restored,
    notes,
    threadId,
  }: {
    saved: SavedState | null;
    restored: Restored | null;
    notes: readonly string[];
    threadId: string;
  },
): Promise<string[]> {
  const { db, config, events, now } = parts;
  const at = now();
  const told = await db.transaction(async (transaction) => {
    const expired = saved ? null : await takeExpiredNews(transaction, threadId, at);
    const reason = restored?.wasMissing ? 'missing' : (saved?.endReason ?? 'lost');
    const all = [
      // What somebody has asked for is told in the answer to that.
      ...(restored && reason !== 'restored'
        ? [restoredNote(restored.savedAt, restored.files, reason, at)]
        : []),
      ...(expired?.savedAt ? [expiredNote(expired.savedAt, at, config.savedStateDays)] : []),
      ...notes,
    ];
    if (saved) await reviveSave(transaction, saved.id);
    if (all.length > 0) await setNotes(transaction, session.id, all);
    return all;
  });
  await writeContainerState(parts, threadId);
  if (restored) {
    const { from, savedAt } = restored;
    const { containerId } = session;
    events.tell('container:restored', { containerId, threadId, from, savedAt: savedAt.toISOString() });
  }
  return told;
}

/**
 * The thread's container, running: as it is, started or made. Its workspace is left as it is.
 *
 * @param how `isForWork`: it is made for the work in its workspace; `WORKSPACE_LOST` where that has gone
 */
export async function containerOf(
  parts: ContainerParts,
  owner: Pick<ThreadOwner, 'threadId' | 'userId'>,
  repository: Pick<
    Repository,
    'id' | 'name' | 'network' | 'memoryBytes' | 'cpus' | 'workspaceBytes' | 'root'
  >,
  { isForWork = false } = {},
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
    network: repository.network,
    nameservers: parts.config.containerDns,
    limits: limitsFor(repository, parts.config.containerLimits),
    isRoot: repository.root,
    room: {
      limit: parts.workspaceLimit,
      sizeBytes: repository.workspaceBytes ?? parts.config.workspaceSizeBytes,
    },
    isForWork,
    runtime: parts.config.containerRuntime,
  };
  const guarded = rulesFor(parts, repository.id);
  try {
    return await ensureContainer(parts.docker, spec, guarded);
  } catch (error) {
    if ((error as { code?: string }).code !== 'IMAGE_MISSING') throw error;
    await parts.imageReady({ isMissing: true });
    return ensureContainer(parts.docker, spec, guarded);
  }
}

/** The session that a container has now. */
export async function sessionOf(
  { db, config, events, log, now }: ContainerParts,
  { threadId, userId }: ThreadOwner,
  repository: Repository,
  container: Container,
): Promise<Session> {
  const known = await activeSession(db, threadId);
  const isKnown = known?.containerId === container.id;
  if (isKnown && (known.state === 'active' || (await reopenSession(db, known.id, now())))) {
    if (known.network !== container.network) await recordNetwork(db, known.id, container.network);
    return { ...known, state: 'active', network: container.network };
  }
  const session = await openSession(
    db,
    {
      containerId: container.id,
      containerName: container.name,
      volumeName: container.volumeName,
      image: config.containerImage,
      threadId,
      userId,
      repositoryId: repository.id,
      network: container.network,
    },
    { endReason: 'its container was gone', now: now() },
  );
  log.info({ thread: threadId, container: container.name }, 'container created');
  events.tell('container:created', { containerId: container.id, threadId });
  // Those that an answer was to say that never came.
  return { ...session, notes: known?.notes ?? [] };
}
