import { setTimeout as pause } from 'node:timers/promises';
import type { Log } from './log.ts';

/**
 * What was started, to be stopped in the opposite order. All of it together gets one deadline: a part that hangs must
 * not keep the rest from stopping.
 */
export class Closers {
  readonly #closers: { name: string; close: () => Promise<void> | void }[] = [];

  add(name: string, close: () => Promise<void> | void): void {
    this.#closers.push({ name, close });
  }

  /** Stops everything, also what comes after one that fails. @returns the names of those that did not end in time */
  async close(deadlineMs: number, log: Log): Promise<string[]> {
    const deadlineAt = performance.now() + deadlineMs;
    const late: string[] = [];
    for (const { name, close } of this.#closers.splice(0).toReversed()) {
      const givenUp = new AbortController();
      const leftMs = Math.max(deadlineAt - performance.now(), 100);
      const closed = (async () => {
        await close();
        return true;
      })().catch((error: unknown) => {
        log.error({ err: error, part: name }, `${name} did not stop cleanly`);
        return true;
      });
      const inTime = await Promise.race([closed, pause(leftMs, false, { signal: givenUp.signal })]);
      givenUp.abort();
      if (!inTime) late.push(name);
    }
    if (late.length > 0) log.warn({ parts: late }, 'did not stop in time');
    return late;
  }
}
