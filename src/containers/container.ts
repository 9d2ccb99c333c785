import type Docker from 'dockerode';
import { kindOf, type NetworkKind } from '../network-choice.ts';
import { commandUser, forgetUser, isRootContainer, rememberUser } from './command-user.ts';
import {
  CA_BUNDLE,
  containerOptions,
  labelsOf,
  networkKindOf,
  type ContainerSpec,
} from './container-options.ts';
import { ensureListedNetwork, ensureNetwork } from './container-network.ts';
import { ContainersError, engineError, statusOf } from './errors.ts';
import { execText } from './exec.ts';
import { containerName, volumeName } from './names.ts';
import { untilRemoved } from './until-removed.ts';
import { readyVolume, removeVolume, renewVolume } from './workspace-volume.ts';

export { removeVolume };
export type { ContainerSpec };

export type Container = {
  id: string;
  name: string;
  volumeName: string;
  /** null: one that is not ours. */
  network: NetworkKind | null;
  /** Made just now; its volume may be older. */
  wasCreated: boolean;
  /** It was there and ran; so what is not in its workspace never was. */
  wasRunning: boolean;
};

/**
 * Makes sure that the thread's container runs: used as it is, started or made. A workspace volume that is there is kept
 * in any case. One that does not run, and whose commands are to be somebody else's now, is made anew; so is one on a network
 * that is not ours.
 *
 * @param beforeStart awaited before one is started, with the network that it is on: a container keeps the one it was made with,
 *   whatever is wanted now. Not of one that runs
 * @throws {ContainersError} `DOCKER_UNREACHABLE`, `DOCKER_REFUSED`, `IMAGE_MISSING`, `WORKSPACE`; `WORKSPACE_LOST` with
 *   `spec.isForWork`; what `beforeStart` throws
 */
export async function ensureContainer(
  docker: Docker,
  spec: ContainerSpec,
  beforeStart: (network: NetworkKind) => Promise<void> = () => Promise.resolve(),
): Promise<Container> {
  const name = containerName(spec.instance, spec.threadId);
  const volume = volumeName(spec.instance, spec.threadId);
  const found = await inspect(docker, name);
  const newNetwork = kindOf(spec.network ?? 'internet');
  const network = found ? networkKindOf(found.HostConfig.NetworkMode, spec) : newNetwork;
  const known = { name, volumeName: volume, network, wasCreated: false };
  if (found) rememberUser(docker, found.Id, isRootContainer(found.Config.Labels));
  if (found?.State.Running === true && !found.State.Paused) {
    return { ...known, id: found.Id, wasRunning: true };
  }
  const wanted = {
    name: volume,
    labels: labelsOf(spec),
    room: spec.room ?? null,
    mayBeEmpty: !spec.isForWork,
  };
  const isPaused = found?.State.Paused === true;
  const isOther =
    found !== null && (network === null || isRootContainer(found.Config.Labels) !== (spec.isRoot ?? false));
  const firstNetwork = isOther && !isPaused ? newNetwork : network;
  // What goes on in a paused one was begun before.
  if (firstNetwork !== null) await beforeStart(firstNetwork);
  // What a paused one has mounted is ready.
  const isReady = isPaused || (await readyVolume(docker, wanted));
  if (found && isReady && isOther && !isPaused) await removeContainer(docker, found.Id);
  else if (found && isReady && (await restart(docker, found))) {
    return { ...known, id: found.Id, wasRunning: found.State.Paused };
  }
  if (firstNetwork !== newNetwork) await beforeStart(newNetwork);
  if (!isReady) {
    // A volume keeps the place of its disk, and a container its volume.
    await removeContainer(docker, found?.Id ?? '');
    await renewVolume(docker, wanted);
  }
  const id = await create(docker, spec, name);
  const made = { wasCreated: true, wasRunning: false, network: newNetwork };
  return { ...known, ...made, id };
}

async function inspect(docker: Docker, name: string): Promise<Docker.ContainerInspectInfo | null> {
  try {
    return await docker.getContainer(name).inspect();
  } catch (error) {
    if (statusOf(error) === 404) return null;
    throw engineError(error, `look at the container ${name}`);
  }
}

/** @returns false when it will not start any more and was removed; what matters is in its volume */
async function restart(docker: Docker, { Id, State }: Docker.ContainerInspectInfo): Promise<boolean> {
  const container = docker.getContainer(Id);
  try {
    if (State.Paused) await container.unpause();
    else await container.start();
    return true;
  } catch (error) {
    if (statusOf(error) === 304) return true;
    // Whatever else it is may pass, and what runs in the background or lies in /tmp goes with the container.
    if (statusOf(error) === null || !isForGood(error)) throw engineError(error, 'start the container');
  }
  try {
    await container.remove({ force: true });
  } catch (error) {
    // 409: somebody else is removing it.
    if (statusOf(error) === 409) await container.wait({ condition: 'removed' }).catch(() => undefined);
    else if (statusOf(error) !== 404)
      throw engineError(error, 'remove a container that does not start any more');
  }
  return false;
}

/** True when a container cannot be started ever again: it goes, or what it was made with is gone. */
function isForGood(error: unknown): boolean {
  const words = error instanceof Error ? error.message : '';
  return (
    statusOf(error) === 404 ||
    /network \S+ not found|no such (network|volume|container)|bind source path does not exist/i.test(words) ||
    /error while creating mount source path|error mounting .*no such file|not a directory/is.test(words) ||
    /marked for removal|removal .*in progress|is dead/i.test(words)
  );
}

async function create(docker: Docker, spec: ContainerSpec, name: string): Promise<string> {
  let container: Docker.Container;
  try {
    container = await createOnNetwork(docker, spec, name);
  } catch (error) {
    throw engineError(error, `make the container ${name} of ${spec.image}`);
  }
  try {
    await container.start();
  } catch (error) {
    // Whatever comes of it: the fault to tell is the first one, and a container left over is started the next time.
    await container.remove({ force: true }).catch(() => undefined);
    throw engineError(error, `start the container ${name}`);
  }
  rememberUser(docker, container.id, spec.isRoot ?? false);
  return container.id;
}

async function createOnNetwork(docker: Docker, spec: ContainerSpec, name: string): Promise<Docker.Container> {
  const options = containerOptions(spec, name);
  const kind = kindOf(spec.network ?? 'internet');
  if (kind === 'internet') await ensureNetwork(docker, spec.instance);
  if (kind === 'allow') await ensureListedNetwork(docker, spec.instance, spec.repositoryId);
  try {
    return await docker.createContainer(options);
  } catch (error) {
    // The engine's host is another machine than the bot's.
    const words = error instanceof Error ? error.message : '';
    if (!words.includes('bind source path does not exist') || !words.includes(CA_BUNDLE)) throw error;
    return docker.createContainer(containerOptions(spec, name, false));
  }
}

/**
 * The container of a thread as the engine has it, running or not, and which kind of network it is on.
 *
 * @throws {ContainersError} `DOCKER_UNREACHABLE`, `DOCKER_REFUSED`
 */
export async function findContainer(
  docker: Docker,
  of: Pick<ContainerSpec, 'instance' | 'threadId' | 'repositoryId'>,
): Promise<{ id: string; network: NetworkKind | null } | null> {
  const found = await inspect(docker, containerName(of.instance, of.threadId));
  return found && { id: found.Id, network: networkKindOf(found.HostConfig.NetworkMode, of) };
}

/**
 * Ends what runs in a container. One that has gone or stands still already is fine.
 *
 * @throws {ContainersError} `DOCKER_UNREACHABLE`, `DOCKER_REFUSED`
 */
export async function stopContainer(docker: Docker, containerId: string): Promise<void> {
  if (containerId === '') return;
  try {
    // PID 1 minds no signal but KILL, and what the commands left shall not hold up anybody for long.
    await docker.getContainer(containerId).stop({ t: STOP_SECONDS });
  } catch (error) {
    if (statusOf(error) !== 304 && statusOf(error) !== 404) throw engineError(error, 'stop the container');
  }
}

const STOP_SECONDS = 1;

/**
 * Where a container is on the networks it is on: the address that the proxy of allow-lists sees.
 *
 * @throws {ContainersError} `DOCKER_UNREACHABLE`, `DOCKER_REFUSED`
 */
export async function addressOf(docker: Docker, containerId: string): Promise<string | null> {
  try {
    const { NetworkSettings } = await docker.getContainer(containerId).inspect();
    return Object.values(NetworkSettings.Networks)[0]?.IPAddress || null;
  } catch (error) {
    if (statusOf(error) === 404) return null;
    throw engineError(error, 'look at the container');
  }
}

/**
 * Removes a container, running or not; its workspace volume stays. One that has gone already is fine.
 *
 * @throws {ContainersError} `DOCKER_UNREACHABLE`, `DOCKER_REFUSED`
 */
export async function removeContainer(docker: Docker, containerId: string): Promise<void> {
  if (containerId === '') return;
  forgetUser(docker, containerId);
  const container = docker.getContainer(containerId);
  try {
    await container.remove({ force: true });
  } catch (error) {
    if (statusOf(error) === 404) return;
    // Somebody else is removing it.
    if (statusOf(error) !== 409) throw engineError(error, 'remove the container');
    await container.wait({ condition: 'removed' }).catch((waiting: unknown) => {
      if (statusOf(waiting) !== 404) throw engineError(waiting, 'remove the container');
    });
  }
}

/** @throws {ContainersError} `DOCKER_UNREACHABLE`, `DOCKER_REFUSED` */
export async function hasVolume(docker: Docker, name: string): Promise<boolean> {
  try {
    await docker.getVolume(name).inspect();
    return true;
  } catch (error) {
    if (statusOf(error) === 404) return false;
    throw engineError(error, `look at the volume ${name}`);
  }
}

/**
 * As {@link mendOwner}, where the workspace is not theirs: for a container that was made around a volume of before, when
 * its commands were somebody else's.
 */
export async function ensureOwner(docker: Docker, containerId: string): Promise<void> {
  const command = ['bash', '-c', '[[ ! -O /workspace ]] || printf ours'];
  const { stdout } = await execText(docker, containerId, { command, env: {} });
  if (stdout !== 'ours') await mendOwner(docker, containerId);
}

/**
 * Gives the workspace volume, with all that is in it, to the user of the commands. Needed for images that have no such
 * directory, and where the commands of a repository have become root's, or are so no more: the container itself has no
 * capability to do it.
 */
export async function mendOwner(docker: Docker, containerId: string): Promise<void> {
  const { Image, Mounts, Config } = await docker
    .getContainer(containerId)
    .inspect()
    .catch((error: unknown) => {
      throw engineError(error, 'look at the container');
    });
  const volume = Mounts.find(({ Destination }) => Destination === '/workspace')?.Name;
  if (volume === undefined) throw new ContainersError('WORKSPACE', 'The container has no workspace volume');
  try {
    const helper = await docker.createContainer({
      Image,
      // Of links themselves: what they lead to is the helper's own.
      Entrypoint: ['chown', '-R', '-h', '-P', '--', await commandUser(docker, containerId), '/workspace'],
      Cmd: [],
      User: '0:0',
      Labels: { 'threadbox.instance': Config.Labels['threadbox.instance'] ?? '' },
      HostConfig: {
        // A crash in between leaves nothing.
        AutoRemove: true,
        NetworkMode: 'none',
        CapDrop: ['ALL'],
        // The second for directories that are closed to all but their owner.
        CapAdd: ['CHOWN', 'DAC_OVERRIDE'],
        SecurityOpt: ['no-new-privileges:true'],
        Mounts: [{ Type: 'volume', Source: volume, Target: '/workspace' }],
      },
    });
    try {
      await helper.start();
      // A large workspace takes its time.
      await untilRemoved(helper);
    } catch (error) {
      await helper.remove({ force: true }).catch(() => undefined);
      throw error;
    }
  } catch (error) {
    throw engineError(error, 'give the workspace to the user of the commands');
  }
}
