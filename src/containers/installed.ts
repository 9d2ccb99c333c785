import type Docker from 'dockerode';
import type { NetworkKind } from '../network-choice.ts';
import { networkKindOf } from './container-options.ts';
import { engineError } from './errors.ts';
import { containerName, volumeName } from './names.ts';

/** What the engine has of one thread. */
export type Installed = {
  threadId: string;
  /** null: only the volume is there. */
  containerId: string | null;
  /** What its container is on; null: there is none, or on one that is not ours. */
  network: NetworkKind | null;
  containerName: string;
  volumeName: string;
  hasVolume: boolean;
};

/** The containers and workspace volumes of an installation, by thread. @param only of this thread */
export async function listInstalled(docker: Docker, instance: string, only?: string): Promise<Installed[]> {
  const label = [`threadbox.instance=${instance}`];
  if (only !== undefined) label.push(`threadbox.thread=${only}`);
  const filters = JSON.stringify({ label });
  const [containers, { Volumes: volumes }] = await Promise.all([
    docker.listContainers({ all: true, filters }),
    docker.listVolumes({ filters }),
  ]).catch((error: unknown) => {
    throw engineError(error, 'list the containers');
  });
  const found = new Map<string, Installed>();
  const of = (threadId: string): Installed => {
    const known = found.get(threadId) ?? {
      threadId,
      containerId: null,
      network: null,
      containerName: containerName(instance, threadId),
      volumeName: volumeName(instance, threadId),
      hasVolume: false,
    };
    found.set(threadId, known);
    return known;
  };
  for (const { Id, Labels, HostConfig } of containers) {
    const threadId = Labels['threadbox.thread'];
    const repositoryId = Labels['threadbox.repository'] ?? '';
    if (threadId === undefined) continue;
    const network = networkKindOf(HostConfig.NetworkMode, { instance, repositoryId });
    Object.assign(of(threadId), { containerId: Id, network });
  }
  for (const { Labels } of volumes ?? []) {
    const threadId = Labels?.['threadbox.thread'];
    if (threadId !== undefined) of(threadId).hasVolume = true;
  }
  return [...found.values()];
}
