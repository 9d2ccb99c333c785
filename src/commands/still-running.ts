/** How long a command has run, and what its sender knows of that. */
export type LongRun = {
  ranMs: number;
  /** The point of its time that was told last; 0 for none. */
  toldMs: number;
};

/** `firstMs`: 0 when nothing is ever told. */
export type LongRunTimes = { firstMs: number; timeoutMs: number };

/** After one minute the mails come at five, fifteen and so on, three times as far each time. */
const SECOND = 5;
const GROWTH = 3;
const WARNED_BEFORE_MS = 300_000;
const WARNED_SHARE = 0.1;

/**
 * The points in a command's time at which its sender is told that it still runs, in ms from its start. The last one is
 * the warning of the time limit: a tenth of it before the end, and at most five minutes.
 */
export function toldPoints({ firstMs, timeoutMs }: LongRunTimes): number[] {
  if (firstMs === 0) return [];
  const warnedMs = timeoutMs - Math.min(WARNED_BEFORE_MS, timeoutMs * WARNED_SHARE);
  if (warnedMs <= firstMs) return [];
  const points = [firstMs];
  for (let pointMs = firstMs * SECOND; pointMs < warnedMs; pointMs *= GROWTH) points.push(pointMs);
  return [...points, warnedMs];
}

/**
 * What is due now: to tell it, as the mail of the last point that has passed; or to wait for the next one. Points that
 * passed while nobody was there to tell them are told in one mail. null: nothing is left to be told; past the time limit
 * its end is.
 */
export function longRunStep(
  { ranMs, toldMs }: LongRun,
  times: LongRunTimes,
): { tellMs: number; isLast: boolean } | { waitMs: number } | null {
  if (ranMs >= times.timeoutMs) return null;
  const points = toldPoints(times);
  const passed = points.findLast((pointMs) => pointMs <= ranMs && pointMs > toldMs);
  if (passed !== undefined) return { tellMs: passed, isLast: passed === points.at(-1) };
  const next = points.find((pointMs) => pointMs > ranMs && pointMs > toldMs);
  return next === undefined ? null : { waitMs: next - ranMs };
}
