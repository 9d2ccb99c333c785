import { removeAskedQueries, removeOutputs } from '../store/retention.ts';
import type { LifecycleParts } from './parts.ts';

const DAY_MS = 86_400_000;
/** An output can have megabytes: a transaction that removes it is short. */
const PORTION = 100;
/** In one sweep: what a shorter time has made many goes in several. */
const MOST_PORTIONS = 20;

/** Removes what is only kept for so long to be looked at: outputs of commands, and the record of admins' queries. */
export async function removeOld({
  db,
  now,
  config,
  signal,
  log,
}: Pick<LifecycleParts, 'db' | 'now' | 'config' | 'signal' | 'log'>): Promise<void> {
  const before = (days: number): Date => new Date(now().getTime() - days * DAY_MS);
  const kinds = [
    ['outputs of commands', removeOutputs, before(config.outputKeptDays)],
    ['recorded queries of admins', removeAskedQueries, before(config.auditKeptDays)],
  ] as const;
  for (const [what, remove, moment] of kinds) {
    let count = 0;
    for (let portion = 0; portion < MOST_PORTIONS; portion += 1) {
      signal.throwIfAborted();
      const removed = await remove(db, moment, PORTION);
      count += removed;
      if (removed === 0) break;
    }
    if (count > 0) log.info({ count, before: moment }, `old ${what} were removed`);
  }
}
