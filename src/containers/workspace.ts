import type Docker from 'dockerode';
import { mendOwner } from './container.ts';
import { ContainersError } from './errors.ts';
import { execText } from './exec.ts';
import { gitConfig } from './git-config.ts';
import { lastWords } from './host-git.ts';
import { asOurs, scripts } from './inside.ts';
import { isDirectoryName } from './script-env.ts';
import { killAll } from './time-limit.ts';

const TIMEOUT_MS = 15 * 60_000;

export type WorkspaceSpec = {
  repositoryName: string;
  /** Without credentials: commands see it. */
  url: string;
  /** `null`: the default branch of the upstream. */
  branch: string | null;
  mirrorPath: string;
  /** The sender: author of what is committed. */
  author: { name: string; address: string };
  /** A repository that has to be cloned is left without files, and not ready: `restoreWorkspace` brings them. */
  holdForRestore?: boolean;
};

/**
 * Makes the workspace of a thread ready for commands: the repository cloned through the mirror, git's settings. What is
 * there already stays as it is, also under a running command; what a crash left half-made is made again.
 *
 * With `holdForRestore`, whoever gets `empty` has to restore; so has who gets `missing`: a command has moved the
 * repository away, or removed it, and what else lies in the workspace stays. Until that has been done as a whole, the next one to
 * prepare the workspace finds it as empty again.
 *
 * @param limits `signal` ends the waiting; after `timeoutMs` every process of the commands in the container is killed
 * @throws {ContainersError} `WORKSPACE` with git's words or for the time it took; `CONTAINER_GONE`,
 *   `DOCKER_UNREACHABLE`, `DOCKER_REFUSED`. Or the reason of `signal`
 */
export async function prepareWorkspace(
  docker: Docker,
  containerId: string,
  spec: WorkspaceSpec,
  { signal, timeoutMs = TIMEOUT_MS }: { signal?: AbortSignal; timeoutMs?: number } = {},
): Promise<'ready' | 'empty' | 'missing'> {
  if (!isDirectoryName(spec.repositoryName)) {
    throw new Error(`Expected the name of a repository, got ${JSON.stringify(spec.repositoryName)}`);
  }
  const env = {
    _THREADBOX_RUN: scripts.prepare,
    _THREADBOX_REPOSITORY: spec.repositoryName,
    _THREADBOX_URL: spec.url,
    _THREADBOX_BRANCH: spec.branch ?? '',
    _THREADBOX_MIRROR: spec.mirrorPath,
    _THREADBOX_GIT_CONFIG: gitConfig(spec),
    _THREADBOX_HOLD: spec.holdForRestore === true ? 'yes' : '',
  };
  const deadline = AbortSignal.timeout(timeoutMs);
  const either = signal ? AbortSignal.any([signal, deadline]) : deadline;
  const prepare = async () => {
    // Not as a run of the scripts in inside/: those are taken for a command that runs.
    const name = 'threadbox-prepare';
    const command = asOurs(name, ['bash', '-c', 'eval "$_THREADBOX_RUN" && printf ready', name]);
    try {
      const { stdout, stderr } = await execText(docker, containerId, { command, env, signal: either });
      either.throwIfAborted();
      return { outcome: stdout, words: lastWords(stderr, null) };
    } catch (error) {
      signal?.throwIfAborted();
      if (!deadline.aborted) throw error;
      await killAll(docker, containerId, { signal }).catch(() => undefined);
      const words = `The workspace cannot be prepared: no end after ${Math.round(timeoutMs / 1000)} s`;
      throw new ContainersError('WORKSPACE', words, { cause: error });
    }
  };
  let { outcome, words } = await prepare();
  if (outcome === 'not-ours') {
    await mendOwner(docker, containerId);
    ({ outcome, words } = await prepare());
  }
  if (outcome === 'ready' || outcome === 'empty' || outcome === 'missing') return outcome;
  if (outcome !== 'not-ours' && words === '') {
    // Every fault of its own has words: it was killed, or its container was.
    throw new ContainersError('CONTAINER_GONE', 'The container went while its workspace was prepared');
  }
  const reason = outcome === 'not-ours' ? '/workspace cannot be written to' : words;
  throw new ContainersError('WORKSPACE', `The workspace cannot be prepared: ${reason}`);
}
