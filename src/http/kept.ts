type Limits = { leastMs: number; timesAsLong: number; mostMs: number };

/**
 * The same answer for whoever asks again while it is kept: `leastMs`, or `timesAsLong` times what it took to find, and
 * never over `mostMs`. Who asks meanwhile waits for the one that is being looked for. A fault is kept by the same rule: what
 * fails may have cost as much as what does not.
 *
 * @param clock in ms, which only goes forward
 */
export function kept<T>(
  { leastMs, timesAsLong, mostMs }: Limits,
  look: () => Promise<T>,
  clock: () => number = () => performance.now(),
): () => Promise<T> {
  let last: { untilMs: number; value: Promise<T> } | null = null;
  return () => {
    const askedMs = clock();
    if (last && askedMs < last.untilMs) return last.value;
    const asked = { untilMs: Infinity, value: look() };
    last = asked;
    const keep = (): void => {
      const foundMs = clock();
      asked.untilMs = foundMs + Math.min(mostMs, Math.max(leastMs, timesAsLong * (foundMs - askedMs)));
    };
    asked.value.then(keep, keep);
    return asked.value;
  };
}
