import { existsSync } from 'node:fs';
import type { Docker } from '../containers/client.ts';
import { ensureContainer, type Container } from '../containers/container.ts';
import { ensureMirror, mirrorPathOf } from '../containers/mirror.ts';
import { prepareWorkspace } from '../containers/workspace.ts';
import type { Config } from '../config.ts';
import type { Log } from '../log.ts';
import type { Command } from '../store/commands.ts';
import type { Db } from '../store/database.ts';
import { shownUrl, type Repository } from '../store/repositories.ts';
import { activeSession, openSession, type Session } from '../store/sessions.ts';
import type { SharedState } from '../store/shared-state.ts';

/**
 * Resolves when the image that commands run in is there: at the first start that takes a minute. `isMissing`: somebody
 * has removed it since, so it is made once more.
 */
export type ImageReady = (found?: { isMissing?: boolean }) => Promise<void>;

export type ContainerParts = {
  db: Db;
  docker: Docker;
  sharedState: SharedState;
  imageReady: ImageReady;
  installation: string;
  mirrorsDir: string;
  config: Pick<Config, 'containerImage'>;
  signal: AbortSignal;
  log: Log;
};

export type OpenedContainer = {
  session: Session;
  /** It ran all the time, so what is not known in its workspace never was. */
  wasRunning: boolean;
  notes: string[];
};

/**
 * Makes sure of the thread's container and its workspace volume, and of the repository in it at its newest state. What
 * is there already is kept as it is.
 *
 * @throws {ContainersError} REPOSITORY_UNAVAILABLE or WORKSPACE when the sender should be told; DOCKER_UNREACHABLE when
 *   it is worth trying again
 */
export async function openContainer(
  parts: ContainerParts,
  command: Command,
  repository: Repository,
): Promise<OpenedContainer> {
  const { docker, mirrorsDir, signal, log } = parts;
  const fetching = ensureMirror({ mirrorsDir, repository, log, signal });
  // The container mounts the mirror's directory: only one that is there can be brought up to date beside it.
  if (!existsSync(mirrorPathOf(mirrorsDir, repository.id))) await fetching;
  const [mirror, container] = await Promise.all([fetching, containerOf(parts, command, repository)]);
  const workspace = {
    repositoryName: repository.name,
    url: shownUrl(repository.url),
    branch: repository.branch,
    mirrorPath: mirror.path,
    author: { name: command.userName || command.userAddress, address: command.userAddress },
  };
  await prepareWorkspace(docker, container.id, workspace, { signal });
  const session = await sessionOf(parts, command, repository, container);
  return { session, wasRunning: container.wasRunning, notes: mirror.notes };
}

/** The same for a container that has been prepared before: its upstream may be out of reach by now. */
export async function resumeContainer(
  parts: ContainerParts,
  command: Command,
  repository: Repository,
): Promise<OpenedContainer> {
  if (!existsSync(mirrorPathOf(parts.mirrorsDir, repository.id)))
    return openContainer(parts, command, repository);
  const container = await containerOf(parts, command, repository);
  const session = await sessionOf(parts, command, repository, container);
  return { session, wasRunning: container.wasRunning, notes: [] };
}

async function containerOf(
  parts: ContainerParts,
  command: Command,
  repository: Repository,
): Promise<Container> {
  await parts.imageReady();
  const spec = {
    instance: parts.installation,
    threadId: command.threadId,
    userId: command.userId,
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

async function sessionOf(
  { db, config, sharedState, log }: ContainerParts,
  command: Command,
  repository: Repository,
  container: Container,
): Promise<Session> {
  const known = await activeSession(db, command.threadId);
  if (known?.containerId === container.id) return known;
  const session = await openSession(
    db,
    {
      containerId: container.id,
      containerName: container.name,
      volumeName: container.volumeName,
      image: config.containerImage,
      threadId: command.threadId,
      userId: command.userId,
      repositoryId: repository.id,
    },
    'its container was gone',
  );
  log.info({ thread: command.threadId, container: container.name }, 'container created');
  sharedState.publish('container:created', { containerId: container.id, threadId: command.threadId });
  return session;
}
