/** What is known of a container that is at rest. */
export type IdleFacts = {
  /** The end of the last command, or the last plain `extend`. */
  lastActivityAt: Date;
  lastCommandAt: Date;
  /** Asked for by `extend 2h`. */
  keepUntil: Date | null;
  /** When its owner was warned in this idle period. */
  warnedAt: Date | null;
  idleTimeoutMs: number;
  gracePeriodMs: number;
};

export type IdleVerdict =
  /** Nothing to do; look again then. */
  | { kind: 'wait'; until: Date }
  | { kind: 'warn'; goesAt: Date; minutesRemaining: number }
  | { kind: 'remove'; idleMinutes: number };

const MINUTE_MS = 60_000;

/**
 * What is to be done about a container at rest. None goes without a warning that is at least the grace period old: where
 * the bot was down, or the clock jumped, the warning comes late and the end with it.
 */
export function idleVerdict(facts: IdleFacts, now: Date): IdleVerdict {
  const endMs = goesAt(facts).getTime();
  const graceMs = graceOf(facts);
  const remove: IdleVerdict = {
    kind: 'remove',
    idleMinutes: Math.max(0, Math.floor((now.getTime() - facts.lastActivityAt.getTime()) / MINUTE_MS)),
  };
  if (graceMs === 0) return now.getTime() >= endMs ? remove : waitUntil(endMs);
  const warnedAtMs = validWarning(facts, endMs, graceMs);
  if (warnedAtMs !== null) {
    const removableMs = Math.max(endMs, warnedAtMs + graceMs);
    return now.getTime() >= removableMs ? remove : waitUntil(removableMs);
  }
  if (now.getTime() < endMs - graceMs) return waitUntil(endMs - graceMs);
  const toldMs = Math.max(endMs, now.getTime() + graceMs);
  const minutesRemaining = Math.max(1, Math.ceil((toldMs - now.getTime()) / MINUTE_MS));
  return { kind: 'warn', goesAt: new Date(toldMs), minutesRemaining };
}

/** When the container goes if nothing happens and a warning was given in time. */
export function goesAt({
  lastActivityAt,
  idleTimeoutMs,
  keepUntil,
}: Pick<IdleFacts, 'lastActivityAt' | 'idleTimeoutMs' | 'keepUntil'>): Date {
  return new Date(Math.max(lastActivityAt.getTime() + idleTimeoutMs, keepUntil?.getTime() ?? 0));
}

/** The same, where a warning came late: nobody loses the time it announced. */
export function endsAt(facts: IdleFacts): Date {
  const endMs = goesAt(facts).getTime();
  const graceMs = graceOf(facts);
  const warnedAtMs = validWarning(facts, endMs, graceMs);
  return new Date(warnedAtMs === null ? endMs : Math.max(endMs, warnedAtMs + graceMs));
}

/** A repository's own setting goes before the user's, the user's before the server's. */
export function effectiveTimeoutMs(
  repositoryMs: number | null,
  userMs: number | null,
  serverMs: number,
): number {
  return repositoryMs ?? userMs ?? serverMs;
}

/** Until when an `extend` keeps a container; without a duration, for one more idle timeout. */
export function extendedUntil({
  now,
  durationMs,
  lastCommandAt,
  idleTimeoutMs,
  capMs,
}: {
  now: Date;
  durationMs: number | null;
  lastCommandAt: Date;
  idleTimeoutMs: number;
  /** How far from the last command any extension may reach. */
  capMs: number;
}): { until: Date; isCapped: boolean } {
  const wantedMs = now.getTime() + (durationMs ?? idleTimeoutMs);
  const mostMs = lastCommandAt.getTime() + capMs;
  return { until: new Date(Math.min(wantedMs, mostMs)), isCapped: wantedMs > mostMs };
}

/** A repository's timeout may be shorter than the server's grace period: there the warning comes at half of it. */
function graceOf({ idleTimeoutMs, gracePeriodMs }: IdleFacts): number {
  return gracePeriodMs < idleTimeoutMs ? gracePeriodMs : Math.floor(idleTimeoutMs / 2);
}

/**
 * The warning that counts. One from before the last activity was about another end, and so was one given much too early
 * for the end as it is now: that was moved since.
 */
function validWarning(
  { warnedAt, lastActivityAt }: IdleFacts,
  endMs: number,
  graceMs: number,
): number | null {
  if (warnedAt === null || warnedAt < lastActivityAt) return null;
  return warnedAt.getTime() < endMs - 2 * graceMs ? null : warnedAt.getTime();
}

const waitUntil = (untilMs: number): IdleVerdict => ({ kind: 'wait', until: new Date(untilMs) });
