import { setTimeout as pause } from 'node:timers/promises';

const LEAST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 250;

/**
 * The first value that is neither undefined, null nor false, looked for often; but no more than a third of the time while a
 * look takes up to an eighth of a second, and every quarter of a second where it takes longer: so who looks into a container
 * or a mailbox slows down little what is waited for.
 *
 * @throws when there is none within `timeoutMs`
 */
export async function until<T>(
  look: () => Promise<T | undefined | null | false> | T | undefined | null | false,
  timeoutMs = 20_000,
): Promise<T> {
  const deadlineAt = performance.now() + timeoutMs;
  for (;;) {
    const startedAt = performance.now();
    const value = await look();
    if (value !== undefined && value !== null && value !== false) return value;
    const endedAt = performance.now();
    if (endedAt > deadlineAt) throw new Error(`not within ${timeoutMs} ms: ${look.toString()}`);
    await pause(Math.min(Math.max(LEAST_PAUSE_MS, 2 * (endedAt - startedAt)), LONGEST_PAUSE_MS));
  }
}
