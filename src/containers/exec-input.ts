import type { Duplex } from 'node:stream';
import type Docker from 'dockerode';
import { commandUser } from './command-user.ts';
import { ContainersError, engineError, statusOf } from './errors.ts';
import { expectContainer, type ExecRequest } from './exec.ts';
import { asOurs, RUN_FROM_ENVIRONMENT } from './inside.ts';

/**
 * Starts a process in a running container, as `startExec` does, with a standard input: what is written to the stream.
 * What is read from it are its stdout and stderr in frames.
 *
 * @throws {ContainersError} `CONTAINER_GONE`, `DOCKER_UNREACHABLE`, `DOCKER_REFUSED`; or the reason of the signal
 */
export async function startExecWithInput(
  docker: Docker,
  containerId: string,
  { command, env, signal }: ExecRequest,
): Promise<Duplex> {
  expectContainer(containerId);
  const abort = signal ? { abortSignal: signal } : {};
  try {
    const exec = await docker.getContainer(containerId).exec({
      Cmd: [...command],
      Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      User: await commandUser(docker, containerId, abort),
      // The container's own working directory may have been removed by a command.
      WorkingDir: '/',
      AttachStdin: true,
      AttachStdout: true,
      AttachStderr: true,
      ...abort,
    });
    return await exec.start({ hijack: true, stdin: true, ...abort });
  } catch (error) {
    signal?.throwIfAborted();
    const status = statusOf(error);
    if (status !== 404 && status !== 409) throw engineError(error, 'start a process in the container');
    const message = 'The container is not there any more, or does not run';
    throw new ContainersError('CONTAINER_GONE', message, { cause: error });
  }
}

export type ScriptRequest = {
  /** How it is called in a list of processes. */
  name: `threadbox-${string}`;
  script: string;
  env: Readonly<Record<string, string>>;
  timeoutMs: number;
  signal: AbortSignal;
};

/** What the bot does not wait for any more has so long to end by itself. */
const LATE_SECONDS = 5;

/**
 * Starts a script of inside/ that reads its standard input. It ends by itself soon after `timeoutMs`, whether the bot
 * is still there or not.
 *
 * @throws what {@link startExecWithInput} throws
 */
export function startScript(
  docker: Docker,
  containerId: string,
  { name, script, env, timeoutMs, signal }: ScriptRequest,
): Promise<Duplex> {
  const seconds = String(Math.ceil(timeoutMs / 1000) + LATE_SECONDS);
  const limited = ['timeout', '-k', String(LATE_SECONDS), seconds, ...RUN_FROM_ENVIRONMENT, name];
  return startExecWithInput(docker, containerId, {
    command: asOurs(name, limited),
    env: { _THREADBOX_RUN: script, ...env },
    signal,
  });
}
