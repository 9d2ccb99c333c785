import type { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { readAnswer, type StreamedAnswer } from './answer-stream.ts';
import { ContainersError, engineError, statusOf } from './errors.ts';
import type { Changes } from './facts.ts';
import { RUN_FROM_ENVIRONMENT, scripts } from './inside.ts';
import type { CapturedOutput } from './output.ts';
import { executionEnv, scriptEnv } from './script-env.ts';
import { startExecMakingRoom, startTimeLimit } from './time-limit.ts';

export type ExecutionRequest = {
  /** Letters, digits, `_` and `-`, at most 64. One ID starts at most one command in a workspace, ever. */
  executionId: string;
  repositoryName: string;
  /** Run by bash, in the repository's directory or where the last command left off. NUL bytes are dropped. */
  script: string;
  /** For this command only: goes before what was exported earlier, and is not kept. */
  env: Readonly<Record<string, string>>;
  timeoutMs: number;
  /** Stops the waiting, not the command: `recoverExecution` takes it up again. */
  signal: AbortSignal;
};

export type RecoveryRequest = Omit<ExecutionRequest, 'script' | 'env'> & {
  /**
   * False when the container had to be started or made again: then an unknown execution is not taken for one that
   * never started, as a crash of the host may have lost what tells.
   */
  wasRunning: boolean;
};

export type ExecutionResult = {
  /** `interrupted`: killed from outside, or its container was. */
  ending: 'exited' | 'timed_out' | 'interrupted';
  exitCode: number | null;
  durationMs: number;
  branch: string | null;
  changes: Changes;
  output: CapturedOutput;
  /** Processes that go on in the container. */
  backgroundProcesses: number;
  note?: string;
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
  const env = executionEnv(request);
  const startedAt = performance.now();
  const stream = await startExecMakingRoom(docker, containerId, {
    command: RUN_FROM_ENVIRONMENT,
    env: { ...request.env, ...env, ...scriptEnv(request), _THREADBOX_RUN: scripts.run },
    signal: request.signal,
  });
  const { answer, hasKilled } = await attend(docker, containerId, request, { stream, mayClaim: false });
  const word = answer.facts?.word;
  if (word === 'already-started') return { ending: 'already-started' };
  if (word === 'not-ready') {
    throw new ContainersError('WORKSPACE_NOT_READY', 'The workspace of the container is not prepared');
  }
  if (word === 'no-claim') {
    throw new ContainersError(
      'WORKSPACE',
      'The workspace takes no new files: its disk is full or it is damaged',
    );
  }
  return toResult(answer, hasKilled, performance.now() - startedAt);
}

/**
 * Finds out what became of an execution that somebody else started, and waits for its end if it runs.
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
  const { answer, hasKilled } = await attend(docker, containerId, request, { mayClaim: request.wasRunning });
  return answer.facts?.word === 'never-started'
    ? { ending: 'never-started' }
    : toResult(answer, hasKilled, 0);
}

/** Reads the given stream to its end; if that is not the whole answer, asks the spool. Keeps the time limit meanwhile. */
async function attend(
  docker: Docker,
  containerId: string,
  request: Omit<ExecutionRequest, 'script' | 'env'>,
  { stream, mayClaim }: { stream?: Readable; mayClaim: boolean },
): Promise<{ answer: StreamedAnswer; hasKilled: boolean }> {
  const env = executionEnv(request);
  let current = stream;
  const limit = startTimeLimit(docker, containerId, {
    timeoutMs: request.timeoutMs,
    env,
    giveUp: () => current?.destroy(),
  });
  try {
    for (let collections = 0; ; collections += 1) {
      current ??= await openCollection(docker, containerId, { env, mayClaim, signal: request.signal });
      const answer = await readInTime(current, limit.isOver());
      request.signal.throwIfAborted();
      if (answer.isWhole && answer.facts) return { answer, hasKilled: limit.hasKilled() };
      if (collections === MOST_COLLECTIONS) throw unreadable(answer);
      current = undefined;
    }
  } finally {
    await limit.close();
  }
}

/** A stream that begins when the time limit has done what it can is ended by nobody else. */
async function readInTime(stream: Readable, isLast: boolean): Promise<StreamedAnswer> {
  const timer = isLast ? setTimeout(() => stream.destroy(), COLLECTION_MS) : undefined;
  try {
    return await readAnswer(stream);
  } finally {
    clearTimeout(timer);
  }
}

const COLLECTION_MS = 60_000;

/** The stream may break off when the command is killed, and again when the engine is restarted. */
const MOST_COLLECTIONS = 3;

/** Starts the script that asks the spool, in a stopped container too. */
async function openCollection(
  docker: Docker,
  containerId: string,
  { env, mayClaim, signal }: { env: Record<string, string>; mayClaim: boolean; signal: AbortSignal },
): Promise<Readable> {
  const request = { command: RUN_FROM_ENVIRONMENT, signal };
  const collect = { ...env, _THREADBOX_RUN: scripts.collect };
  try {
    const own = { ...collect, _THREADBOX_MAY_CLAIM: mayClaim ? 'yes' : 'no' };
    return await startExecMakingRoom(docker, containerId, { ...request, env: own });
  } catch (error) {
    if (!(error instanceof ContainersError)) throw error;
    if (error.code !== 'CONTAINER_GONE') throw withDoubt(error);
  }
  try {
    await docker.getContainer(containerId).start();
  } catch (error) {
    const words =
      'The container was removed while a command ran in it, or before that was known to have ended';
    // 409: it is about to be removed.
    if (statusOf(error) === 404 || statusOf(error) === 409) {
      throw new ContainersError('CONTAINER_GONE', words, { cause: error, mayHaveStarted: true });
    }
    if (statusOf(error) !== 304) throw engineError(error, 'start the container', true);
  }
  return startExecMakingRoom(docker, containerId, { ...request, env: collect });
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

function toResult({ facts, output }: StreamedAnswer, hasKilled: boolean, waitedMs: number): ExecutionResult {
  const wasStopped = (facts?.wasStopped ?? false) || hasKilled;
  const exitCode = facts?.exitCode ?? null;
  const note = facts?.isOutputLost
    ? 'A part of the output is lost: the disk of the workspace was full.'
    : null;
  return {
    ending: wasStopped ? 'timed_out' : exitCode === null ? 'interrupted' : 'exited',
    exitCode,
    durationMs: Math.round(hasKilled && waitedMs > 0 ? waitedMs : (facts?.durationMs ?? waitedMs)),
    branch: facts?.branch ?? null,
    changes: facts?.changes ?? { files: [], isComplete: false, reason: 'nothing was said about it' },
    output,
    backgroundProcesses: facts?.backgroundProcesses ?? 0,
    ...(note === null ? {} : { note }),
  };
}
