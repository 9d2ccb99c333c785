import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { loadConfig } from '../../src/config.ts';
import { connectDocker, type Docker } from '../../src/containers/client.ts';
import { ensureContainer, type Container } from '../../src/containers/container.ts';
import { readFrames } from '../../src/containers/exec.ts';
import { runExecution, type ExecutionRequest, type ExecutionResult } from '../../src/containers/execution.ts';
import type { ContainerLimits } from '../../src/containers/limits.ts';
import { ensureMirror } from '../../src/containers/mirror.ts';
import { volumeName } from '../../src/containers/names.ts';
import { removeInstallation } from '../../src/containers/remove-installation.ts';
import { prepareWorkspace } from '../../src/containers/workspace.ts';
import { removeVolume, type WorkspaceRoom } from '../../src/containers/workspace-volume.ts';
import { closeAll } from '../support/close-all.ts';

export const dockerHost = process.env['DOCKER_HOST'] ?? 'unix:///var/run/docker.sock';
export const image = process.env['CONTAINER_IMAGE'] ?? 'threadbox-workspace:1';
export const docker = connectDocker(dockerHost);
export const silent = pino({ level: 'silent' });
export const never = new AbortController().signal;

/** As the settings have it. */
export const LIMITS: ContainerLimits = loadConfig({}, { isForBot: false }).config.containerLimits;

type Scope = Pick<TestContext, 'after'>;

/** git as on a developer's machine, whatever is configured here. */
export function git(cwd: string, ...args: string[]): string {
  const settings = [
    '-c',
    'user.name=Up Stream',
    '-c',
    'user.email=up@example.com',
    '-c',
    'init.defaultBranch=main',
  ];
  return execFileSync('git', [...settings, ...args], { cwd, encoding: 'utf8' });
}

/** `docker` as an operator types it; what it prints. */
export async function dockerCli(...args: string[]): Promise<string> {
  const env = { ...process.env, DOCKER_HOST: dockerHost };
  const { stdout, stderr } = await promisify(execFile)('docker', args, { env });
  return stdout + stderr;
}

/**
 * Runs a command in a container, as Docker's own command line does, for half of what that takes; what it prints.
 *
 * @param user default: that of the container
 * @throws Error when it fails
 */
export async function execIn(
  containerId: string,
  command: readonly string[],
  { user = '', dir = '/' } = {},
): Promise<string> {
  const exec = await docker.getContainer(containerId).exec({
    Cmd: [...command],
    User: user,
    WorkingDir: dir,
    AttachStdout: true,
    AttachStderr: true,
  });
  const chunks: Buffer[] = [];
  for await (const { data } of readFrames(await exec.start({}))) chunks.push(Buffer.from(data));
  const said = Buffer.concat(chunks).toString();
  const { ExitCode: exitCode } = await exec.inspect();
  if (exitCode !== 0) throw new Error(`Exit code ${exitCode} of ${command.join(' ')}: ${said}`);
  return said;
}

export async function temporaryDir(scope: Scope): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'threadbox-test-'));
  scope.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** An upstream repository with one commit: README.md, src/app.js, logo.bin. */
export async function upstream(scope: Scope, { isEmpty = false } = {}): Promise<string> {
  const dir = await temporaryDir(scope);
  git(dir, 'init', '--quiet');
  if (isEmpty) return dir;
  await writeFile(join(dir, 'README.md'), '# Sample\n\nA line.\nAnother line.\nA third one.\n');
  git(dir, 'init', '--quiet');
  execFileSync('mkdir', ['src'], { cwd: dir });
  await writeFile(join(dir, 'src', 'app.js'), 'console.log(1);\n');
  await writeFile(join(dir, 'logo.bin'), Buffer.from([0, 1, 2, 255]));
  git(dir, 'add', '-A');
  git(dir, 'commit', '--quiet', '-m', 'Begin');
  return dir;
}

/**
 * What the rigs of a file share: an installation, and an upstream with its mirror. A network that is made and removed is the
 * most expensive part of a rig, and there is room for few at the same time.
 */
const INSTANCE = newInstance();
const closers: (() => unknown)[] = [];
after(() => closeAll(closers));
let common: Promise<{ url: string; mirrorsDir: string }> | null = null;
let rigs = 0;

function newInstance(): string {
  return `test-${randomBytes(5).toString('hex')}`;
}

/**
 * An installation for a test's containers, all of which are gone when the test is over.
 *
 * @param isAlone with a network of its own, which goes as well
 */
export function installationFor(scope: Scope, { isAlone = false } = {}): string {
  const instance = isAlone ? newInstance() : INSTANCE;
  if (isAlone) scope.after(() => removeInstallation(docker, instance));
  else if (!closers.includes(removeShared)) closers.push(removeShared);
  return instance;
}

const removeShared = (): Promise<void> => removeInstallation(docker, INSTANCE);

/** The container of a thread, and its volume. */
export async function removeThread(instance: string, threadId: string): Promise<void> {
  const label = [`threadbox.instance=${instance}`, `threadbox.thread=${threadId}`];
  const containers = await docker.listContainers({ all: true, filters: JSON.stringify({ label }) });
  await Promise.all(containers.map(({ Id }) => docker.getContainer(Id).remove({ force: true })));
  await removeVolume(docker, volumeName(instance, threadId));
}

/** For who changes nothing in it. */
export function sharedUpstream(): Promise<{ url: string; mirrorsDir: string }> {
  return (common ??= commonUpstream());
}

async function commonUpstream(): Promise<{ url: string; mirrorsDir: string }> {
  const scope = { after: (close: unknown) => void closers.unshift(close as () => unknown) };
  return { url: await upstream(scope), mirrorsDir: await temporaryDir(scope) };
}

export type Rig = {
  instance: string;
  mirrorPath: string;
  container: Container;
  ensure: (how?: { through?: Docker; isForWork?: boolean }) => Promise<Container>;
  prepare: (limits?: Parameters<typeof prepareWorkspace>[3]) => Promise<void>;
  run: (script: string, more?: Partial<ExecutionRequest>) => Promise<ExecutionResult>;
};

/** A thread's container with a prepared workspace, on the real engine; gone when the test is over. */
export async function startRig(
  scope: Scope,
  {
    url,
    branch = null,
    beforeFirst,
    limits = {},
    room,
    isAlone = room !== undefined,
  }: {
    url?: string;
    branch?: string | null;
    limits?: Partial<ContainerLimits>;
    room?: WorkspaceRoom;
    isAlone?: boolean;
    beforeFirst?: (instance: string, threadId: string) => Promise<void>;
  } = {},
): Promise<Rig> {
  const instance = installationFor(scope, { isAlone });
  const threadId = isAlone ? 'john@example.com-my-app' : `john@example.com-my-app#${(rigs += 1)}`;
  const { url: from, mirrorsDir } =
    url === undefined ? await sharedUpstream() : { url, mirrorsDir: await temporaryDir(scope) };
  if (!isAlone) scope.after(() => removeThread(instance, threadId));
  const mirror = await ensureMirror({
    mirrorsDir,
    repository: { id: 7, url: from },
    log: silent,
    signal: never,
  });
  await beforeFirst?.(instance, threadId);
  const ensure = ({ through = docker, isForWork = false } = {}) =>
    ensureContainer(through, {
      instance,
      threadId,
      userId: 3,
      repositoryId: 7,
      repositoryName: 'my-app',
      image,
      mirrorPath: mirror.path,
      limits: { ...LIMITS, ...limits },
      ...(room && { room }),
      isForWork,
      runtime: process.env['CONTAINER_RUNTIME'] ?? null,
    });
  const rig: Rig = {
    instance,
    mirrorPath: mirror.path,
    container: await ensure(),
    ensure,
    async prepare(limits) {
      await prepareWorkspace(
        docker,
        rig.container.id,
        {
          repositoryName: 'my-app',
          url: from,
          branch,
          mirrorPath: mirror.path,
          author: { name: 'John "J" Doe', address: 'john@example.com' },
        },
        limits,
      );
    },
    async run(script, more = {}) {
      const result = await runExecution(docker, rig.container.id, request(script, more));
      if (result.ending === 'already-started') throw new Error('the execution was started before');
      return result;
    },
  };
  await rig.prepare();
  return rig;
}

export function request(script: string, more: Partial<ExecutionRequest> = {}): ExecutionRequest {
  const executionId = `e${randomBytes(6).toString('hex')}`;
  const timeoutMs = 60_000;
  return { executionId, repositoryName: 'my-app', script, env: {}, timeoutMs, signal: never, ...more };
}

/**
 * Runs something under a time limit within which it has to have begun, or to have been done: on a machine that has much else to
 * do it is tried again with a longer one, up to a minute. So a short limit costs no time where it will do.
 *
 * @param isFair whether what came of it is what the test is about, and not that the limit was over too soon
 */
export async function withinLimit<T>(
  limitMs: number,
  work: (limitMs: number) => Promise<T>,
  isFair: (result: T) => boolean,
): Promise<T> {
  for (let triedMs = limitMs; ; triedMs *= 4) {
    const result = await work(triedMs);
    if (isFair(result) || triedMs > 15_000) return result;
  }
}

/** In a command: waits until all of that output lies in a file of the workspace, from where it is answered whatever comes. */
export const written = (words: string): string =>
  `until grep -qsx '${words}' /workspace/.threadbox/executions/*.out; do sleep 0.02; done`;

/** All of the output, where it was short. */
export function text({ output }: ExecutionResult): string {
  return output.head.toString() + output.tail.toString();
}
