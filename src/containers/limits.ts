/** What the commands of one thread may use. */
export const MEMORY_BYTES = 2 * 1024 ** 3;
export const CPUS = 1;
export const PIDS_LIMIT = 512;
