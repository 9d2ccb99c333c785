import { existsSync } from 'node:fs';
import { ensureOwner, type Container } from '../containers/container.ts';
import { mirrorPathOf } from '../containers/mirror.ts';
import { volumeName } from '../containers/names.ts';
import { hasWorkspace } from '../containers/workspace-volume.ts';
import type { Repository } from '../store/repositories.ts';
import {
  containerOf,
  openContainer,
  sessionOf,
  type ContainerParts,
  type OpenedContainer,
  type ThreadOwner,
} from './open-container.ts';

/**
 * As {@link openContainer}, for a container that has been prepared before: its upstream may be out of reach by now. Without its volume
 * nothing of that is left, and it is opened anew.
 */
export async function resumeContainer(
  parts: ContainerParts,
  owner: ThreadOwner,
  repository: Repository,
): Promise<OpenedContainer> {
  const volume = volumeName(parts.installation, owner.threadId);
  const hasAll =
    existsSync(mirrorPathOf(parts.mirrorsDir, repository.id)) &&
    (await hasWorkspace(parts.docker, volume, parts.workspaceLimit));
  const container = hasAll ? await containerWithWork(parts, owner, repository) : null;
  if (!container) return { ...(await openContainer(parts, owner, repository)), wasRunning: false };
  const session = await sessionOf(parts, owner, repository, container);
  return { session, wasRunning: container.wasRunning, notes: session.notes, restored: null };
}

/**
 * The thread's container, running, for the work in its workspace: that belongs to the user of the commands then.
 *
 * @returns null when the workspace has gone
 */
export async function containerWithWork(
  ...[parts, owner, repository]: [...Parameters<typeof containerOf>]
): Promise<Container | null> {
  try {
    const container = await containerOf(parts, owner, repository, { isForWork: true });
    // Whoever made it may have been cut off before this.
    if (!container.wasRunning) await ensureOwner(parts.docker, container.id);
    return container;
  } catch (error) {
    if ((error as { code?: string }).code === 'WORKSPACE_LOST') return null;
    throw error;
  }
}
