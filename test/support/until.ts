import { setTimeout as pause } from 'node:timers/promises';

/** Far beyond what anything takes, on a machine that has much else to do, too. */
export const LONGEST_WAIT_MS = 150_000;
const LEAST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 250;

/**
 * The first value that is neither undefined, null nor false, looked for often; but no more than a ninth of the time while a
 * look takes up to a thirtieth of a second, and every quarter of a second where it takes longer: so who looks into a database, a
 * container or a mailbox slows down little what is waited for, and less where the machine has much to do. What was waited for
 * long is found a twentieth of that later: four files that look ten times a second would take a tenth of the machine.
 *
 * @throws when there is none within `timeoutMs`
 */
export async function until<T>(
  look: () => Promise<T | undefined | null | false> | T | undefined | null | false,
  timeoutMs = LONGEST_WAIT_MS,
): Promise<T> {
  const begunAt = performance.now();
  const deadlineAt = begunAt + timeoutMs;
  for (;;) {
    const startedAt = performance.now();
    const value = await look();
    if (value !== undefined && value !== null && value !== false) return value;
    const endedAt = performance.now();
    if (endedAt > deadlineAt) throw new Error(`not within ${timeoutMs} ms: ${look.toString()}`);
    const pauseMs = Math.max(LEAST_PAUSE_MS, 8 * (endedAt - startedAt), (endedAt - begunAt) / 20);
    await pause(Math.min(pauseMs, LONGEST_PAUSE_MS));
  }
}
