import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Transform, type Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type Docker from 'dockerode';
import { DEFAULT_IMAGE } from '../config-schema.ts';
import { takeLock } from '../lock.ts';
import { asRoot, canBecomeRoot } from '../root.ts';
import { debianMirrors } from './debian-mirrors.ts';
import { engineError, statusOf } from './errors.ts';
import { pullImage } from './pull-image.ts';

type Wanted = {
  image: string;
  /** Where a build may put its temporary files; made where it is missing. */
  engineDir: string;
  /** Gets one line for a person now and then. */
  onProgress: (line: string) => void;
};

const SUITE = 'bookworm';
/** Goes with the Node of package.json (npm's own `engines`). */
const NPM_VERSION = '11.19.1';
const BUILD_LOCK_TIMEOUT_MS = 30 * 60_000;
/** A mirror that says nothing for so long says nothing more. */
const SILENCE_LIMIT_MS = 5 * 60_000;
/** A download of the build that stands still for so long is begun again. */
const STALL_LIMIT_MS = 20_000;
/** How often a person sees that a long step is alive. */
const PROGRESS_INTERVAL_MS = 5_000;

/**
 * Makes sure that the engine has the image: Threadbox's own is built from the machine's Debian mirror, any other one
 * is pulled from its registry.
 *
 * @throws Error with code NO_IMAGE and what to do, when it can be neither built nor pulled.
 */
export async function ensureImage(docker: Docker, { image, engineDir, onProgress }: Wanted): Promise<void> {
  if (await isPresent(docker, image)) return;
  if (image !== DEFAULT_IMAGE) {
    await pullImage(docker, image, onProgress);
    return;
  }
  await mkdir(engineDir, { recursive: true, mode: 0o755 });
  const path = join(engineDir, 'image.lock');
  let lock = await takeLock(path, { kind: 'exclusive', waitMs: 0 });
  if (!lock) onProgress('Another process is building the workspace image: waiting for it');
  lock ??= await takeLock(path, { kind: 'exclusive', waitMs: BUILD_LOCK_TIMEOUT_MS });
  if (!lock) throw noImage('another process has been building it for half an hour');
  try {
    if (!(await isPresent(docker, image))) await buildImage(docker, engineDir, onProgress);
  } finally {
    await lock.release();
  }
}

/**
 * Whether the engine has the image already.
 *
 * @throws {ContainersError} `DOCKER_UNREACHABLE`, `DOCKER_REFUSED`
 */
export async function isPresent(docker: Docker, image: string): Promise<boolean> {
  try {
    await docker.getImage(image).inspect();
    return true;
  } catch (error) {
    if (statusOf(error) === 404) return false;
    throw engineError(error, `look for the image ${image}`);
  }
}

async function buildImage(
  docker: Docker,
  engineDir: string,
  onProgress: (line: string) => void,
): Promise<void> {
  if (!existsSync('/usr/sbin/debootstrap')) {
    throw noImage('debootstrap is not installed. Install the Debian package debootstrap');
  }
  if (!canBecomeRoot()) throw noImage('building it needs root. Run this once as root or with sudo');
  const startedAt = Date.now();
  onProgress(`Building the workspace image ${DEFAULT_IMAGE} (once, a minute or two)`);
  // Always the same one, so that what a killed build leaves is gone with the next.
  const downloads = join(engineDir, 'image-download');
  await rm(downloads, { recursive: true, force: true });
  await mkdir(downloads);
  try {
    const npmTarball = await packNpm(downloads);
    await importRootFileSystem(docker, engineDir, npmTarball, onProgress);
  } finally {
    await rm(downloads, { recursive: true, force: true });
  }
  onProgress(`The workspace image is ready after ${Math.round((Date.now() - startedAt) / 1000)} s`);
}

async function importRootFileSystem(
  docker: Docker,
  engineDir: string,
  npmTarball: string,
  onProgress: (line: string) => void,
): Promise<void> {
  const script = fileURLToPath(new URL('build-image.sh', import.meta.url));
  const architecture = { x64: 'amd64', arm64: 'arm64' }[process.arch as string];
  if (!architecture) throw noImage(`this machine's processor (${process.arch}) is neither x64 nor arm64`);
  const mirrors = await debianMirrors(SUITE);
  const program = [script, engineDir, SUITE, architecture, mirrors.main, mirrors.security];
  const inputs = [process.execPath, npmTarball, String(STALL_LIMIT_MS / 1000)];
  const [command, args] = asRoot('sh', [...program, ...inputs]);
  const build = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  build.stdin.on('error', () => undefined);
  const exited = once(build, 'exit') as Promise<[number | null]>;
  const closed = once(build, 'close');
  closed.catch(() => undefined);
  const report = reportBuild(build.stderr, onProgress, () => build.stdin.end());
  const ending = new AbortController();
  try {
    const imported = importWhenItComes(docker, report.countedOn(build.stdout), ending.signal);
    let hasEngineFailed = false;
    imported.catch(() => {
      hasEngineFailed = true;
      // Nobody takes what it writes any more.
      build.stdin.end();
    });
    const [status] = await exited;
    if (status !== 0 && !hasEngineFailed) {
      const how = report.fellSilent() ? 'stood still for 5 minutes, and was given up' : 'failed';
      throw noImage(
        `building it ${how}. Where Debian's mirror (${mirrors.main}) has faltered, try again. Its last lines:\n` +
          report.lastLines().join('\n'),
      );
    }
    await imported;
  } finally {
    report.stop();
    build.stdin.end();
    // Half an archive could be taken for a whole one; and what nobody reads would never be closed.
    ending.abort();
    build.stdout.destroy();
    await closed;
  }
}

/** Asks the engine only then: it closes a connection on which nothing has come for five minutes, and a build may take longer. */
async function importWhenItComes(docker: Docker, tar: Readable, signal: AbortSignal): Promise<void> {
  await once(tar, 'readable', { signal });
  // At the end of a build that has failed: an image of nothing would be taken for the one that is wanted.
  if (tar.readableLength > 0) await importTar(docker, tar, signal);
}

async function importTar(docker: Docker, tar: Readable, abortSignal: AbortSignal): Promise<void> {
  const [repo, tag] = DEFAULT_IMAGE.split(':');
  const answer = await docker.importImage(tar, {
    abortSignal,
    repo,
    tag,
    changes: [
      'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'ENV LANG=C.UTF-8',
      'WORKDIR /workspace',
      'CMD ["bash"]',
    ],
  });
  await new Promise<void>((resolve, reject) => {
    docker.modem.followProgress(answer, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}

type BuildReport = {
  lastLines(): string[];
  fellSilent(): boolean;
  /** The same stream: as long as the engine takes something of it, the build is not silent, however slow the disk. */
  countedOn(tar: Readable): Readable;
  stop(): void;
};

/** Turns the builder's chatter into a line every few seconds, and ends it when it falls silent. */
function reportBuild(
  output: NodeJS.ReadableStream,
  onProgress: (line: string) => void,
  onSilence: () => void,
): BuildReport {
  const startedAt = Date.now();
  const last: string[] = [];
  let isSilent = false;
  const giveUp = (): void => {
    isSilent = true;
    onSilence();
  };
  // Not waited for: what is still written at the end may have set it once more.
  const silence = setTimeout(giveUp, SILENCE_LIMIT_MS).unref();
  let takenBytes = 0;
  const alive = setInterval(() => {
    const said = last.at(-1)?.replace(/^[A-Z]: /, '') ?? 'working';
    const line = takenBytes === 0 ? said : `${said}: ${Math.round(takenBytes / 1024 ** 2)} MB`;
    onProgress(`  ${Math.round((Date.now() - startedAt) / 1000)} s: ${line.slice(0, 90)}`);
  }, PROGRESS_INTERVAL_MS);
  createInterface({ input: output }).on('line', (line) => {
    silence.refresh();
    if (line.trim() === '') return;
    const step = line.startsWith('step: ') ? line.slice('step: '.length) : null;
    if (step !== null) onProgress(`  ${step} ...`);
    last.push(step ?? line);
    if (last.length > 12) last.shift();
  });
  return {
    lastLines: () => last,
    fellSilent: () => isSilent,
    countedOn: (tar) =>
      tar.pipe(
        new Transform({
          transform: (chunk: Buffer, _encoding, done) => {
            takenBytes += chunk.length;
            silence.refresh();
            done(null, chunk);
          },
        }),
      ),
    stop: () => {
      clearTimeout(silence);
      clearInterval(alive);
    },
  };
}

/** Fetches npm as the user who runs this, whose proxy, registry and certificates are set up. */
async function packNpm(directory: string): Promise<string> {
  const args = ['pack', `npm@${NPM_VERSION}`, '--silent', '--pack-destination', directory];
  const pack = spawn('npm', args, { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] });
  let complaint = '';
  pack.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  const [status] = (await once(pack, 'close')) as [number | null];
  const [file] = await readdir(directory);
  if (status !== 0 || !file) throw noImage(`npm ${NPM_VERSION} cannot be fetched:\n${complaint.trim()}`);
  return join(directory, file);
}

function noImage(reason: string): Error {
  return Object.assign(new Error(`Expected the workspace image ${DEFAULT_IMAGE}, but ${reason}`), {
    code: 'NO_IMAGE',
  });
}
