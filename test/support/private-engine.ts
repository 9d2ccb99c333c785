import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { connectDocker, type Docker } from '../../src/containers/client.ts';
import { pingEngine } from '../../src/embedded/engine-ping.ts';
import { closeAfter } from './close-all.ts';
import { engineHost } from './engine.ts';
import { until } from './until.ts';

/** A Docker Engine of the test's own, on what is to it a machine of its own. */
export type PrivateEngine = {
  dockerHost: string;
  docker: Docker;
  /** Has what containers need to run commands, and no more. */
  image: string;
  /** Makes the image of a helper container that changes the firewall there. @param name of the image */
  importGuardImage: (name: string) => Promise<void>;
  /** Starts dockerd (again) and waits until it answers. @param options of dockerd's command line */
  start: (...options: string[]) => Promise<void>;
  /** Stops dockerd alone, and waits for its end. */
  stop: (signal: 'TERM' | 'KILL') => Promise<void>;
  /** The machine loses its power: nothing runs there any more, and its disk is as it was. */
  crash: () => Promise<void>;
  close: () => Promise<void>;
};

const run = promisify(execFile);
const machineScript = fileURLToPath(new URL('private-engine.sh', import.meta.url));
const imageScript = fileURLToPath(new URL('small-image.sh', import.meta.url));
const guardImageScript = fileURLToPath(new URL('guard-image.sh', import.meta.url));
const IMAGE = 'threadbox-small:1';

/**
 * It runs, and has the image. All of it is gone after `close`, and with the test's process at the latest.
 *
 * @param onNetworkOf number of a process whose network it is on, with the whole image of the run's engine; without it,
 *   its network leads nowhere, and there are no bridges but those that somebody makes
 */
export async function startPrivateEngine({
  onNetworkOf,
}: { onNetworkOf?: number } = {}): Promise<PrivateEngine> {
  const dir = await mkdtemp(join(tmpdir(), 'tb-dockerd-'));
  const dockerHost = `unix://${join(dir, 'docker.sock')}`;
  const image = process.env['CONTAINER_IMAGE'] ?? 'threadbox-workspace:1';
  let machine: Machine | null = null;

  async function start(...options: string[]): Promise<void> {
    machine ??= startMachine(dir, onNetworkOf);
    // The last word on a bridge is the one that counts.
    const bridge = onNetworkOf === undefined ? [] : ['--bridge='];
    await machine.tell(`start ${[...bridge, ...options].join(' ')}`);
    await until(async () => (await pingEngine(dockerHost)).answers).catch(async (error: unknown) => {
      const log = await readFile(join(dir, 'log'), 'utf8').catch(() => '');
      throw new Error(`dockerd does not answer:\n${log.slice(-2_000)}`, { cause: error });
    });
  }
  async function crash(): Promise<void> {
    await machine?.crash();
    machine = null;
  }
  async function close(): Promise<void> {
    await crash();
    await rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }

  try {
    await start();
    if (onNetworkOf === undefined) {
      await run('bash', ['-o', 'pipefail', imageScript, engineHost, dockerHost, IMAGE], {
        env: { ...process.env, SMALL_OF: image },
      });
    } else {
      const copy = 'docker --host "$0" save "$2" | docker --host "$1" load';
      await run('bash', ['-o', 'pipefail', '-c', copy, engineHost, dockerHost, image]);
    }
  } catch (error) {
    return await closeAfter(error, close);
  }
  return {
    dockerHost,
    docker: connectDocker(dockerHost),
    image: onNetworkOf === undefined ? IMAGE : image,
    importGuardImage: async (name) => {
      await run('bash', ['-o', 'pipefail', guardImageScript, dockerHost, name]);
    },
    start,
    stop: async (signal) => machine?.tell(`stop ${signal}`),
    crash,
    close,
  };
}

type Machine = { tell: (line: string) => Promise<void>; crash: () => Promise<void> };

function startMachine(dir: string, onNetworkOf: number | undefined): Machine {
  const apart = ['--mount', '--propagation', 'slave', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const network =
    onNetworkOf === undefined
      ? ['unshare', '--net']
      : ['nsenter', `--net=/proc/${onNetworkOf}/ns/net`, 'unshare'];
  const [command, ...args] = [...network, ...apart, 'bash', machineScript, dir];
  const child: ChildProcess = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  return {
    async tell(line) {
      const done = once(lines, 'line');
      child.stdin?.write(`${line}\n`);
      await Promise.race([done, ended.then(() => Promise.reject(new Error('the machine has gone')))]);
    },
    async crash() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
