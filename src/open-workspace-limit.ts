import { join } from 'node:path';
import { ConfigError, type Config } from './config.ts';
import type { Docker } from './containers/client.ts';
import { forgetLostDevices } from './containers/disk-image.ts';
import { chooseWay, LIMIT_WORDS, type WorkspaceLimit } from './containers/workspace-limit.ts';
import type { Log } from './log.ts';
import type { PartState } from './part-state.ts';
import { retryForEver } from './retry.ts';

/**
 * Finds the way in which workspaces are kept to their size, and says so in the log.
 *
 * @throws {ConfigError} when the way that WORKSPACE_LIMIT names cannot be had
 */
export async function openWorkspaceLimit(
  { config, log, signal }: { config: Config; log: Log; signal: AbortSignal },
  { docker, installation }: { docker: Docker; installation: string },
  part: PartState,
): Promise<WorkspaceLimit> {
  const imagesDir = join(config.dataDir, 'workspaces', installation);
  const wanted = config.workspaceLimit;
  const chosen = await retryForEver(() => chooseWay(docker, { wanted, instance: installation, imagesDir }), {
    signal,
    onFailure: (error) => part.isDown(error),
  });
  if (chosen.way === null) {
    throw new ConfigError([`WORKSPACE_LIMIT: ${wanted} cannot be had here: ${chosen.reason}`]);
  }
  const { way, obstacles } = chosen;
  // Devices have other numbers since the machine was started; nobody may be given another's disk.
  if (way === 'image') await forgetLostDevices(imagesDir);
  const said = way === 'off' ? 'workspaces have no limit' : `workspaces are limited ${LIMIT_WORDS[way]}`;
  const facts = { way, sizeBytes: config.workspaceSizeBytes, obstacles };
  if (way === 'quota' || way === 'image') log.info(facts, said);
  else log.warn(facts, `${said}. See docs/security.md`);
  return { way, imagesDir, log };
}
