import type Docker from 'dockerode';
import { engineError, statusOf } from './errors.ts';
import { bridgeName, listedBridgeName, listedNetworkName, networkName } from './names.ts';

/** A network, as the engine has made it. */
export type MadeNetwork = {
  /** As in `172.18.0.0/16`. */
  subnet: string;
  /** The host's own address in it. */
  gateway: string;
};

/** Of two that look for it at the same time both would make one. */
const beingMade = new Map<string, Promise<MadeNetwork>>();

/**
 * Makes sure of the network of an installation.
 *
 * @throws {ContainersError} `DOCKER_UNREACHABLE`, `DOCKER_REFUSED`
 */
export async function ensureNetwork(docker: Docker, instance: string): Promise<MadeNetwork> {
  return ensure(docker, {
    Name: networkName(instance),
    Driver: 'bridge',
    CheckDuplicate: true,
    Labels: { 'threadbox.instance': instance },
    Options: {
      'com.docker.network.bridge.enable_icc': 'false',
      'com.docker.network.bridge.name': bridgeName(instance),
    },
  });
}

/**
 * Makes sure of the network of a repository whose containers reach some hosts by name. The engine itself leads nothing out of
 * it; all that is in there besides is the host's address, with the proxy.
 *
 * @throws {ContainersError} `DOCKER_UNREACHABLE`; `DOCKER_REFUSED`, also where it has no addresses left for one more
 */
export async function ensureListedNetwork(
  docker: Docker,
  instance: string,
  repositoryId: string | number,
): Promise<MadeNetwork> {
  return ensure(docker, {
    Name: listedNetworkName(instance, repositoryId),
    Driver: 'bridge',
    CheckDuplicate: true,
    Internal: true,
    Labels: { 'threadbox.instance': instance, 'threadbox.repository': String(repositoryId) },
    Options: {
      'com.docker.network.bridge.enable_icc': 'false',
      'com.docker.network.bridge.name': listedBridgeName(instance, repositoryId),
    },
  });
}

/** The network of a repository, as the engine has it. */
export type ListedNetwork = MadeNetwork & { repositoryId: number };

/**
 * The networks that {@link ensureListedNetwork} has made and that are still there, by repository.
 *
 * @throws {ContainersError} `DOCKER_UNREACHABLE`, `DOCKER_REFUSED`
 */
export async function listedNetworks(docker: Docker, instance: string): Promise<ListedNetwork[]> {
  const filters = JSON.stringify({ label: [`threadbox.instance=${instance}`, 'threadbox.repository'] });
  try {
    return (await docker.listNetworks({ filters }))
      .map(({ IPAM, Labels }) => ({
        ...madeAs(IPAM),
        repositoryId: Number(Labels?.['threadbox.repository']),
      }))
      .toSorted((one, other) => one.repositoryId - other.repositoryId);
  } catch (error) {
    throw engineError(error, 'list the networks');
  }
}

/**
 * Removes the network of a repository, if no container is on it, be it one that does not run.
 *
 * @returns whether it is gone
 * @throws {ContainersError} `DOCKER_UNREACHABLE`, `DOCKER_REFUSED`
 */
export async function removeListedNetwork(
  docker: Docker,
  instance: string,
  repositoryId: number,
): Promise<boolean> {
  const name = listedNetworkName(instance, repositoryId);
  try {
    const filters = JSON.stringify({ network: [name] });
    if ((await docker.listContainers({ all: true, filters })).length > 0) return false;
    await docker.getNetwork(name).remove();
    return true;
  } catch (error) {
    if (statusOf(error) === 404) return true;
    // A container was quicker.
    if (statusOf(error) === 403) return false;
    throw engineError(error, `remove the network ${name}`);
  }
}

async function ensure(docker: Docker, options: Docker.NetworkCreateOptions): Promise<MadeNetwork> {
  const name = options.Name;
  let making = beingMade.get(name);
  if (!making) {
    making = makeNetwork(docker, options).finally(() => beingMade.delete(name));
    beingMade.set(name, making);
  }
  return making.catch((error: unknown) => {
    throw engineError(error, `make the network ${name}`);
  });
}

async function makeNetwork(docker: Docker, options: Docker.NetworkCreateOptions): Promise<MadeNetwork> {
  const filters = JSON.stringify({ name: [`^${options.Name}$`] });
  const [found] = await docker.listNetworks({ filters });
  if (found) return madeAs(found.IPAM);
  const made = await docker.createNetwork(options);
  const { IPAM } = await made.inspect();
  return madeAs(IPAM);
}

function madeAs(ipam: Docker.NetworkInspectInfo['IPAM']): MadeNetwork {
  const { Subnet: subnet = '', Gateway: gateway = '' } = ipam?.Config?.[0] ?? {};
  return { subnet, gateway: gateway.split('/')[0] ?? '' };
}
