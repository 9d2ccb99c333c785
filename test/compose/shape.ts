import type { Docker } from '../../src/containers/client.ts';

/** The containers of a composition, by their services. */
export async function shapesOf(
  docker: Docker,
  project: string,
): Promise<Record<string, ReturnType<typeof shapeOf>>> {
  const filters = { label: [`com.docker.compose.project=${project}`] };
  const containers = await docker.listContainers({ all: true, filters });
  const named = containers.map(async ({ Id, Labels }) => {
    const service = Labels['com.docker.compose.service'] ?? '';
    return [service, shapeOf(await docker.getContainer(Id).inspect())] as const;
  });
  return Object.fromEntries(await Promise.all(named));
}

/** What the engine was told of a container, as far as it makes a difference to what is in it. */
function shapeOf({ Config, HostConfig, Mounts, NetworkSettings }: Inspected) {
  const { LogConfig, RestartPolicy, PortBindings, Tmpfs, ReadonlyRootfs, SecurityOpt } = HostConfig;
  const { Memory, PidsLimit, ShmSize, CapAdd, CapDrop } = HostConfig;
  return {
    image: Config.Image,
    runs: [...[Config.Entrypoint ?? []].flat(), ...(Config.Cmd ?? [])],
    user: Config.User,
    env: Config.Env.toSorted(),
    health: Config.Healthcheck?.Test,
    mounts: Mounts.map(({ Type, Name, Source, Destination, RW }) =>
      [Type, Name ?? Source, Destination, RW ? 'writable' : 'read-only'].join(' '),
    ).toSorted(),
    networks: Object.keys(NetworkSettings.Networks).toSorted(),
    ports: PortBindings ?? {},
    tmpfs: Tmpfs ?? {},
    limits: { Memory, PidsLimit, ShmSize },
    rights: { ReadonlyRootfs, SecurityOpt, CapAdd: names(CapAdd), CapDrop: names(CapDrop) },
    restarts: RestartPolicy?.Name,
    log: LogConfig,
  };
}

type Inspected = Awaited<ReturnType<ReturnType<Docker['getContainer']>['inspect']>>;

function names(words: unknown): unknown {
  return Array.isArray(words) ? words.toSorted() : [];
}
