/** What the commands of one thread may use. */
export const MEMORY_BYTES = 2 * 1024 ** 3;
export const CPUS = 1;
export const PIDS_LIMIT = 512;

/** A command travels in the environment of a process, of which Linux takes 2 MiB in all (execve(2)). */
export const MAX_SCRIPT_BYTES = 1_000_000;
