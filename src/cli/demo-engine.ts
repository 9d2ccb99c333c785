import type { Config } from '../config.ts';
import { ensureImage } from '../containers/image.ts';
import { defaultEngineDir } from '../embedded/engine.ts';
import { chooseEngine, type ChosenEngine } from '../engine-choice.ts';
import type { Log } from '../log.ts';
import { CliError } from './command.ts';
import { withCauses } from './explain.ts';
import { unlessStopped } from './signals.ts';

/**
 * An engine that answers, with the workspace image. The bot would wait for either for ever; who watches a demo is told
 * what is missing.
 *
 * @param onProgress gets lines that tell how the making of the image goes on
 * @throws {CliError} when the engine does not answer; what `ensureImage` throws; or the reason of `signal`
 */
export async function demoEngine(
  { dockerHost, dataDir, containerImage }: Config,
  { log, signal, onProgress }: { log: Log; signal: AbortSignal; onProgress: (line: string) => void },
): Promise<ChosenEngine> {
  const engine = await chooseEngine({ dockerHost, dataDir, lingerMs: 0, log });
  try {
    await unlessStopped(answering(engine), signal);
    const wanted = { image: containerImage, engineDir: defaultEngineDir(), onProgress };
    await unlessStopped(ensureImage(engine.docker, wanted), signal);
    return engine;
  } catch (error) {
    await engine.close();
    throw error;
  }
}

async function answering({ docker, dockerHost }: ChosenEngine): Promise<void> {
  try {
    await docker.ping();
  } catch (error) {
    throw new CliError(
      `the Docker Engine at ${dockerHost} (DOCKER_HOST) does not answer: ${withCauses(error)}.\n` +
        'Start it, or leave DOCKER_HOST unset: then the local engine is used, or one is started.',
      1,
      { cause: error },
    );
  }
}
