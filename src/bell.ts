export type Bell = {
  ring: () => void;
  /**
   * Waits for a while, or until it is rung; a ring before the waiting counts.
   *
   * @returns true when it was rung
   */
  wait: (longestMs: number) => Promise<boolean>;
};

/** What a loop sleeps by: whoever has work for it rings. */
export function createBell(): Bell {
  let isRung = false;
  let onRing: (() => void) | null = null;
  return {
    ring() {
      isRung = true;
      onRing?.();
    },
    async wait(longestMs) {
      if (!isRung) {
        const { promise, resolve } = Promise.withResolvers<void>();
        const timer = setTimeout(resolve, longestMs);
        onRing = resolve;
        await promise;
        clearTimeout(timer);
        onRing = null;
      }
      const wasRung = isRung;
      isRung = false;
      return wasRung;
    },
  };
}
