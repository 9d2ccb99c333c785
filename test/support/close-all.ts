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

/**
 * Closes what a beginning that failed has made.
 *
 * @throws always: the fault it failed by, with that of the closing beside it, if there is one
 */
export async function closeAfter(fault: unknown, close: () => Promise<void>): Promise<never> {
  try {
    await close();
  } catch (another) {
    const texts = [fault, another].map((error) => (error instanceof Error ? error.message : String(error)));
    throw new AggregateError([fault, another], texts.join('\nand then, when it was closed: '), {
      cause: another,
    });
  }
  throw fault;
}
