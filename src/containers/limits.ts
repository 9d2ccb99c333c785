/** What a thread's container may use. */
export type ContainerLimits = {
  /** Of all its processes and what lies in /tmp, /dev/shm and the like; there is no swap beyond it. */
  memoryBytes: number;
  cpus: number;
  /** Processes and threads. */
  pidsLimit: number;
  /** Of /tmp, which is in memory. */
  tmpBytes: number;
  /** Of /dev/shm, in memory as well. */
  shmBytes: number;
  /** Of one process. */
  openFiles: number;
};

/**
 * The server's limits with those of a repository. /tmp has half of the memory at the most: a program that fills it is
 * told that the disk is full, and none is killed for it.
 */
export function limitsFor(
  { memoryBytes, cpus }: { memoryBytes: number | null; cpus: number | null },
  server: ContainerLimits,
): ContainerLimits {
  const memory = memoryBytes ?? server.memoryBytes;
  return {
    ...server,
    memoryBytes: memory,
    cpus: cpus ?? server.cpus,
    tmpBytes: Math.min(server.tmpBytes, Math.floor(memory / 2)),
  };
}

/** A command travels in the environment of a process, of which Linux takes 2 MiB in all (execve(2)). */
export const MAX_SCRIPT_BYTES = 1_000_000;
