import { usageError } from './command.ts';

export const TIMEOUT_OPTION = {
  timeout: {
    value: 'MINUTES',
    summary: 'how long a container is kept after its last command, or default: as the server is set',
  },
} as const;

const MINUTE_MS = 60_000;
/** As CONTAINER_IDLE_TIMEOUT_MS: a second to a week. */
const LEAST_MS = 1000;
const MOST_MS = 7 * 24 * 60 * MINUTE_MS;

/**
 * @returns null for `default`
 * @throws {CliError}
 */
export function readTimeout(written: string): number | null {
  if (written === 'default') return null;
  const timeoutMs = Math.round(Number(written) * MINUTE_MS);
  if (/^\d+(\.\d+)?$/.test(written) && timeoutMs >= LEAST_MS && timeoutMs <= MOST_MS) return timeoutMs;
  throw usageError(
    `--timeout: expected minutes, as in 120, up to ${MOST_MS / MINUTE_MS}, or default; got ${written}`,
  );
}

/** As a list shows it. */
export function shownTimeout(idleTimeoutMs: number | null): string {
  return idleTimeoutMs === null ? '(default)' : `${Number((idleTimeoutMs / MINUTE_MS).toFixed(2))} min`;
}
