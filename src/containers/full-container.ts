import { setTimeout as pause } from 'node:timers/promises';
import type Docker from 'dockerode';

/** Between two looks, and for each. */
const LOOK_MS = 1000;
const NEAR_LIMIT = 0.9;

/**
 * Whether nearly as many processes run in a container as may: then to begin another takes long, where it can be done, as all
 * of them want its CPU. The engine counts them without beginning one. False where it does not say.
 *
 * @throws the reason of `signal`
 */
export async function isFull(docker: Docker, containerId: string, signal: AbortSignal): Promise<boolean> {
  const abortSignal = AbortSignal.any([signal, AbortSignal.timeout(LOOK_MS)]);
  try {
    const asking = { stream: false, 'one-shot': true, abortSignal } as const;
    const stats = await docker.getContainer(containerId).stats(asking);
    return isNearLimit((stats as Partial<Docker.ContainerStats>).pids_stats);
  } catch {
    signal.throwIfAborted();
    return false;
  }
}

/** @param pids a part of what the engine says of a container (API 1.41, ContainerStats); no limit, or 0, is none */
export function isNearLimit(pids: { current?: number; limit?: number } | undefined): boolean {
  const { current = 0, limit = 0 } = pids ?? {};
  return limit > 0 && current >= limit * NEAR_LIMIT;
}

/**
 * Waits, unless a command leaves no room for what is waited for: it has filled its container at so many looks in a row.
 *
 * @returns whether it has
 * @throws the reason of `signal`
 */
export async function waitUnlessFull(
  docker: Docker,
  containerId: string,
  { forMs, signal, looks = 2 }: { forMs: number; signal: AbortSignal; looks?: number },
): Promise<boolean> {
  const endMs = performance.now() + forMs;
  for (let full = 0; full < looks;) {
    const leftMs = endMs - performance.now();
    await pause(Math.max(0, Math.min(LOOK_MS, leftMs)), undefined, { signal });
    if (leftMs <= LOOK_MS) return false;
    full = (await isFull(docker, containerId, signal)) ? full + 1 : 0;
  }
  return true;
}
