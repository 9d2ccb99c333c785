import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { loadConfig } from '../src/config.ts';
import type { Docker } from '../src/containers/client.ts';
import { containerOptions } from '../src/containers/container-options.ts';
import { ensureContainer } from '../src/containers/container.ts';
import { containerName, volumeName } from '../src/containers/names.ts';
import { removeVolume } from '../src/containers/workspace-volume.ts';
import { COMMAND, OUTPUT } from './command.ts';

const run = promisify(execFile);

/** What the same work takes with nothing around it: the engine alone, in containers made like the bot's. */
export type RawDocker = {
  /** Clones an upstream as git does it, to be mounted. @returns its path */
  cloneMirror: (url: string, name: string) => Promise<string>;
  /** Makes a container, starts it, clones in it and runs the command: two calls and one exec. @returns its id */
  firstCommand: (mirrorPath: string, name: string) => Promise<string>;
  /** One exec of the command in a container that has the clone. */
  command: (containerId: string) => Promise<void>;
  remove: (name: string) => Promise<void>;
};

const REPOSITORY = 'sample';
const LOCAL_VOLUME = { NoCopy: false, DriverConfig: { Name: 'local', Options: {} } };
/** The image's own settings are out of sight in these containers, and the mirror belongs to somebody else. */
const GIT_CONFIG = '/workspace/gitconfig';

export async function openRawDocker(
  docker: Docker,
  { image, mirrorsDir, instance, url }: { image: string; mirrorsDir: string; instance: string; url: string },
): Promise<RawDocker> {
  const spec = (mirrorPath: string, name: string) => {
    const ids = { userId: 0, repositoryId: 0, threadId: name };
    const limits = loadConfig({}, { isForBot: false }).config.containerLimits;
    return { ...ids, instance, repositoryName: REPOSITORY, image, mirrorPath, limits, runtime: null };
  };
  async function cloneMirror(from: string, name: string): Promise<string> {
    const path = join(mirrorsDir, `${name}.git`);
    await run('git', ['clone', '--quiet', '--bare', '--', from, path]);
    return path;
  }
  // The network, which is made once in the life of an installation.
  await ensureContainer(docker, spec(await cloneMirror(url, 'network'), 'network'));

  return {
    cloneMirror,
    async firstCommand(mirrorPath, name) {
      const options = containerOptions(spec(mirrorPath, name), containerName(instance, name));
      const mounts = options.HostConfig?.Mounts ?? [];
      // The engine makes the volume with the container; by its label it is found again.
      for (const mount of mounts.filter(({ Type }) => Type === 'volume')) {
        mount.VolumeOptions = { ...LOCAL_VOLUME, Labels: options.Labels ?? {} };
      }
      const container = await docker.createContainer(options);
      await container.start();
      const steps = [
        String.raw`printf '[safe]\n\tdirectory = *\n' >${GIT_CONFIG}`,
        `git clone --quiet --shared -- '${mirrorPath}' /workspace/clone`,
        // The engine has made the working directory of the container itself, empty and root's.
        `rmdir /workspace/${REPOSITORY} && mv /workspace/clone /workspace/${REPOSITORY}`,
        `cd /workspace/${REPOSITORY} && ${COMMAND}`,
      ];
      await exec(docker, container.id, '/workspace', steps.join(' && '));
      return container.id;
    },
    command: (containerId) => exec(docker, containerId, `/workspace/${REPOSITORY}`, COMMAND),
    remove: (name) => removeContainer(docker, instance, name),
  };
}

/**
 * `docker exec` by the driver, without more: create, start, read to the end.
 *
 * @throws when the output is not the command's
 */
async function exec(docker: Docker, containerId: string, workDir: string, script: string): Promise<void> {
  const created = await docker.getContainer(containerId).exec({
    Cmd: ['bash', '-c', script],
    User: '1000:1000',
    WorkingDir: workDir,
    Env: [`GIT_CONFIG_SYSTEM=${GIT_CONFIG}`],
    AttachStdout: true,
    AttachStderr: true,
  });
  const chunks: Buffer[] = [];
  for await (const chunk of await created.start({})) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('latin1');
  if (!text.includes(OUTPUT))
    throw new Error(`Expected ${JSON.stringify(OUTPUT)} of docker exec, got: ${text}`);
}

/** With its volume. Nothing must come to that thread any more. */
export async function removeContainer(docker: Docker, instance: string, threadId: string): Promise<void> {
  await docker.getContainer(containerName(instance, threadId)).remove({ force: true });
  await removeVolume(docker, volumeName(instance, threadId));
}
