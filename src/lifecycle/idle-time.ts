import type { DueSession } from '../store/sessions.ts';
import { effectiveTimeoutMs, type IdleFacts } from './idle-policy.ts';
import type { LifecycleParts } from './parts.ts';

/** What the idle policy decides from. */
export function idleFacts(session: DueSession, { config }: Pick<LifecycleParts, 'config'>): IdleFacts {
  const { lastActivityAt, lastCommandAt, keepUntil, warnedAt } = session;
  return {
    lastActivityAt,
    lastCommandAt,
    keepUntil,
    warnedAt,
    idleTimeoutMs: timeoutOf(session, config.containerIdleTimeoutMs),
    gracePeriodMs: config.containerGracePeriodMs,
  };
}

/** A repository's own timeout goes before the user's, the user's before the server's. */
export function timeoutOf(
  session: Pick<DueSession, 'repositoryTimeoutMs' | 'userTimeoutMs'>,
  serverMs: number,
): number {
  return effectiveTimeoutMs(session.repositoryTimeoutMs, session.userTimeoutMs, serverMs);
}

export function idleMinutes(session: Pick<DueSession, 'lastActivityAt'>, now: Date): number {
  return Math.max(0, Math.round((now.getTime() - session.lastActivityAt.getTime()) / 60_000));
}
