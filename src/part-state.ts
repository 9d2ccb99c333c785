import type { Log } from './log.ts';

/** One part the bot depends on (IMAP, SMTP, PostgreSQL, Redis, Docker), and whether it answers. */
export type PartState = {
  isUp: () => void;
  isDown: (error: Error) => void;
};

/** Says in the log when a part goes and when it comes back: once for each change, however often it is tried. */
export function watchPart(
  name: string,
  log: Log,
  words = { up: 'answers', down: 'does not answer; trying again until it does' },
): PartState {
  let state: 'unknown' | 'up' | 'down' = 'unknown';
  return {
    isUp() {
      if (state === 'up') return;
      if (state === 'down') log.info({ part: name }, `${name} ${words.up} again`);
      else log.debug({ part: name }, `${name} ${words.up}`);
      state = 'up';
    },
    isDown(error) {
      if (state === 'down') return;
      state = 'down';
      log.warn({ part: name, reason: error.message }, `${name} ${words.down}`);
    },
  };
}
