import { watchWorkspace, type Oversize } from '../containers/workspace-watch.ts';
import type { Config } from '../config.ts';
import type { Repository } from '../store/repositories.ts';
import type { ContainerParts } from './open-container.ts';

type Watched = {
  /** @param run gets what ends its command: `cancelled`, or what it adds to its workspace */
  run: <Result>(
    containerId: string,
    cancelled: AbortSignal,
    run: (stopped: AbortSignal) => Promise<Result>,
  ) => Promise<Result>;
  /** What the last look at the end of one has found. */
  oversize: () => Oversize | null;
};

/** Looks at the workspace of commands of a repository while they run, where nothing else keeps it to its size. */
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
    async run(containerId, cancelled, run) {
      if (workspaceLimit.way !== 'measured') return run(cancelled);
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
