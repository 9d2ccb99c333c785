import type Docker from 'dockerode';
import { mendOwner } from './container.ts';
import { ContainersError } from './errors.ts';
import { execText } from './exec.ts';
import { gitConfig } from './git-config.ts';
import { lastWords } from './host-git.ts';
import { scripts } from './inside.ts';
import { isDirectoryName } from './script-env.ts';

export type WorkspaceSpec = {
  repositoryName: string;
  /** Without credentials: commands see it. */
  url: string;
  /** `null`: the default branch of the upstream. */
  branch: string | null;
  mirrorPath: string;
  /** The sender: author of what is committed. */
  author: { name: string; address: string };
};

/**
 * Makes the workspace of a thread ready for commands: the repository cloned through the mirror, git's settings. What is
 * there already stays as it is, also under a running command; what a crash left half-made is made again.
 *
 * @throws {ContainersError} `WORKSPACE` with git's words; `CONTAINER_GONE`, `DOCKER_UNREACHABLE`, `DOCKER_REFUSED`
 */
export async function prepareWorkspace(
  docker: Docker,
  container: string | { id: string },
  spec: WorkspaceSpec,
): Promise<void> {
  const containerId = typeof container === 'string' ? container : container.id;
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
  };
  const prepare = async () => {
    // Not as a run of the scripts in inside/: those are taken for a command that runs.
    const command = ['bash', '-c', 'eval "$_THREADBOX_RUN" && printf ready', 'threadbox-prepare'];
    const { stdout, stderr } = await execText(docker, containerId, { command, env });
    return { outcome: stdout, words: lastWords(stderr, null) };
  };
  let { outcome, words } = await prepare();
  if (outcome === 'not-ours') {
    await mendOwner(docker, containerId);
    ({ outcome, words } = await prepare());
  }
  if (outcome === 'ready') return;
  const reason = outcome === 'not-ours' ? '/workspace cannot be written to' : words || 'it broke off';
  throw new ContainersError('WORKSPACE', `The workspace cannot be prepared: ${reason}`);
}
