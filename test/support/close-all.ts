/**
 * Runs all of them, the last one first, and none twice; also those after one that fails. What one leaves on the engine would
 * be in the way of other tests.
 *
 * @throws the first fault, when all have run
 */
export async function closeAll(closers: (() => unknown)[]): Promise<void> {
  const faults: unknown[] = [];
  for (const close of closers.splice(0).toReversed()) {
    try {
      await close();
    } catch (error) {
      faults.push(error);
    }
  }
  if (faults.length > 0) throw faults[0];
}
