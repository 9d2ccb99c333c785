import { watchWorkspace, type Oversize } from '../containers/workspace-watch.ts';
import { isLimited } from '../containers/workspace-volume.ts';
import type { Config } from '../config.ts';
import type { Repository } from '../store/repositories.ts';
import type { Session } from '../store/sessions.ts';
import type { ContainerParts } from './open-container.ts';

type Watched = {
  /** @param run gets what ends its command: `cancelled`, or what it adds to its workspace */
  run: <Result>(
    session: Pick<Session, 'containerId' | 'volumeName'>,
    cancelled: AbortSignal,
    run: (stopped: AbortSignal) => Promise<Result>,
  ) => Promise<Result>;
  /** What the last look at the end of one has found. */
  oversize: () => Oversize | null;
};

/**
 * Looks at the workspace of commands of a repository while they run, where nothing else keeps it to its size: that depends on
 * how its volume was made, not on how one would be made now.
 */
export function watchedIn(
  {
    docker,
    signal,
    workspaceLimit,
    config,
  }: Pick<ContainerParts, 'docker' | 'signal' | 'workspaceLimit'> & {
    config: Pick<Config, 'workspaceSizeBytes'>;
  },
  repository: Pick<Repository, 'workspaceBytes'>,
): Watched {
  let oversize: Oversize | null = null;
  return {
    oversize: () => oversize,
    async run({ containerId, volumeName }, cancelled, run) {
      if (workspaceLimit.way === 'off' || (await isLimited(docker, volumeName))) return run(cancelled);
      const maxBytes = repository.workspaceBytes ?? config.workspaceSizeBytes;
      const watch = watchWorkspace(docker, containerId, { maxBytes, signal });
      try {
        return await run(AbortSignal.any([cancelled, watch.outgrown]));
      } finally {
        oversize = await watch.finish();
      }
    },
  };
}
