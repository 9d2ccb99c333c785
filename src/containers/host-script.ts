import { spawn } from 'node:child_process';
import type Docker from 'dockerode';
import { SYSTEM_PATH } from '../root.ts';
import { ContainersError, engineError, statusOf } from './errors.ts';
import { readFrames } from './exec.ts';
import { untilRemoved } from './until-removed.ts';

/** What a script prints last: so it is known to have come to its end. */
export const END = '# threadbox: done';

/**
 * Runs a script of root's on this machine.
 *
 * @returns what it has printed before {@link END}
 * @throws Error with the last words of one that did not come so far
 */
export async function runHere(script: string, args: readonly string[], limitMs: number): Promise<string> {
  const child = spawn('sh', ['-c', script, 'sh', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: SYSTEM_PATH, LC_ALL: 'C' },
    timeout: limitMs,
    killSignal: 'SIGKILL',
  });
  const texts = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (texts.out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (texts.err += text));
  await new Promise<void>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => resolve());
  });
  return untilEnd(texts.out, texts.err, new Error('it was cut off'));
}

type Helper = {
  /** Has a shell, and what the script calls. */
  image: string;
  instance: string;
  script: string;
  args: readonly string[];
  limitMs: number;
  /** What it is for, as in `look at the firewall of its host`. */
  doing: string;
  /** What it is given of that machine: it has nothing else, and no capability. */
  host: Pick<Docker.HostConfig, 'NetworkMode' | 'CapAdd' | 'Mounts' | 'DeviceCgroupRules'>;
  /** Comes back no earlier than what it had mounted is free again. */
  waitsForRemoval?: boolean;
};

/**
 * Runs a script as root in a container of its own on the engine's machine, which goes by itself.
 *
 * @returns what it has printed before {@link END}
 * @throws {ContainersError} as the engine fails. Error with the last words of a script that did not come so far
 */
export async function runInHelper(docker: Docker, helper: Helper): Promise<string> {
  const { image, instance, script, args, limitMs, doing, host, waitsForRemoval = false } = helper;
  const texts: [Buffer[], Buffer[]] = [[], []];
  const options = {
    Image: image,
    Entrypoint: ['sh', '-c', script, 'sh', ...args],
    Cmd: [],
    User: '0:0',
    Env: [`PATH=${SYSTEM_PATH}`, 'LC_ALL=C'],
    WorkingDir: '/',
    Labels: { 'threadbox.instance': instance },
    HostConfig: {
      // A crash leaves nothing from its start on; before: removeUnstarted.
      AutoRemove: true,
      NetworkMode: 'none',
      // Remapped, root is nobody on the host.
      UsernsMode: 'host',
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges:true'],
      ReadonlyRootfs: true,
      // For the lock of iptables.
      Tmpfs: { '/run': 'rw,nosuid,nodev,size=1m' },
      ...host,
    },
  };
  let isLate = false;
  try {
    const container = await docker.createContainer(options);
    const end = (): void => {
      isLate = true;
      container.kill().catch(() => undefined);
    };
    const late = setTimeout(end, limitMs);
    try {
      const stream = await container.attach({ stream: true, stdout: true, stderr: true });
      await container.start();
      for await (const { isError, data } of readFrames(stream as unknown as AsyncIterable<Buffer>)) {
        texts[isError ? 1 : 0].push(Buffer.from(data));
      }
      if (waitsForRemoval) await untilRemoved(container);
    } catch (error) {
      await container.remove({ force: true }).catch(() => undefined);
      throw error;
    } finally {
      clearTimeout(late);
    }
  } catch (error) {
    throw engineError(error, `${doing} through a container of ${image}`);
  }
  // As by an engine that is stopped: its streams end then as if all were well.
  const fault = isLate
    ? `A container that was to ${doing} was ended, as it had taken ${Math.round(limitMs / 1000)} s`
    : `Docker ended a container that was to ${doing}`;
  const cutOff = new ContainersError('CUT_OFF', fault);
  return untilEnd(Buffer.concat(texts[0]).toString(), Buffer.concat(texts[1]).toString(), cutOff);
}

const HELPER_MS = 3_600_000;

/**
 * Removes helpers that were made and never started, as by a bot that was killed in between: they end never, so do not go by themselves.
 *
 * @throws {ContainersError} `DOCKER_UNREACHABLE`, `DOCKER_REFUSED`
 */
export async function removeUnstarted(docker: Docker, instance: string, now: Date): Promise<void> {
  const filters = JSON.stringify({ label: [`threadbox.instance=${instance}`], status: ['created'] });
  try {
    for (const { Id, Labels, Created } of await docker.listContainers({ all: true, filters })) {
      const isOld = now.getTime() - Created * 1000 > HELPER_MS;
      if (isOld && Labels['threadbox.thread'] === undefined) await docker.getContainer(Id).remove();
    }
  } catch (error) {
    // It has gone meanwhile, or is about to.
    if (statusOf(error) !== 404 && statusOf(error) !== 409) throw engineError(error, 'remove old helpers');
  }
}

function untilEnd(out: string, err: string, cutOff: Error): string {
  const end = out.lastIndexOf(`${END}\n`);
  if (end >= 0) return out.slice(0, end);
  const words = err.trim().split('\n').slice(-3).join(' ');
  throw words === '' ? cutOff : new Error(words);
}
