import type { Docker } from './client.ts';
import { removeContainer } from './container.ts';
import { DIRECT, toolsFor } from './disk-tools.ts';
import { bridgeName } from './names.ts';
import { removeGuard } from './network-guard.ts';
import { removeVolume } from './workspace-volume.ts';

/**
 * Removes all containers, volumes and networks of one installation, with the work in them, and what it has put into the
 * firewall. For the demo and the tests.
 */
export async function removeInstallation(
  docker: Docker,
  installation: string,
  /** What the helper containers ran of, where they have set up the firewall, or made disks. */
  guardImage: string | null = null,
): Promise<void> {
  const filters = JSON.stringify({ label: [`threadbox.instance=${installation}`] });
  const containers = await docker.listContainers({ all: true, filters });
  await Promise.all(containers.map(({ Id }) => removeContainer(docker, Id)));
  const { Volumes: volumes } = await docker.listVolumes({ filters });
  const tools =
    guardImage === null ? DIRECT : await toolsFor(docker, { image: guardImage, instance: installation });
  await Promise.all(volumes.map(({ Name }) => removeVolume(docker, Name, { tools })));
  const networks = await docker.listNetworks({ filters });
  await Promise.all(networks.map(({ Id }) => docker.getNetwork(Id).remove()));
  const bridges = networks.flatMap(({ Options }) => Options?.['com.docker.network.bridge.name'] ?? []);
  await removeGuard(docker, installation, [...new Set([bridgeName(installation), ...bridges])], guardImage);
}
