import { join } from 'node:path';
import type { ImageReady } from './commands/open-container.ts';
import { ConfigError, type Config } from './config.ts';
import type { Docker } from './containers/client.ts';
import { forgetLostDevices } from './containers/disk-image.ts';
import { DIRECT, helperTools, TOOLS_WORDS } from './containers/disk-tools.ts';
import { engineFacts, runtimeFault } from './containers/engine-facts.ts';
import { ContainersError } from './containers/errors.ts';
import { isPresent } from './containers/image.ts';
import { chooseWay, isNoAnswer, LIMIT_WORDS, type WorkspaceLimit } from './containers/workspace-limit.ts';
import { writeLimitNote } from './limit-note.ts';
import type { Log } from './log.ts';
import type { PartState } from './part-state.ts';
import { retryForEver } from './retry.ts';

type EngineConfig = Pick<
  Config,
  'containerRuntime' | 'dataDir' | 'guardImage' | 'workspaceLimit' | 'workspaceSizeBytes'
>;

/**
 * `imageReady` waits for the way as well: before it is known no container may be started. It throws why, where it could not be
 * found the last time.
 */
type OpenedLimit = {
  workspaceLimit: WorkspaceLimit;
  imageReady: ImageReady;
  /** Why no command can be run, as far as that was found out. */
  fault: () => Error | null;
};

/**
 * Finds the way in which workspaces are kept to their size, and says so in the log; and sees that the engine has the runtime
 * that is set. An engine that is away is waited for beside all else: mail is read meanwhile. So is the image of the helper container, where one is needed.
 *
 * @throws {ConfigError} when the way that WORKSPACE_LIMIT names cannot be had, nor CONTAINER_RUNTIME
 */
export async function openWorkspaceLimit(
  { config, log, signal }: { config: EngineConfig; log: Log; signal: AbortSignal },
  {
    docker,
    installation,
    imageMade,
    now,
  }: { docker: Docker; installation: string; imageMade: ImageReady; now: () => Date },
  part: PartState,
): Promise<OpenedLimit> {
  const imagesDir = join(config.dataDir, 'workspaces', installation);
  const { workspaceLimit: wanted, guardImage: image } = config;
  const isRoot = process.getuid?.() === 0;
  const tools = isRoot ? DIRECT : helperTools(docker, { image, instance: installation });
  // Until it is known, for commands in containers that are there.
  const way = wanted === 'off' ? 'off' : 'measured';
  const workspaceLimit: WorkspaceLimit = { way, imagesDir, tools, log };
  const choose = async (imageReady: () => Promise<void>): Promise<void> => {
    await checkRuntime(docker, config.containerRuntime);
    const helper = { image, imageReady };
    const chosen = await chooseWay(docker, { wanted, instance: installation, imagesDir, helper, now });
    if (chosen.way === null) {
      throw new ConfigError([`WORKSPACE_LIMIT: ${wanted} cannot be had here: ${chosen.reason}`]);
    }
    const { way, obstacles } = chosen;
    // Devices have other numbers since the machine was started; nobody may be given another's disk.
    if (way === 'image') await forgetLostDevices(imagesDir, chosen.tools);
    Object.assign(workspaceLimit, { way, tools: chosen.tools });
    await writeLimitNote(config.dataDir, { way, obstacles, at: now() }).catch((error: unknown) =>
      log.warn({ err: error }, 'the doctor cannot be told how workspaces are limited'),
    );
    tell(log, { way, tools: chosen.tools.way, sizeBytes: config.workspaceSizeBytes, obstacles });
  };
  let fault: Error | null = null;
  const onFailure = (error: Error): void => {
    fault = error;
    part.isDown(error);
  };
  try {
    await choose(async () => {
      if (!(await isPresent(docker, image)))
        throw new ContainersError('IMAGE_MISSING', `no image ${image} yet`);
    });
    return { workspaceLimit, imageReady: imageMade, fault: () => null };
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    if ((error as { code?: string }).code !== 'IMAGE_MISSING') onFailure(error as Error);
  }
  const chosen = retryForEver(
    async () => {
      await choose(imageMade);
      fault = null;
    },
    { signal, onFailure, isFinal: (error) => error instanceof ConfigError },
  );
  // Whoever waits for it gets the fault; at the end of the bot it may be nobody.
  chosen.then(
    () => part.isUp(),
    (error: unknown) => {
      fault = error as Error;
      if (!signal.aborted) log.error({ err: error }, `no command can be run: ${(error as Error).message}`);
    },
  );
  const imageReady: ImageReady = async (found) => {
    // Who waits for a command hears why, and waits on where it is tried again: a disk that was full may have room long since.
    if (fault !== null && isNoAnswer(fault))
      throw new ContainersError('DOCKER_UNREACHABLE', fault.message, { cause: fault });
    if (fault !== null) throw fault;
    await chosen;
    await imageMade(found);
  };
  return { workspaceLimit, imageReady, fault: () => fault };
}

async function checkRuntime(docker: Docker, wanted: string | null): Promise<void> {
  if (wanted === null) return;
  const fault = runtimeFault(wanted, (await engineFacts(docker)).runtimes);
  if (fault !== null) throw new ConfigError([fault]);
}

function tell(
  log: Log,
  facts: { way: keyof typeof LIMIT_WORDS; tools: keyof typeof TOOLS_WORDS } & Record<string, unknown>,
): void {
  const { way, tools, ...rest } = facts;
  const how = way === 'image' ? `, ${TOOLS_WORDS[tools]}` : '';
  const said =
    way === 'off' ? 'workspaces have no limit' : `workspaces are limited ${LIMIT_WORDS[way]}${how}`;
  if (way === 'quota' || way === 'image') log.info({ way, ...rest }, said);
  else log.warn({ way, ...rest }, `${said}. See docs/security.md`);
}
