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
