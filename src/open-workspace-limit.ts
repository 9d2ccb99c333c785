import { join } from 'node:path';
import type { ImageReady } from './commands/open-container.ts';
import { ConfigError, type Config } from './config.ts';
import type { Docker } from './containers/client.ts';
import { forgetLostDevices } from './containers/disk-image.ts';
import { chooseWay, LIMIT_WORDS, type WorkspaceLimit } from './containers/workspace-limit.ts';
import type { Log } from './log.ts';
import type { PartState } from './part-state.ts';
import { retryForEver } from './retry.ts';

/** `imageReady` waits for the way as well: before it is known no container may be started. */
type OpenedLimit = { workspaceLimit: WorkspaceLimit; imageReady: ImageReady };

/**
 * Finds the way in which workspaces are kept to their size, and says so in the log. An engine that is away is waited for
 * beside all else: mail is read meanwhile.
 *
 * @throws {ConfigError} when the way that WORKSPACE_LIMIT names cannot be had
 */
export async function openWorkspaceLimit(
  { config, log, signal }: { config: Config; log: Log; signal: AbortSignal },
  { docker, installation, imageMade }: { docker: Docker; installation: string; imageMade: ImageReady },
  part: PartState,
): Promise<OpenedLimit> {
  const imagesDir = join(config.dataDir, 'workspaces', installation);
  const workspaceLimit: WorkspaceLimit = { way: 'measured', imagesDir, log };
  const wanted = config.workspaceLimit;
  const choose = async (): Promise<void> => {
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
  chosen.catch((error: unknown) => {
    if (!signal.aborted) log.error({ err: error }, 'no command can be run');
  });
  const imageReady: ImageReady = async (found) => {
    await chosen;
    await imageMade(found);
  };
  return { workspaceLimit, imageReady };
}
