import type { ImapFlow } from 'imapflow';

/** What the server tells of its own accord. */
export type News = {
  /**
   * Idles (RFC 2177) until the server announces mail, closes the connection, or the time is over; not at all when it
   * has announced some since the last call.
   *
   * @returns true when mail was announced: only a hint, as is false
   */
  wait: (longestMs: number) => Promise<boolean>;
};

/** After an IDLE that the server ended or refused: soon, but not at once, lest it does so again and again. */
const IDLE_ENDED_PAUSE_MS = 1_000;

/** Listens from now on, also while other commands run. The next command ends the IDLE. */
export function hearNews(client: ImapFlow): News {
  let isNew = false;
  let wake: (() => void) | null = null;
  client.on('exists', () => {
    isNew = true;
    wake?.();
  });
  client.on('close', () => wake?.());

  async function idle(longestMs: number): Promise<void> {
    const { promise: woken, resolve, reject } = Promise.withResolvers<void>();
    wake = resolve;
    let timer = setTimeout(resolve, longestMs);
    const onEnd = (): void => {
      if (wake !== resolve) return;
      clearTimeout(timer);
      timer = setTimeout(resolve, Math.min(IDLE_ENDED_PAUSE_MS, longestMs));
    };
    client.idle().then(onEnd, reject);
    try {
      await woken;
    } finally {
      wake = null;
      clearTimeout(timer);
    }
  }

  return {
    async wait(longestMs) {
      if (!isNew) await idle(longestMs);
      const wasNew = isNew;
      isNew = false;
      return wasNew;
    },
  };
}
