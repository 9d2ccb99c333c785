import { setTimeout as pause } from 'node:timers/promises';
import type { Log } from '../log.ts';
import { watchPart } from '../part-state.ts';
import { pauseMs, retryForEver, type Pauses } from '../retry.ts';
import type { Server } from './server-process.ts';

export type Kept = { close: () => Promise<void> };

const PAUSES: Pauses = { firstMs: 100, longestMs: 30_000 };
/** One that lived this long did not end because of how it was started. */
const STABLE_MS = 60_000;

/**
 * Starts a server, and starts it again whenever it ends by itself, after pauses that grow.
 *
 * @throws what the first start throws
 */
export async function keepRunning(
  name: string,
  start: (signal: AbortSignal) => Promise<Server>,
  log: Log,
): Promise<Kept> {
  const stopping = new AbortController();
  const { signal } = stopping;
  const part = watchPart(name, log);
  let server = await start(signal);

  async function keep(): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      const startedAt = performance.now();
      const how = await server.ended;
      if (signal.aborted) return;
      part.isDown(new Error(how));
      failures = performance.now() - startedAt > STABLE_MS ? 1 : failures + 1;
      await pause(pauseMs(failures, PAUSES), undefined, { signal });
      server = await retryForEver(() => start(signal), {
        signal,
        onFailure: (error) => part.isDown(error),
        pauses: PAUSES,
      });
      part.isUp();
    }
  }
  const kept = keep().catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
  return {
    async close() {
      stopping.abort();
      await server.stop();
      await kept;
      // It may have been started again in the very moment.
      await server.stop();
    },
  };
}
