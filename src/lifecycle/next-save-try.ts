import { isEngineAway, isRepositoryMissing, isUnguarded } from './part-faults.ts';

const FIRST_RETRY_MS = 60_000;
const LONGEST_RETRY_MS = 3600_000;
const MISSING_RETRY_MS = 24 * 3600_000;

/**
 * When work that could not be saved is tried again. What is too large, say, is found out only while it is carried, and
 * others wait meanwhile: so the pauses grow. Docker may be back in a moment.
 *
 * @param failures in a row before this one
 */
export function nextSaveTry(error: unknown, failures: number, now: Date): Date {
  const growingMs = Math.min(FIRST_RETRY_MS * 2 ** failures, LONGEST_RETRY_MS);
  const isAway = isEngineAway(error) || isUnguarded(error);
  const pauseMs = isAway ? FIRST_RETRY_MS : isRepositoryMissing(error) ? MISSING_RETRY_MS : growingMs;
  return new Date(now.getTime() + pauseMs);
}
