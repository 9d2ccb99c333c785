import { execFile } from 'node:child_process';
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { finished, pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import type { Docker } from '../src/containers/client.ts';
import { readFrames } from '../src/containers/exec.ts';

const run = promisify(execFile);

/** Saving and restoring by git and the engine alone: for the floors, and to look at what was measured. */
export type RawGit = {
  /** A clone from the mirror, with somebody's name for commits. */
  clone: (containerId: string) => Promise<void>;
  /** Commits everything, carries what the mirror has not out into a file, and verifies that. */
  save: (containerId: string, file: string) => Promise<void>;
  /** Into an empty container: the clone, and on it what {@link RawGit.save} has carried out. */
  restore: (containerId: string, file: string) => Promise<void>;
  /** Runs a script in the repository. @returns what it prints */
  sh: (containerId: string, script: string) => Promise<string>;
};

const GIT_CONFIG = '/workspace/gitconfig';
/** As in the containers of the bot: who commits, and more than one process for a checkout. */
const SETTINGS = [
  String.raw`[safe]\n\tdirectory = *\n[user]\n\tname = Alice\n\temail = alice@example.com\n`,
  String.raw`[checkout]\n\tworkers = 2\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n`,
].join('');

export function openRawGit(
  docker: Docker,
  { mirrorPath, repositoryName }: { mirrorPath: string; repositoryName: string },
): RawGit {
  const repository = `/workspace/${repositoryName}`;
  const configure = `cd /workspace && printf '${SETTINGS}' >${GIT_CONFIG}`;
  // The engine has made the working directory of the container itself, empty and root's.
  const putInPlace = `rmdir ${repository} && mv clone ${repository} && cd ${repository}`;
  const env = [`GIT_CONFIG_SYSTEM=${GIT_CONFIG}`];

  return {
    async clone(containerId) {
      const clone = `git clone -q --shared -- '${mirrorPath}' clone`;
      await exec(docker, containerId, { script: `${configure} && ${clone} && ${putInPlace}`, env });
    },
    async save(containerId, file) {
      const steps = 'git add -A && git commit -q -m x && git bundle create -q - HEAD ^origin/main';
      await exec(docker, containerId, { script: `cd ${repository} && ${steps}`, env, outputFile: file });
      await run('git', ['--git-dir', mirrorPath, 'bundle', 'verify', '-q', file]);
    },
    async restore(containerId, file) {
      const clone = `git clone -q --shared --no-checkout -- '${mirrorPath}' clone`;
      const { size } = await stat(file);
      const bundle = '/workspace/save.bundle';
      const steps = `head -c ${size} >${bundle} && git fetch -q ${bundle} HEAD && git reset -q --hard FETCH_HEAD`;
      const script = `${configure} && ${clone} && ${putInPlace} && ${steps}`;
      await exec(docker, containerId, { script, env, inputFile: file });
    },
    // With the settings that the container has.
    sh: (containerId, script) =>
      exec(docker, containerId, { script: `cd ${repository} && ${script}`, env: [] }),
  };
}

type Exec = { script: string; env: string[]; inputFile?: string; outputFile?: string };

/** `docker exec` by the driver: create, start, read to the end. @throws when the script fails, with what it said */
async function exec(
  docker: Docker,
  containerId: string,
  { script, env, inputFile, outputFile }: Exec,
): Promise<string> {
  const hasInput = inputFile !== undefined;
  const created = await docker.getContainer(containerId).exec({
    Cmd: ['bash', '-c', `{ ${script}; } && echo -n ok >&2`],
    User: '1000:1000',
    WorkingDir: '/',
    Env: env,
    AttachStdin: hasInput,
    AttachStdout: true,
    AttachStderr: true,
  });
  const stream = await created.start({ hijack: hasInput, stdin: hasInput });
  const sending = hasInput ? pipeline(createReadStream(inputFile), stream, { end: false }) : null;
  const file = outputFile === undefined ? null : createWriteStream(outputFile);
  const said: Record<'out' | 'error', Buffer[]> = { out: [], error: [] };
  for await (const { isError, data } of readFrames(stream)) {
    if (isError || !file) said[isError ? 'error' : 'out'].push(Buffer.from(data));
    else file.write(data);
  }
  file?.end();
  await Promise.all([sending, file && finished(file)]);
  const words = Buffer.concat(said.error).toString();
  if (!words.endsWith('ok')) throw new Error(`A script of the bench's failed: ${script}\n${words}`);
  return Buffer.concat(said.out).toString();
}
