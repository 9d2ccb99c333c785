import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { Config } from '../config.ts';
import { connectDocker, type Docker } from '../containers/client.ts';
import { runtimeFault } from '../containers/engine-facts.ts';
import { helperHost, type GuardHost } from '../containers/guard-host.ts';
import { isPresent } from '../containers/image.ts';
import { DEFAULT_IMAGE } from '../config-schema.ts';
import { pingEngine } from '../embedded/engine-ping.ts';
import { PROXY_PACKAGE } from '../embedded/proxy.ts';
import { isInstalled } from '../embedded/server-process.ts';
import { engineInUse } from '../engine-choice.ts';
import { clockReport } from '../readiness.ts';
import { SYSTEM_PATH } from '../root.ts';
import { bad, ok, warn, type Check, type Finding, type Surroundings } from './doctor-findings.ts';
import { lookAtInotify } from './doctor-inotify.ts';
import { lookAtWorkspaces } from './doctor-workspaces.ts';

/** The oldest that Threadbox has been tried with: Docker 20.10. */
const OLDEST_API = 41;

/** What an engine says of itself, as far as it matters here. */
export type EngineInfo = {
  MemTotal: number;
  NCPU: number;
  SystemTime: string;
  DockerRootDir: string;
  CgroupVersion?: string;
  MemoryLimit: boolean;
  CpuCfsQuota: boolean;
  PidsLimit: boolean;
  Runtimes?: Record<string, unknown>;
  DefaultRuntime?: string;
  /** As in `name=seccomp,profile=default`. */
  SecurityOptions?: string[] | null;
};

export const engineChecks: readonly Check[] = [
  {
    part: 'Docker',
    todo: 'Correct DOCKER_HOST, or see why the engine does not answer: docker info, as the same user.',
    look: lookAtEngine,
  },
];

async function lookAtEngine({ config, now }: Surroundings): Promise<Finding[]> {
  const dockerHost = await engineInUse(config);
  if (dockerHost === null) {
    return [
      ok(
        'Docker',
        'no engine is set or runs here: the start brings one of its own, where it may (root or sudo)',
      ),
    ];
  }
  const ping = await pingEngine(dockerHost);
  if (!ping.answers) return [silentEngine(dockerHost, ping)];
  const docker = connectDocker(dockerHost);
  const version = (await docker.version()) as { Version: string; ApiVersion: string };
  const info = (await docker.info()) as EngineInfo;
  return [
    versionFinding(dockerHost, version),
    ...limitFindings(info, config),
    ...isolationFindings(info, config),
    ...(await lookAtInotify(dockerHost, config)),
    ...(await lookAtDisk(info, config)),
    ...clockFindings(info, now()),
    await lookAtImage(docker, config.containerImage),
    await lookAtGuard(docker, dockerHost, config),
    await lookAtWorkspaces(docker, config, now),
    await lookAtProxy(config),
  ];
}

export function silentEngine(
  dockerHost: string,
  { isForbidden, reason }: { isForbidden: boolean; reason: string },
): Finding {
  return isForbidden
    ? bad(
        'Docker',
        `this user may not talk to ${dockerHost}`,
        'Let the user who runs Threadbox into the group of the socket (usermod -aG docker USER), and log in anew. Who is in it is as mighty as root.',
      )
    : bad('Docker', `${dockerHost} does not answer: ${reason}`, 'Start the engine, or correct DOCKER_HOST.');
}

function versionFinding(
  dockerHost: string,
  { Version, ApiVersion }: { Version: string; ApiVersion: string },
): Finding {
  const says = `${dockerHost} answers: version ${Version}, API ${ApiVersion}`;
  if (Number(ApiVersion.split('.')[1] ?? 0) >= OLDEST_API) return ok('Docker', says);
  return warn('Docker', says, `Threadbox is tried with API 1.${OLDEST_API} (Docker 20.10) and newer.`);
}

/** Which of the limits of a container the engine holds it to, and whether its machine can bear them. */
export function limitFindings(
  info: EngineInfo,
  {
    containerLimits,
    containerRuntime,
    hostMaxContainers,
  }: Pick<Config, 'containerLimits' | 'containerRuntime' | 'hostMaxContainers'>,
): Finding[] {
  const { MemTotal, NCPU, Runtimes } = info;
  const lacking = [
    ...(info.MemoryLimit ? [] : ['memory']),
    ...(info.CpuCfsQuota ? [] : ['processors']),
    ...(info.PidsLimit ? [] : ['processes']),
  ];
  const inMb = (bytes: number): string => `${Math.floor(bytes / 2 ** 20)} MB`;
  const { memoryBytes, cpus } = containerLimits;
  const says = `each container: ${inMb(memoryBytes)}, ${cpus} CPU, ${containerLimits.pidsLimit} processes; the machine: ${inMb(MemTotal)}, ${NCPU} CPU, cgroup v${info.CgroupVersion ?? '1'}`;
  const fault =
    containerRuntime === null ? null : runtimeFault(containerRuntime, Object.keys(Runtimes ?? {}));
  return [
    lacking.length > 0
      ? bad(
          'limits',
          `the engine does not limit ${lacking.join(', ')}`,
          'Enable these cgroup controllers in the kernel of its machine.',
        )
      : ok('limits', says),
    ...(memoryBytes > MemTotal
      ? [
          warn(
            'limits',
            `one container may use more memory than the machine has (${inMb(MemTotal)})`,
            'Lower CONTAINER_MEMORY_BYTES.',
          ),
        ]
      : []),
    ...((hostMaxContainers ?? 0) * memoryBytes > MemTotal
      ? [
          warn(
            'limits',
            `${hostMaxContainers} containers may use more memory than the machine has`,
            'Lower HOST_MAX_CONTAINERS, or set it to 0: as many as fit.',
          ),
        ]
      : []),
    ...(fault === null ? [] : [bad('limits', fault, 'The bot does not start before.')]),
  ];
}

/** What stands between commands and the machine they run on, beside the network guard. */
export function isolationFindings(
  { SecurityOptions, DefaultRuntime }: Pick<EngineInfo, 'SecurityOptions' | 'DefaultRuntime'>,
  { containerRuntime }: Pick<Config, 'containerRuntime'>,
): Finding[] {
  const options = new Map(
    (SecurityOptions ?? []).map((option) => {
      const [, name = '', rest = ''] = /^name=([^,]+),?(.*)$/.exec(option) ?? [];
      return [name, rest] as const;
    }),
  );
  const runtime = containerRuntime ?? DefaultRuntime ?? 'runc';
  const modules = ['apparmor', 'selinux'].filter((name) => options.has(name));
  const says = [`runtime ${runtime}`, ...modules].join(', ');
  const seccomp = options.get('seccomp');
  const isFiltered = seccomp !== undefined && !/unconfined/.test(seccomp);
  const isMapped = options.has('userns') || options.has('rootless');
  return [
    ...(isFiltered
      ? []
      : [
          bad(
            'isolation',
            'the engine does not filter system calls (seccomp)',
            'Enable seccomp in its kernel, and take "seccomp-profile": "unconfined" out of its daemon.json.',
          ),
        ]),
    isMapped
      ? ok(
          'isolation',
          `${says}; root in a container is nobody on the machine (${options.has('rootless') ? 'rootless' : 'userns-remap'})`,
        )
      : ok(
          'isolation',
          `${says}; root in a container has root's number on the machine (userns-remap gives it another: docs/security.md)`,
        ),
  ];
}

async function lookAtDisk(
  { DockerRootDir }: EngineInfo,
  { workspaceMinFreeBytes }: Config,
): Promise<Finding[]> {
  // On another machine, or not to be seen by this user.
  if (!existsSync(DockerRootDir)) return [];
  const { bavail, bsize } = await statfs(DockerRootDir);
  const says = `${Math.floor((bavail * bsize) / 2 ** 20)} MB free on the disk of the engine (${DockerRootDir})`;
  if (bavail * bsize >= workspaceMinFreeBytes) return [ok('disk', says)];
  const todo =
    'Below WORKSPACE_MIN_FREE_BYTES kept workspaces are given up, so that threads return slower: make room.';
  return [warn('disk', says, todo)];
}

export function clockFindings({ SystemTime }: Pick<EngineInfo, 'SystemTime'>, now: Date): Finding[] {
  const { isReady, detail } = clockReport(new Date(SystemTime), now);
  const says = detail.replace("PostgreSQL's", "the engine's").replace(': synchronise the clocks', '');
  return isReady
    ? []
    : [warn('clock', says, 'Let both machines follow a time server: files of containers carry its times.')];
}

async function lookAtImage(docker: Docker, image: string): Promise<Finding> {
  if (await isPresent(docker, image)) return ok('image', `${image} is there`);
  const how =
    image === DEFAULT_IMAGE ? 'built at the first start, in a minute or two' : 'pulled at the first start';
  return warn('image', `${image} is not there yet`, `Nothing to do: it is ${how}; commands wait for it.`);
}

async function lookAtGuard(
  docker: Docker,
  dockerHost: string,
  { guardsNetwork, guardImage, containerMayReach }: Config,
): Promise<Finding> {
  if (!guardsNetwork) {
    const says = 'off: commands reach the machine they run on, its networks and cloud metadata';
    return warn(
      'network guard',
      says,
      'CONTAINER_NETWORK_GUARD=on, unless something else keeps them from it. See docs/security.md.',
    );
  }
  const open = containerMayReach.length > 0 ? `; left open: ${containerMayReach.join(', ')}` : '';
  if (dockerHost.startsWith('unix:') && process.getuid?.() === 0 && (await hasFirewall())) {
    return ok('network guard', `this user may set the firewall${open}`);
  }
  if (await isPresent(docker, guardImage)) {
    const helper = helperHost(docker, { image: guardImage, instance: `doctor-${randomUUID()}` });
    return helperFinding(helper, guardImage, open);
  }
  return warn(
    'network guard',
    `needs a helper container of ${guardImage}, which is not there yet`,
    UNGUARDED,
  );
}

const UNGUARDED =
  'No container is started before the guard is in place. GUARD_IMAGE names an image with iptables.';

/** Whether a helper can do it: the image of workspaces is that of the helper, too, where no other is named. */
export async function helperFinding(
  helper: Pick<GuardHost, 'look'>,
  image: string,
  open: string,
): Promise<Finding> {
  try {
    await helper.look();
    return ok('network guard', `set by a helper container of ${image}${open}`);
  } catch (error) {
    return bad('network guard', `a helper container of ${image}: ${(error as Error).message}`, UNGUARDED);
  }
}

async function hasFirewall(): Promise<boolean> {
  return promisify(execFile)('iptables', ['-w', '5', '-S', 'INPUT']).then(
    () => true,
    () => false,
  );
}

/** Whether `repo set --network allow:` can be used. Nothing is bad where nobody uses it. */
async function lookAtProxy({ guardsNetwork }: Config): Promise<Finding> {
  const part = 'allow-lists';
  if (!guardsNetwork) return ok(part, 'not with CONTAINER_NETWORK_GUARD=off: commands would wait');
  const { packages, program } = PROXY_PACKAGE;
  const install = `sh scripts/install-debian-packages.sh ${packages}, as root`;
  if (!isInstalled(program)) {
    return ok(part, `${program} is not installed; whoever sets one needs it: ${install}`);
  }
  const { stdout } = await promisify(execFile)(program, ['-v'], { env: { PATH: SYSTEM_PATH } });
  return proxyFinding(stdout);
}

/** @param said what Squid says of how it was built: Debian has it twice, and one looks into TLS */
export function proxyFinding(said: string): Finding {
  const version = /Version (\S+)/.exec(said)?.[1] ?? 'of an unknown version';
  if (said.includes('--with-openssl')) return ok('allow-lists', `can be used: Squid ${version}`);
  const todo = `Install ${PROXY_PACKAGE.packages}, which takes its place. Needed for repo set --network allow: alone.`;
  return warn('allow-lists', `Squid ${version} is there, but cannot look into TLS`, todo);
}
