import { MOST_AT_ONCE } from './fetch-messages.ts';

/** Mails that were asked for when the connection failed, the first of them so often in a row. */
export type Obstacle = { uidValidity: number; firstUid: number; lastUid: number; failures: number };

/** What to ask for next, and how much of it. */
export type Portion = { uids: number[]; what: 'whole' | 'headers' | 'nothing' };

/** With the growing pauses between them: for half a minute. */
const TRIES_WHOLE = 5;
const TRIES_HEADERS = 2;

/** What stands in the way after a failure while these mails, and no others, were asked for. */
export function afterFailure(
  obstacle: Obstacle | null,
  uidValidity: number,
  asked: readonly number[],
): Obstacle | null {
  const [firstUid] = asked;
  if (firstUid === undefined) return obstacle;
  const before = obstacle?.uidValidity === uidValidity ? obstacle : null;
  const failures = before?.firstUid === firstUid ? before.failures + 1 : 1;
  const lastUid = Math.max(asked.at(-1) ?? firstUid, before?.lastUid ?? 0);
  return { uidValidity, firstUid, lastUid, failures };
}

/**
 * The next of these mails to ask for. One mail that a server cannot send must not keep all later ones from being read:
 * in the way of an obstacle they are asked for one by one, and the one that fails again and again is given up in steps.
 */
export function nextPortion(uids: readonly number[], obstacle: Obstacle | null): Portion {
  const [uid] = uids;
  if (uid === undefined || !obstacle || uid > obstacle.lastUid) {
    return { uids: uids.slice(0, MOST_AT_ONCE), what: 'whole' };
  }
  const failures = uid === obstacle.firstUid ? obstacle.failures : 0;
  if (failures < TRIES_WHOLE) return { uids: [uid], what: 'whole' };
  return { uids: [uid], what: failures < TRIES_WHOLE + TRIES_HEADERS ? 'headers' : 'nothing' };
}
