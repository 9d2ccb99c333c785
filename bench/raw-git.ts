import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { finished, pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import type { Docker } from '../src/containers/client.ts';
import { readFrames } from '../src/containers/exec.ts';

const run = promisify(execFile);

/** Saving and restoring by git and the engine alone: for the floors, and to look at what was measured. */
export type RawGit = {
  /** A clone from the mirror, with somebody's name for commits. */
  clone: (containerId: string) => Promise<void>;
  /**
   * Commits everything, carries what the mirror has not out into a file, and fetches that into a repository which
   * borrows from the mirror: git reads every object, looks whether any is missing, and brings them to the disk.
   */
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

/** As in the stores of the bot. */
const STORE_GIT = ['-c', 'pack.compression=1', '-c', 'pack.threads=2'];
/** Nothing but to take it in. */
const NO_MORE = ['-q', '--no-auto-maintenance', '--no-write-fetch-head', '--no-tags'];

/** @param storePath where saves are fetched to: made here, so that no save has to */
export async function openRawGit(
  docker: Docker,
  {
    mirrorPath,
    storePath,
    repositoryName,
  }: { mirrorPath: string; storePath: string; repositoryName: string },
): Promise<RawGit> {
  await run('git', ['init', '-q', '--bare', '--', storePath]);
  await writeFile(join(storePath, 'objects', 'info', 'alternates'), `${join(mirrorPath, 'objects')}\n`);
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
      // `git bundle verify` would not do: it looks at the first lines only, and says that half of a file is okay.
      const ref = `refs/saves/${randomUUID()}`;
      await run('git', [
        ...STORE_GIT,
        '--git-dir',
        storePath,
        'fetch',
        ...NO_MORE,
        '--',
        file,
        `HEAD:${ref}`,
      ]);
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
