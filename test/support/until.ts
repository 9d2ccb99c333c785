import { setTimeout as pause } from 'node:timers/promises';

/**
 * The first value that is neither undefined, null nor false, looked for often.
 *
 * @throws when there is none within `timeoutMs`
 */
export async function until<T>(
  look: () => Promise<T | undefined | null | false> | T | undefined | null | false,
  timeoutMs = 20_000,
): Promise<T> {
  const deadlineAt = performance.now() + timeoutMs;
  for (;;) {
    const value = await look();
    if (value !== undefined && value !== null && value !== false) return value;
    if (performance.now() > deadlineAt) throw new Error(`not within ${timeoutMs} ms: ${look.toString()}`);
    await pause(20);
  }
}
