import type { ImageReady } from './commands/open-container.ts';
import type { Docker } from './containers/client.ts';
import { ensureImage } from './containers/image.ts';
import { defaultEngineDir } from './embedded/engine.ts';
import type { Log } from './log.ts';
import { watchPart } from './part-state.ts';
import { retryForEver } from './retry.ts';

/** Starts making sure of the image, for ever; who needs it waits. */
export function prepareImage(
  docker: Docker,
  image: string,
  onProgress: (line: string) => void,
  log: Log,
  signal: AbortSignal,
): ImageReady {
  const part = watchPart('the workspace image', log, {
    up: 'is there',
    down: 'cannot be had; trying again until it can',
  });
  const make = async (): Promise<void> => {
    await ensureImage(docker, { image, engineDir: defaultEngineDir(), onProgress });
    part.isUp();
  };
  const pauses = { firstMs: 1_000, longestMs: 60_000 };
  const start = (): Promise<void> => {
    const made = retryForEver(make, { signal, onFailure: (error) => part.isDown(error), pauses });
    // Whoever waits for it gets the fault; at the end of the bot it may be nobody.
    made.catch((error: unknown) => {
      if (!signal.aborted) log.error({ err: error }, 'the workspace image cannot be had');
    });
    return made;
  };
  let ready = start();
  return async ({ isMissing = false } = {}) => {
    await ready;
    if (isMissing) ready = start();
    await ready;
  };
}
