import { setTimeout as pause } from 'node:timers/promises';

/** Pauses grow from the first to the longest, doubled each time. */
export type Pauses = { firstMs: number; longestMs: number };

export const PATIENT: Pauses = { firstMs: 250, longestMs: 30_000 };

/** The pause after a number of failures in a row, with up to a quarter of it at random so that retries spread. */
export function pauseMs(failures: number, { firstMs, longestMs }: Pauses, random = Math.random): number {
  const whole = Math.min(firstMs * 2 ** Math.min(failures - 1, 30), longestMs);
  return Math.round(whole * (0.75 + 0.25 * random()));
}

/**
 * Tries until it succeeds.
 *
 * @throws what `attempt` threw when `isFinal` says that trying again is no use, or an AbortError at the end of `signal`.
 */
export async function retryForEver<T>(
  attempt: () => Promise<T>,
  {
    signal,
    onFailure,
    isFinal = () => false,
    pauses = PATIENT,
  }: {
    signal: AbortSignal;
    onFailure: (error: Error, failures: number) => void;
    isFinal?: (error: Error) => boolean;
    pauses?: Pauses;
  },
): Promise<T> {
  for (let failures = 1; ; failures += 1) {
    signal.throwIfAborted();
    try {
      return await attempt();
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      if (signal.aborted || isFinal(error)) throw error;
      onFailure(error, failures);
      await pause(pauseMs(failures, pauses), undefined, { signal });
    }
  }
}
