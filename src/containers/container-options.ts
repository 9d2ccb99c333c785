import { existsSync } from 'node:fs';
import type Docker from 'dockerode';
import { kindOf, type Network, type NetworkKind } from '../network-choice.ts';
import { ROOT_LABEL } from './command-user.ts';
import type { ContainerLimits } from './limits.ts';
import { listedNetworkName, networkName, volumeName } from './names.ts';
import type { WorkspaceRoom } from './workspace-volume.ts';

export type ContainerSpec = {
  /** Which installation of Threadbox it belongs to. */
  instance: string;
  threadId: string;
  userId: string | number;
  repositoryId: string | number;
  repositoryName: string;
  image: string;
  /** Absolute, and the same for the bot and the engine's host. */
  mirrorPath: string;
  /** `internet`: the bridge of the installation, as far as its guard lets it; a list: the repository's own. */
  network?: Network;
  /** Whom it asks for names; empty: as the engine is set. */
  nameservers?: readonly string[];
  limits: ContainerLimits;
  /** Its commands are root's, and may write to its whole file system. */
  isRoot?: boolean;
  /** What its workspace may hold; without, it is not limited. */
  room?: WorkspaceRoom;
  /** It is made for what is in its workspace, to save that or to look at it: an empty one is none. */
  isForWork?: boolean;
  /** One that the engine knows, such as runsc; `null`: its usual one. */
  runtime: string | null;
};

/** Where TLS is taken apart on the way, the host's own authorities are the ones to trust. */
export const CA_BUNDLE = '/etc/ssl/certs/ca-certificates.crt';

/**
 * PID 1 shows the commands that were run, for `docker logs`. They come from a file that the commands could write to as
 * well: so line by line, cleaned, and not too many. It waits by reading what never comes: `sleep` would be a process
 * for every line. tail gives up when the file becomes a FIFO: the container goes on.
 */
const FOLLOW_LOG =
  'exec 9<> <(:); while :; do tail -n 0 -F /workspace/.threadbox/log 2>/dev/null | ' +
  'while IFS= read -r -n 400 line; do echo "${line//[[:cntrl:]]/?}"; read -rt 0.05 -u 9; done; read -rt 1 -u 9; done';

/**
 * The same where the commands are root's, too, and could end whatever they see: then it is PID 1 itself, which the kernel
 * keeps from them (pid_namespaces(7)). By its name it is known as none of theirs: see `find_others` in inside/common.sh.
 */
const FOLLOW_LOG_AS_INIT = 'exec -a threadbox-log bash -c "$0"';

/**
 * What root needs to install packages, to give files away and to become somebody else, found by leaving out one after the
 * other; KILL, so that a command that has become somebody else can be ended. Nothing with which one could reach beyond the container: neither SYS_ADMIN nor
 * MKNOD, NET_RAW, NET_ADMIN, SYS_PTRACE or SYS_CHROOT.
 */
const ROOT_CAPABILITIES = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID'];

/**
 * How a thread's container is made: what it may use, and what it sees of the host.
 *
 * @param hasCaBundle false when the engine's host is known not to have it
 */
export function containerOptions(
  spec: ContainerSpec,
  name: string,
  hasCaBundle = existsSync(CA_BUNDLE),
): Docker.ContainerCreateOptions {
  const { isRoot = false } = spec;
  return {
    name,
    Image: spec.image,
    Entrypoint: ['bash', '-c', ...(isRoot ? [FOLLOW_LOG_AS_INIT] : []), FOLLOW_LOG],
    Cmd: [],
    // Not the user of the commands, so that they cannot end it.
    User: '0:0',
    WorkingDir: `/workspace/${spec.repositoryName}`,
    Env: environment(hasCaBundle),
    Labels: { ...labelsOf(spec), ...(isRoot && { [ROOT_LABEL]: 'yes' }) },
    HostConfig: {
      Init: !isRoot,
      ...resources(spec.limits, isRoot ? 0 : 1000, isGvisor(spec.runtime)),
      ...(spec.runtime === null ? {} : { Runtime: spec.runtime }),
      CapDrop: ['ALL'],
      ...(isRoot && { CapAdd: ROOT_CAPABILITIES }),
      SecurityOpt: ['no-new-privileges:true'],
      // What is written is written to the workspace, whose size can be limited, or to memory.
      ReadonlyRootfs: !isRoot,
      IpcMode: 'private',
      NetworkMode: networkModeOf(spec),
      ...namesOf(spec),
      LogConfig: { Type: 'json-file', Config: { 'max-size': '1m', 'max-file': '2' } },
      RestartPolicy: { Name: 'no' },
      Mounts: [
        { Type: 'volume', Source: volumeName(spec.instance, spec.threadId), Target: '/workspace' },
        readOnly(spec.mirrorPath),
        ...(hasCaBundle ? [readOnly(CA_BUNDLE)] : []),
      ],
    },
  };
}

function networkModeOf({ network = 'internet', instance, repositoryId }: ContainerSpec): string {
  const kind = kindOf(network);
  if (kind === 'none') return 'none';
  return kind === 'internet' ? networkName(instance) : listedNetworkName(instance, repositoryId);
}

/** Which kind of network a container was made for; null: one that is not ours, so nothing is known of where it leads. */
export function networkKindOf(
  networkMode: string | undefined,
  { instance, repositoryId }: Pick<ContainerSpec, 'instance' | 'repositoryId'>,
): NetworkKind | null {
  if (networkMode === 'none') return 'none';
  if (networkMode === networkName(instance)) return 'internet';
  return networkMode === listedNetworkName(instance, repositoryId) ? 'allow' : null;
}

/**
 * With a list the proxy alone asks for names: what asks others, by whichever way, carries data out. Docker asks for its
 * containers, in some cases from the network of the host; so it is given one that is nobody, and programs are soon done.
 */
function namesOf({ network = 'internet', nameservers = [] }: ContainerSpec): Docker.HostConfig {
  if (kindOf(network) !== 'allow') return { Dns: [...nameservers] };
  return { Dns: ['127.0.0.1'], DnsOptions: ['timeout:1', 'attempts:1'], DnsSearch: ['.'] };
}

/** Of a thread's container and of its volume. */
export function labelsOf(spec: ContainerSpec): Record<string, string> {
  return {
    'threadbox.instance': spec.instance,
    'threadbox.thread': spec.threadId,
    'threadbox.user': String(spec.userId),
    'threadbox.repository': String(spec.repositoryId),
  };
}

/**
 * gVisor, by the name that its runtime has in the engine. It is a kernel of its own in an ordinary process: the engine's limit on
 * processes counts that one's threads, and ends it at the limit with all that runs in it.
 */
export function isGvisor(runtime: string | null): boolean {
  return /^(?:io\.containerd\.)?(?:runsc|gvisor)\b/i.test(runtime ?? '');
}

/** Some two for each process in it were counted, and some forty where there is none. */
const gvisorThreads = (pidsLimit: number): number => 4 * pidsLimit + 512;
/** Which commands do not get: keep_processes_back in inside/run.sh. */
const KEPT_BACK = 64;

function resources(limits: ContainerLimits, uid: number, inGvisor: boolean): Docker.HostConfig {
  const { memoryBytes, cpus, pidsLimit, tmpBytes, shmBytes, openFiles } = limits;
  const inMemory = (sizeBytes: number, more: string) => `rw,nosuid,nodev,${more},size=${sizeBytes}`;
  return {
    Memory: memoryBytes,
    MemorySwap: memoryBytes,
    NanoCpus: Math.round(cpus * 1e9),
    PidsLimit: inGvisor ? gvisorThreads(pidsLimit) : pidsLimit,
    ShmSize: shmBytes,
    Ulimits: [
      { Name: 'nofile', Soft: openFiles, Hard: openFiles },
      // A core file of a large process would fill the workspace.
      { Name: 'core', Soft: 0, Hard: 0 },
      // Linux would count those of all containers together; gVisor has users of its own.
      ...(inGvisor ? [{ Name: 'nproc', Soft: pidsLimit + KEPT_BACK, Hard: pidsLimit + KEPT_BACK }] : []),
    ],
    Tmpfs: {
      // Many builds run what they have made there.
      '/tmp': inMemory(tmpBytes, 'exec,mode=1777'),
      '/var/tmp': inMemory(Math.min(tmpBytes, SMALL_BYTES), 'exec,mode=1777'),
      // The engine gives a place the mode that it has in the image: there it is root's.
      '/run': inMemory(Math.min(tmpBytes, SMALL_BYTES), `noexec,uid=${uid},gid=${uid}`),
    },
  };
}

const SMALL_BYTES = 64 * 1024 ** 2;

function environment(hasCaBundle: boolean): string[] {
  return [
    'HOME=/workspace/.home',
    'LANG=C.UTF-8',
    'CI=1',
    'DEBIAN_FRONTEND=noninteractive',
    'PAGER=cat',
    'GIT_PAGER=cat',
    'GIT_TERMINAL_PROMPT=0',
    'GIT_CONFIG_SYSTEM=/workspace/.threadbox/gitconfig',
    ...(hasCaBundle ? [`NODE_EXTRA_CA_CERTS=${CA_BUNDLE}`, `SSL_CERT_FILE=${CA_BUNDLE}`] : []),
  ];
}

function readOnly(path: string) {
  return { Type: 'bind' as const, Source: path, Target: path, ReadOnly: true };
}
