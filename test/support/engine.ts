import { connectDocker } from '../../src/containers/client.ts';
import { execText } from '../../src/containers/exec.ts';

/** The engine of the tests, without anything of the bot in between. */
export const engineHost = process.env['DOCKER_HOST'] ?? 'unix:///var/run/docker.sock';
export const engine = connectDocker(engineHost);

/** Runs a shell command in a container, as the user of the commands. @returns what it printed, faults included */
export async function inContainer(containerId: string, script: string): Promise<string> {
  const { stdout, stderr } = await execText(engine, containerId, {
    command: ['bash', '-c', script],
    env: {},
  });
  return stdout + stderr;
}

/**
 * Waits inside a container until a condition of the shell is true: a process there costs less than many execs.
 *
 * @throws when it is not within two minutes
 */
export async function untilInside(containerId: string, condition: string): Promise<void> {
  const script = `for round in {1..2400}; do if ${condition}; then echo done; exit; fi; sleep 0.05; done`;
  const said = await inContainer(containerId, script);
  if (said !== 'done\n') throw new Error(`not within two minutes: ${condition} ${said}`);
}
