import { setTimeout as pause } from 'node:timers/promises';
import type Docker from 'dockerode';

/** A command that is done before costs nothing. */
const LOOK_MS = 10_000;

/**
 * Looks now and then whether a container still runs while one waits for what a process in it says: an engine may leave
 * that stream open for ever when the container has ended, as Docker 20.10 was seen to do with gVisor.
 *
 * @param onEnd is called with each look that finds it ended
 */
export function watchForEnd(
  docker: Docker,
  containerId: string,
  onEnd: () => void,
  everyMs = LOOK_MS,
): { close: () => Promise<void> } {
  const closing = new AbortController();
  const { signal } = closing;
  async function watch(): Promise<void> {
    for (;;) {
      await pause(everyMs, undefined, { signal });
      if (!(await isRunning())) onEnd();
    }
  }
  /** An engine that does not answer now may do so at the next look; one that has no such container ends the stream itself. */
  const isRunning = (): Promise<boolean> =>
    docker
      .getContainer(containerId)
      .inspect({ abortSignal: signal })
      .then(
        ({ State }) => State.Running,
        () => true,
      );
  const watching = watch().catch(() => undefined);
  return {
    async close() {
      closing.abort();
      await watching;
    },
  };
}
