import type Docker from 'dockerode';
import { engineError } from './errors.ts';
import { bridgeName, networkName } from './names.ts';

const beingMade = new Map<string, Promise<string>>();

/**
 * A bridge of the installation's own, on which containers do not see each other. It is made when it turns out to be
 * missing: once in the life of an installation.
 *
 * @returns its subnet, as in `172.18.0.0/16`
 * @throws {ContainersError} `DOCKER_UNREACHABLE`, `DOCKER_REFUSED`
 */
export async function ensureNetwork(docker: Docker, instance: string): Promise<string> {
  const name = networkName(instance);
  let making = beingMade.get(name);
  if (!making) {
    making = makeNetwork(docker, instance).finally(() => beingMade.delete(name));
    beingMade.set(name, making);
  }
  return making.catch((error: unknown) => {
    throw engineError(error, `make the network ${name}`);
  });
}

async function makeNetwork(docker: Docker, instance: string): Promise<string> {
  const name = networkName(instance);
  const [found] = await docker.listNetworks({ filters: JSON.stringify({ name: [`^${name}$`] }) });
  if (found) return subnetOf(found.IPAM);
  const made = await docker.createNetwork({
    Name: name,
    Driver: 'bridge',
    CheckDuplicate: true,
    Labels: { 'threadbox.instance': instance },
    Options: {
      'com.docker.network.bridge.enable_icc': 'false',
      'com.docker.network.bridge.name': bridgeName(instance),
    },
  });
  const { IPAM } = await made.inspect();
  return subnetOf(IPAM);
}

const subnetOf = (ipam: Docker.NetworkInspectInfo['IPAM']): string => ipam?.Config?.[0]?.Subnet ?? '';
