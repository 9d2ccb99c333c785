import { join } from 'node:path';
import type { ImageReady } from './commands/open-container.ts';
import { ConfigError, type Config } from './config.ts';
import type { Docker } from './containers/client.ts';
import { forgetLostDevices } from './containers/disk-image.ts';
import { engineFacts, runtimeFault } from './containers/engine-facts.ts';
import { chooseWay, LIMIT_WORDS, type WorkspaceLimit } from './containers/workspace-limit.ts';
import type { Log } from './log.ts';
import type { PartState } from './part-state.ts';
import { retryForEver } from './retry.ts';

type EngineConfig = Pick<Config, 'containerRuntime' | 'dataDir' | 'workspaceLimit' | 'workspaceSizeBytes'>;

/** `imageReady` waits for the way as well: before it is known no container may be started. */
type OpenedLimit = { workspaceLimit: WorkspaceLimit; imageReady: ImageReady };

/**
 * Finds the way in which workspaces are kept to their size, and says so in the log; and sees that the engine has the runtime
 * that is set. An engine that is away is waited for beside all else: mail is read meanwhile.
 *
 * @throws {ConfigError} when the way that WORKSPACE_LIMIT names cannot be had, nor CONTAINER_RUNTIME
 */
export async function openWorkspaceLimit(
  { config, log, signal }: { config: EngineConfig; log: Log; signal: AbortSignal },
  { docker, installation, imageMade }: { docker: Docker; installation: string; imageMade: ImageReady },
  part: PartState,
): Promise<OpenedLimit> {
  const imagesDir = join(config.dataDir, 'workspaces', installation);
  const wanted = config.workspaceLimit;
  // Until it is known, for commands in containers that are there.
  const workspaceLimit: WorkspaceLimit = { way: wanted === 'off' ? 'off' : 'measured', imagesDir, log };
  const choose = async (): Promise<void> => {
    if (config.containerRuntime !== null) {
      const { runtimes } = await engineFacts(docker);
      const fault = runtimeFault(config.containerRuntime, runtimes);
      if (fault !== null) throw new ConfigError([fault]);
    }
    const chosen = await chooseWay(docker, { wanted, instance: installation, imagesDir });
    if (chosen.way === null) {
      throw new ConfigError([`WORKSPACE_LIMIT: ${wanted} cannot be had here: ${chosen.reason}`]);
    }
    const { way, obstacles } = chosen;
    // Devices have other numbers since the machine was started; nobody may be given another's disk.
    if (way === 'image') await forgetLostDevices(imagesDir);
    workspaceLimit.way = way;
    const said = way === 'off' ? 'workspaces have no limit' : `workspaces are limited ${LIMIT_WORDS[way]}`;
    const facts = { way, sizeBytes: config.workspaceSizeBytes, obstacles };
    if (way === 'quota' || way === 'image') log.info(facts, said);
    else log.warn(facts, `${said}. See docs/security.md`);
  };
  try {
    await choose();
    return { workspaceLimit, imageReady: imageMade };
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    part.isDown(error as Error);
  }
  const chosen = retryForEver(choose, {
    signal,
    onFailure: (error) => part.isDown(error),
    isFinal: (error) => error instanceof ConfigError,
  });
  // Whoever waits for it gets the fault; at the end of the bot it may be nobody.
  chosen.then(
    () => part.isUp(),
    (error: unknown) => {
      if (!signal.aborted) log.error({ err: error }, 'no command can be run');
    },
  );
  const imageReady: ImageReady = async (found) => {
    await chosen;
    await imageMade(found);
  };
  return { workspaceLimit, imageReady };
}
