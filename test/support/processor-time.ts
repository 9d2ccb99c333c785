/** What it costs of a processor's time, which says the same whatever else the machine does. @param work without a wait in it */
export function processorMs(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
