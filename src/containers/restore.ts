import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type Docker from 'dockerode';
import { ContainersError } from './errors.ts';
import { startScript } from './exec-input.ts';
import { readFrames } from './exec.ts';
import { lastWords } from './host-git.ts';
import { scripts } from './inside.ts';
import { refOf, savedCommit } from './saves-store.ts';
import { isDirectoryName } from './script-env.ts';
import { startStoreGit, storeGit } from './store-git.ts';

export type RestoreRequest = {
  storePath: string;
  mirrorPath: string;
  repositoryName: string;
  savedStateId: number;
  signal: AbortSignal;
  timeoutMs?: number;
};

export type RestoredWork = {
  /** In which the work differs from the repository as it is upstream. */
  filesRestored: number;
  /** What had not been saved, in words. */
  notes: string[];
};

const TIMEOUT_MS = 15 * 60_000;
const MAX_TEXT_BYTES = 64 * 1024;

/**
 * Puts a saved state into a workspace for which `prepareWorkspace` said `empty`. Only when it returns is the workspace
 * ready; whatever happens before, preparing it makes it empty again.
 *
 * @throws {ContainersError} `RESTORE_FAILED` with the reason in words; `CONTAINER_GONE`, `DOCKER_UNREACHABLE`,
 *   `DOCKER_REFUSED`. Or the reason of `signal`
 */
export async function restoreWorkspace(
  docker: Docker,
  containerId: string,
  request: RestoreRequest,
): Promise<RestoredWork> {
  if (!isDirectoryName(request.repositoryName)) {
    throw new Error(`Expected the name of a repository, got ${JSON.stringify(request.repositoryName)}`);
  }
  const { timeoutMs = TIMEOUT_MS } = request;
  const deadline = AbortSignal.timeout(timeoutMs);
  const signal = AbortSignal.any([request.signal, deadline]);
  try {
    return await restore(docker, containerId, { ...request, timeoutMs, signal });
  } catch (error) {
    request.signal.throwIfAborted();
    if (deadline.aborted) throw failed(`no end after ${Math.round(timeoutMs / 1000)} s`, error);
    if (error instanceof ContainersError) throw error;
    throw failed(error instanceof Error ? error.message : String(error), error);
  }
}

async function restore(
  docker: Docker,
  containerId: string,
  request: RestoreRequest & { timeoutMs: number },
): Promise<RestoredWork> {
  const { storePath, mirrorPath, savedStateId, signal, timeoutMs } = request;
  const snapshot = await savedCommit(storePath, refOf(savedStateId));
  if (snapshot === null) throw failed('there is no such saved state');
  const stream = await startScript(docker, containerId, {
    name: 'threadbox-restore',
    script: scripts.restore,
    env: {
      _THREADBOX_REPOSITORY: request.repositoryName,
      _THREADBOX_MIRROR: mirrorPath,
      _THREADBOX_SAVE: snapshot,
    },
    timeoutMs,
    signal,
  });
  stream.on('error', () => undefined);
  const abort = () => stream.destroy();
  signal.addEventListener('abort', abort, { once: true });
  try {
    const sending = send(stream, { storePath, mirrorPath, snapshot, signal });
    const [{ stdout, stderr }, fault] = await Promise.all([
      readText(stream),
      sending.then(
        () => null,
        (error: unknown) => error,
      ),
    ]);
    const lines = stdout.split('\n');
    if (lines.pop() !== 'done') throw failed(lastWords(stderr, null) || 'the connection broke', fault);
    const files = Number(/^files (\d{1,9})$/.exec(lines.shift() ?? '')?.[1] ?? 0);
    const notes = lines.map((line) => line.replaceAll(/\p{Cc}/gu, '').slice(0, 300));
    return { filesRestored: files, notes: notes.filter((line) => line !== '') };
  } finally {
    signal.removeEventListener('abort', abort);
    stream.destroy();
  }
}

/** What the mirror has, which the container sees as well, stays where it is. */
async function send(
  stream: Duplex,
  {
    storePath,
    mirrorPath,
    snapshot,
    signal,
  }: { storePath: string; mirrorPath: string; snapshot: string; signal: AbortSignal },
): Promise<void> {
  const known = await storeGit(['--git-dir', mirrorPath, 'for-each-ref', '--format=%(objectname)'], {
    signal,
  });
  const args = [
    'pack-objects',
    '-q',
    '--revs',
    '--no-sparse',
    '--window=0',
    '--stdout',
    '--delta-base-offset',
  ];
  const packing = startStoreGit(['--git-dir', storePath, ...args], { signal });
  packing.stdin.end(`${snapshot}\n--not\n${known.toString()}`);
  try {
    await pipeline(packing.stdout, stream, { end: false });
    await packing.ended;
  } catch (error) {
    // Nobody takes the rest.
    packing.stdout.destroy();
    stream.destroy();
    throw error;
  }
}

async function readText(stream: Duplex): Promise<{ stdout: string; stderr: string }> {
  const texts = { stdout: '', stderr: '' };
  let passedBytes = 0;
  try {
    for await (const { isError, data } of readFrames(stream)) {
      const name = isError ? 'stderr' : 'stdout';
      if (texts[name].length < MAX_TEXT_BYTES) texts[name] += data.toString();
      // No script of ours says so much: somebody else writes there.
      else if ((passedBytes += data.length) > MAX_TEXT_BYTES) break;
    }
  } catch {
    // The connection broke: the last word is missing, and that is told.
  }
  return texts;
}

function failed(words: string, cause?: unknown): ContainersError {
  return new ContainersError('RESTORE_FAILED', `The saved state could not be restored: ${words}`, { cause });
}
