import type Docker from 'dockerode';
import { engineError, statusOf } from './errors.ts';

/** What a container takes now, beside what it may. */
export type Usage = {
  memoryBytes: number;
  memoryLimitBytes: number;
  /** Of one CPU: 1 is a CPU that never rests. null at the first look: it takes two. */
  cpus: number | null;
  cpuLimit: number;
  processes: number;
  processLimit: number;
};

/** A part of what the engine says of a container (API 1.41, ContainerStats). */
export type Stats = {
  memory_stats?: { usage?: number; stats?: { inactive_file?: number; total_inactive_file?: number } };
  cpu_stats?: { cpu_usage?: { total_usage?: number } };
  pids_stats?: { current?: number };
};

/** What a container was made with (ContainerInspect, `HostConfig`). */
export type Allowed = Pick<Docker.HostConfig, 'Memory' | 'NanoCpus' | 'PidsLimit'>;

type Seen = { cpuNs: number; atMs: number };

const MOST_SEEN = 1_000;
const seen = new Map<string, Seen>();

/**
 * @returns null when the container is not there, or does not run
 * @throws {ContainersError} `DOCKER_UNREACHABLE`, `DOCKER_REFUSED`
 */
export async function usageOf(docker: Docker, containerId: string): Promise<Usage | null> {
  const container = docker.getContainer(containerId);
  let stats: Stats;
  let allowed: Allowed;
  try {
    [stats, { HostConfig: allowed }] = await Promise.all([
      // Without `one-shot` the engine takes a second to look twice by itself.
      container.stats({ stream: false, 'one-shot': true }),
      container.inspect(),
    ]);
  } catch (error) {
    if (statusOf(error) === 404) return null;
    throw engineError(error, 'ask what a container takes');
  }
  const now = { cpuNs: stats.cpu_stats?.cpu_usage?.total_usage ?? 0, atMs: performance.now() };
  const usage = usageFrom(stats, allowed, now, seen.get(containerId) ?? null);
  if (usage) remember(containerId, now);
  return usage;
}

/** @param before the look before this one; a CPU's time is a difference */
export function usageFrom(stats: Stats, allowed: Allowed, now: Seen, before: Seen | null): Usage | null {
  const used = stats.memory_stats?.usage;
  if (used === undefined) return null;
  // As `docker stats` does: what the kernel keeps of files it would give back at once.
  const cached =
    stats.memory_stats?.stats?.inactive_file ?? stats.memory_stats?.stats?.total_inactive_file ?? 0;
  const elapsedMs = before === null ? 0 : now.atMs - before.atMs;
  const spentMs = before === null ? 0 : (now.cpuNs - before.cpuNs) / 1e6;
  return {
    memoryBytes: Math.max(0, used - cached),
    memoryLimitBytes: allowed.Memory ?? 0,
    cpus: elapsedMs > 0 ? Math.max(0, Math.round((spentMs / elapsedMs) * 100) / 100) : null,
    cpuLimit: (allowed.NanoCpus ?? 0) / 1e9,
    processes: stats.pids_stats?.current ?? 0,
    processLimit: allowed.PidsLimit ?? 0,
  };
}

function remember(containerId: string, look: Seen): void {
  seen.delete(containerId);
  seen.set(containerId, look);
  const [oldest] = seen.keys();
  if (seen.size > MOST_SEEN && oldest !== undefined) seen.delete(oldest);
}
