import { ContainersError } from '../containers/errors.ts';
import { isDatabaseAway, isDatabaseBusy } from '../store/database.ts';
import type { LifecycleParts } from './parts.ts';

/** Says what went wrong: for a part that is away, once for however many it stops. */
export function noteFault(
  { states, log }: Pick<LifecycleParts, 'states' | 'log'>,
  error: unknown,
  words: string,
  facts: Readonly<Record<string, unknown>> = {},
): void {
  if (isUnguarded(error)) return;
  if (isEngineAway(error)) states.docker.isDown(error);
  else if (isStoreAway(error) && !isDatabaseBusy(error)) states.database.isDown(error as Error);
  else log.error({ ...facts, err: error }, words);
}

/** What git or Docker say may sound like a database that is away: "connection closed", "timeout". */
export function isStoreAway(error: unknown): boolean {
  return !(error instanceof ContainersError) && (isDatabaseAway(error) || isDatabaseBusy(error));
}

/** Only a command of the thread can change that, so it need not be tried often. */
export function isRepositoryMissing(error: unknown): boolean {
  return error instanceof ContainersError && error.code === 'REPOSITORY_MISSING';
}

export function isEngineAway(error: unknown): error is ContainersError {
  return error instanceof ContainersError && error.code === 'DOCKER_UNREACHABLE';
}

/** No container is started for now. The guard says so itself. */
export function isUnguarded(error: unknown): error is ContainersError {
  return error instanceof ContainersError && error.code === 'NETWORK_GUARD';
}
