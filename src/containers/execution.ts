import type Docker from 'dockerode';
import type { Masks } from '../secrets/masks.ts';
import { readAnswer, type StreamedAnswer } from './answer-stream.ts';
import { watchForEnd } from './container-end.ts';
import { ContainersError, engineError, statusOf, UNWRITABLE } from './errors.ts';
import { toResult, type ExecutionResult, type Killed } from './execution-result.ts';
import type { Shortages } from './facts.ts';
import { RUN_FROM_ENVIRONMENT, scripts } from './inside.ts';
import { newNonce, runnersOf, type AnswerStream, type Runner } from './runner.ts';
import { executionEnv, runnerRequest, scriptEnv, secretVariables } from './script-env.ts';
import { killAll, ranForMs, startExecMakingRoom, startTimeLimit } from './time-limit.ts';

export type { ExecutionResult };

export type ExecutionRequest = {
  /** Letters, digits, `_` and `-`, at most 64. One ID starts at most one command in a workspace, ever. */
  executionId: string;
  repositoryName: string;
  /** Run by bash, in the repository's directory or where the last command left off. NUL bytes are dropped. */
  script: string;
  /** For this command only: goes before what was exported earlier, and is not kept. */
  env: Readonly<Record<string, string>>;
  /** The same, but no process beside the command's own gets to know them, and the engine never does. */
  secrets?: Readonly<Record<string, string>> | undefined;
  /** What of its output is not to leave the container. */
  masks?: Masks | undefined;
  timeoutMs: number;
  /** What becomes of processes that it leaves in the background: without, they go on. */
  leftProcesses?: 'keep' | 'end';
  /** Ends the command. Given before it has begun, it never does. */
  cancelled?: AbortSignal | undefined;
  /** Stops the waiting, not the command: `recoverExecution` takes it up again. */
  signal: AbortSignal;
};

export type RecoveryRequest = Omit<ExecutionRequest, 'script' | 'env' | 'secrets'> & {
  /**
   * False when the container had to be started or made again: then an unknown execution is not taken for one that
   * never started, as a crash of the host may have lost what tells.
   */
  wasRunning: boolean;
};

/**
 * Runs a command in a prepared workspace and waits for its end. The command itself does not depend on this process or
 * the connection: it writes its output and how it ended to a spool in the workspace.
 *
 * What it wrote stays in the spool until the next execution there ends; by then the result must be stored.
 *
 * @returns `already-started` when the ID was used before: nothing is done then
 * @throws {ContainersError} see its codes, and `mayHaveStarted`; or the reason of `signal`
 */
export async function runExecution(
  docker: Docker,
  containerId: string,
  request: ExecutionRequest,
): Promise<ExecutionResult | { ending: 'already-started' }> {
  const background = { _THREADBOX_BACKGROUND: request.leftProcesses ?? 'keep' };
  const variables = { ...executionEnv(request), ...scriptEnv(request), ...background };
  const secrets = secretVariables(request.secrets ?? {});
  const runners = runnersOf(docker);
  const nonce = newNonce();
  const runner = await takeRunner(docker, containerId, request.signal);
  const startedAt = performance.now();
  const end: ContainerEnd = { shortages: null };
  const { answer, killed } = await attend(docker, containerId, request, {
    first: {
      nonce,
      stream: runner.send(runnerRequest({ ...variables, ...secrets, _THREADBOX_NONCE: nonce }, request.env)),
      onAnswer: (read) => runners.give(containerId, runner, read),
    },
    reopen: ({ hasBegun, isFirst }) =>
      hasBegun || !isFirst || request.cancelled?.aborted
        ? openCollection(docker, containerId, {
            ...request,
            mayClaim: request.cancelled?.aborted ?? false,
            end,
          })
        : openRun(docker, containerId, { ...request, end }, { variables, secrets }),
  });
  const word = answer.facts?.word;
  if (word === 'already-started' || word === 'never-started') return { ending: 'already-started' };
  if (word === 'not-ready') {
    throw new ContainersError('WORKSPACE_NOT_READY', 'The workspace of the container is not prepared');
  }
  if (word === 'no-claim') {
    throw new ContainersError('WORKSPACE_UNWRITABLE', UNWRITABLE);
  }
  await endRest(docker, containerId, answer);
  return toResult(answer, killed, performance.now() - startedAt, end.shortages);
}

/**
 * Finds out what became of an execution that somebody else started, and waits for its end if it runs. What it has used
 * up of its time is not given to it again.
 *
 * @returns `never-started` when it did not start, and now never will under this ID
 * @throws {ContainersError} `CONTAINER_GONE` when it was removed: made again by `ensureContainer` it has the same
 *   workspace, and can be asked. `DOCKER_UNREACHABLE`, `DOCKER_REFUSED`. Or the reason of `signal`
 */
export async function recoverExecution(
  docker: Docker,
  containerId: string,
  request: RecoveryRequest,
): Promise<ExecutionResult | { ending: 'never-started' }> {
  const { executionId, repositoryName, signal } = request;
  const env = executionEnv({ executionId, repositoryName });
  const usedMs = await ranForMs(docker, containerId, { env, signal });
  const left = { ...request, timeoutMs: Math.max(request.timeoutMs - usedMs, 0) };
  const end: ContainerEnd = { shortages: null };
  const { answer, killed } = await attend(docker, containerId, left, {
    reopen: () => openCollection(docker, containerId, { ...request, mayClaim: request.wasRunning, end }),
  });
  if (answer.facts?.word === 'never-started') return { ending: 'never-started' };
  await endRest(docker, containerId, answer);
  return toResult(answer, killed, 0, end.shortages);
}

/**
 * What begins another process before it is killed itself ends when all are killed at once: kill(2), `-1`. Else with its container.
 *
 * @throws {ContainersError} `mayHaveStarted`: the command has ended, and its spool tells how
 */
async function endRest(docker: Docker, containerId: string, { facts }: StreamedAnswer): Promise<void> {
  if (!facts?.isUnended) return;
  try {
    await killAll(docker, containerId).catch(() => docker.getContainer(containerId).kill());
  } catch (error) {
    // Gone, or it runs no more.
    if (statusOf(error) === 404 || statusOf(error) === 409) return;
    throw engineError(error, 'end what a command has left', true);
  }
}

/** Nothing was given to a runner that could not be had. */
async function takeRunner(docker: Docker, containerId: string, signal: AbortSignal): Promise<Runner> {
  try {
    return await runnersOf(docker).take(containerId, signal);
  } catch (error) {
    if (!(error instanceof ContainersError)) throw error;
    throw new ContainersError(error.code, error.message, { cause: error.cause });
  }
}

/**
 * Reads the first stream, if there is one, until the answer is whole; if it does not get so far, asks again. Keeps the
 * time limit meanwhile.
 */
async function attend(
  docker: Docker,
  containerId: string,
  of: Omit<ExecutionRequest, 'script' | 'env'>,
  { first, reopen }: { first?: FirstAnswer; reopen: Reopen },
): Promise<{ answer: StreamedAnswer; killed: Killed }> {
  const { executionId, repositoryName, timeoutMs, cancelled, masks, signal } = of;
  let current: AnswerStream | undefined = first?.stream;
  let hasBegun = false;
  const giveUp = (): unknown => current?.destroy();
  const env = executionEnv({ executionId, repositoryName });
  const limit = startTimeLimit(docker, containerId, { timeoutMs, cancelled, env, giveUp });
  const watch = watchForEnd(docker, containerId, giveUp);
  signal.addEventListener('abort', giveUp);
  try {
    for (let streams = first ? 0 : 1; ; streams += 1) {
      if (!current) await limit.killing();
      current ??= await reopen({ hasBegun, isFirst: streams === 1 });
      const nonce = streams === 0 ? first?.nonce : undefined;
      const answer = await readInTime(current, { nonce, masks }, limit.isOver());
      // From here on it may be somebody else's.
      current = undefined;
      if (streams === 0) first?.onAnswer(answer);
      hasBegun ||= answer.hasBegun;
      signal.throwIfAborted();
      if (answer.isWhole && answer.facts) {
        return { answer, killed: { killedFor: limit.killedFor(), hasKilledAll: limit.hasKilledAll() } };
      }
      if (streams > MOST_COLLECTIONS) throw unreadable(answer);
    }
  } finally {
    signal.removeEventListener('abort', giveUp);
    await Promise.all([limit.close(), watch.close()]);
  }
}

type FirstAnswer = { stream: AnswerStream; nonce: string; onAnswer: (answer: StreamedAnswer) => void };
type Reopen = (known: { hasBegun: boolean; isFirst: boolean }) => Promise<AnswerStream>;

/** A stream that begins when the time limit has done what it can is ended by nobody else. */
async function readInTime(
  stream: AnswerStream,
  reading: { nonce?: string | undefined; masks?: Masks | undefined },
  isLast: boolean,
): Promise<StreamedAnswer> {
  const timer = isLast ? setTimeout(() => stream.destroy(), COLLECTION_MS) : undefined;
  try {
    return await readAnswer(stream, reading);
  } finally {
    clearTimeout(timer);
  }
}

const COLLECTION_MS = 60_000;

/** The stream may break off when the command is killed, and again when the engine is restarted. */
const MOST_COLLECTIONS = 3;

/** What is found out about the end of a container, before it is started again to be asked. */
type ContainerEnd = { shortages: Shortages | null };
type Asking = { executionId: string; repositoryName: string; signal: AbortSignal; end: ContainerEnd };

/**
 * After a runner that was lost before it is known to have begun: runs the command after all, if it has not, and if it
 * has, asks the spool. Who is first to make the claim runs it.
 */
async function openRun(
  docker: Docker,
  containerId: string,
  request: ExecutionRequest & Pick<Asking, 'end'>,
  { variables, secrets }: { variables: Record<string, string>; secrets: Record<string, string> },
): Promise<AnswerStream> {
  const own = { _THREADBOX_COMMAND: scripts.command, _THREADBOX_RUN: scripts.runOrCollect };
  const env = { ...request.env, ...variables, ...own };
  try {
    const stream = await startExecMakingRoom(docker, containerId, {
      command: RUN_FROM_ENVIRONMENT,
      env,
      signal: request.signal,
      hasInput: true,
    });
    // Not in the environment: the engine would write it down for as long as the process lives.
    stream.on('error', () => undefined);
    stream.write(runnerRequest(secrets, {}));
    return stream;
  } catch (error) {
    if (!(error instanceof ContainersError)) throw error;
    if (error.code !== 'CONTAINER_GONE') throw withDoubt(error);
    return openCollection(docker, containerId, { ...request, mayClaim: false });
  }
}

/** Starts the script that asks the spool, in a stopped container too. */
async function openCollection(
  docker: Docker,
  containerId: string,
  { executionId, repositoryName, signal, mayClaim, end }: Asking & { mayClaim: boolean },
): Promise<AnswerStream> {
  const request = { command: RUN_FROM_ENVIRONMENT, signal };
  const collect = { ...executionEnv({ executionId, repositoryName }), _THREADBOX_RUN: scripts.collect };
  try {
    const own = { ...collect, _THREADBOX_MAY_CLAIM: mayClaim ? 'yes' : 'no' };
    return await startExecMakingRoom(docker, containerId, { ...request, env: own });
  } catch (error) {
    if (!(error instanceof ContainersError)) throw error;
    if (error.code !== 'CONTAINER_GONE') throw withDoubt(error);
  }
  const words = 'The container was removed while a command ran in it, or before that was known to have ended';
  if (containerId === '') throw new ContainersError('CONTAINER_GONE', words, { mayHaveStarted: true });
  try {
    const container = docker.getContainer(containerId);
    end.shortages = shortagesAtEnd(await container.inspect());
    await container.start();
  } catch (error) {
    // 409: it is about to be removed.
    if (statusOf(error) === 404 || statusOf(error) === 409) {
      throw new ContainersError('CONTAINER_GONE', words, { cause: error, mayHaveStarted: true });
    }
    if (statusOf(error) !== 304) throw engineError(error, 'start the container', true);
  }
  return startExecMakingRoom(docker, containerId, { ...request, env: collect });
}

/**
 * Of a container that its memory has ended whole: as by gVisor, which is one process to the kernel that counts it, and so can
 * count nothing in it.
 */
function shortagesAtEnd({ State, HostConfig }: Docker.ContainerInspectInfo): Shortages | null {
  if (State.Running || !State.OOMKilled || State.ExitCode !== 137) return null;
  const memoryLimitBytes = HostConfig.Memory ?? null;
  const none = { refusedProcesses: 0, processLimit: null, disks: [] };
  return { oomKills: 1, memoryLimitBytes, hasEndedContainer: true, ...none };
}

/** That nothing could be asked says nothing about the command. */
function withDoubt(error: ContainersError): ContainersError {
  return new ContainersError(error.code, error.message, { cause: error.cause, mayHaveStarted: true });
}

function unreadable(answer: StreamedAnswer): ContainersError {
  const said = answer.facts ? 'it broke off' : `it said: ${answer.oddity || 'nothing'}`;
  return new ContainersError(
    'DOCKER_REFUSED',
    `What became of a command could not be read from its container; ${said}`,
    {
      mayHaveStarted: true,
    },
  );
}
