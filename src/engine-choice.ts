import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connectDocker, type Docker } from './containers/client.ts';
import { defaultEngineDir, ensureEngine, runningEngine } from './embedded/engine.ts';
import type { Log } from './log.ts';

export type ChosenEngine = { docker: Docker; dockerHost: string; close: () => Promise<void> };

/**
 * The Docker Engine this installation works with. What the settings name is used, answering or not; else the engine
 * used before; else whatever `ensureEngine` finds or starts.
 *
 * An installation never changes its engine by itself: after a reboot the machine's own may come up later than the bot,
 * and with another engine every workspace would seem to be lost.
 */
export async function chooseEngine({
  dockerHost,
  dataDir,
  lingerMs,
  log,
}: {
  dockerHost: string | null;
  dataDir: string;
  /** How long an engine of our own outlives the bot, so that a restart finds running commands. */
  lingerMs: number;
  log: Log;
}): Promise<ChosenEngine> {
  const settled = dockerHost ?? (await usedBefore(dataDir));
  if (settled !== null) {
    return { docker: connectDocker(settled), dockerHost: settled, close: () => Promise.resolve() };
  }
  const engine = await ensureEngine({ dockerHost: null, engineDir: defaultEngineDir(), lingerMs, log });
  if (!engine.isOurs) await writeFile(choiceFile(dataDir), `${engine.dockerHost}\n`);
  return {
    docker: connectDocker(engine.dockerHost),
    dockerHost: engine.dockerHost,
    close: () => engine.close(),
  };
}

/** The address of the engine that a start would use, as far as one is set or runs; nothing is started. */
export async function engineInUse({
  dockerHost,
  dataDir,
}: {
  dockerHost: string | null;
  dataDir: string;
}): Promise<string | null> {
  return dockerHost ?? (await usedBefore(dataDir)) ?? runningEngine(defaultEngineDir());
}

const choiceFile = (dataDir: string): string => join(dataDir, 'docker-host');

async function usedBefore(dataDir: string): Promise<string | null> {
  try {
    return (await readFile(choiceFile(dataDir), 'utf8')).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
