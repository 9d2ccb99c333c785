import { setTimeout as pause } from 'node:timers/promises';
import type Docker from 'dockerode';
import { execText, startExec, type ExecRequest } from './exec.ts';
import { ContainersError, statusOf } from './errors.ts';
import { isFull, waitUnlessFull } from './full-container.ts';
import { RUN_FROM_ENVIRONMENT, scripts } from './inside.ts';

/** From TERM to KILL. */
const GRACE_MS = 5000;
/** For the KILL to the processes of the command, before that to all of the container; to ask for it, and to see. */
const KILL_MS = 2000;
const ASK_KILL_MS = 3000;
/** A command that is about to begin cannot be asked yet. */
const ASK_AGAIN_MS = 500;
/** For what comes after a command's end: looking for changes, handing out the output. */
const FINISH_MS = 60_000;
/** The same after it was asked to end: a fork bomb lets nothing else begin in its container, not even git. */
const FINISH_STOPPED_MS = 15_000;
/** For a process that asks or kills: what it reads belongs to the commands, and may never let it end. */
const ASK_MS = 10_000;

export type TimeLimit = {
  /** Why the whole container was killed: the command did not end when asked. null: it was not. */
  killedFor: () => StopReason | null;
  /** All processes in its container were ended, those of earlier commands too. */
  hasKilledAll: () => boolean;
  /** True when all has been done to end the command: what is asked from then on must have a limit of its own. */
  isOver: () => boolean;
  /** Resolves at once but while the container itself is being killed: until then nothing can be asked there. */
  killing: () => Promise<unknown>;
  close: () => Promise<void>;
};

export type StopReason = 'timed_out' | 'cancelled';

/**
 * Ends a command that takes too long, or is wanted no more: TERM to all its processes, then KILL to them, and if that is
 * not enough, KILL to every process of the container that is not root's.
 *
 * @param env which execution, as the scripts of inside/ take it
 * @param cancelled ends it at once
 * @param giveUp called when even that did not end the stream one waits for
 */
export function startTimeLimit(
  docker: Docker,
  containerId: string,
  { timeoutMs, cancelled, env, giveUp }: TimeLimitRequest,
): TimeLimit {
  const closing = new AbortController();
  const { signal } = closing;
  let killedFor: StopReason | null = null;
  let hasKilledAll = false;
  let isOver = false;
  let killing: Promise<unknown> = Promise.resolve();
  const wait = (ms: number) => pause(ms, undefined, { signal });
  function killContainer(): Promise<unknown> {
    const killed = docker.getContainer(containerId).kill();
    killing = killed.catch(() => undefined);
    return killed;
  }

  async function enforce(): Promise<void> {
    const why = await untilOver(timeoutMs, cancelled, signal);
    const done = await endCommand({ docker, containerId, env, signal }, why).catch(() => {
      signal.throwIfAborted();
      return 'goes-on' as const;
    });
    if (typeof done === 'number') await waitUnlessFull(docker, containerId, { forMs: done, signal });
    else killedFor = why;
    const isCrowded = done === 'stuck' || (await isFull(docker, containerId, signal));
    const askMs = isCrowded ? ASK_KILL_MS : ASK_MS;
    hasKilledAll = true;
    try {
      if (done === 'stuck') throw new Error('no process can be begun in it');
      await killAll(docker, containerId, { signal, askMs });
    } catch {
      signal.throwIfAborted();
      // The same processes go with it. The workspace survives its container.
      killedFor = why;
      await killContainer();
    }
    isOver = true;
    await wait(GRACE_MS);
    giveUp();
    await wait(FINISH_MS);
    // Not even KILL has helped.
    killedFor = why;
    await killContainer();
  }
  // A container that cannot be reached any more ends the stream too, and is reported there.
  const enforcing = enforce().catch(() => {
    isOver = true;
    giveUp();
  });
  return {
    killedFor: () => killedFor,
    hasKilledAll: () => hasKilledAll,
    isOver: () => isOver,
    killing: () => killing,
    async close() {
      closing.abort();
      await enforcing;
    },
  };
}

type Asking = { docker: Docker; containerId: string; env: Record<string, string>; signal: AbortSignal };

/**
 * TERM, then KILL, to the processes of a command.
 *
 * @returns for how long its wrapper may take to finish; `goes-on`, or nobody knows; `stuck`: nobody can ask
 */
async function endCommand(asking: Asking, why: StopReason): Promise<number | 'goes-on' | 'stuck'> {
  const { docker, containerId, signal } = asking;
  const wait = (ms: number) => pause(ms, undefined, { signal });
  let said = await askUnlessFull(asking, why);
  for (let waitedMs = 0; said === 'broken' && waitedMs < GRACE_MS; waitedMs += ASK_AGAIN_MS) {
    await wait(ASK_AGAIN_MS);
    said = await ask(asking, 'TERM', why);
  }
  if (said === 'ended') return FINISH_MS;
  if (said === 'gone') return FINISH_STOPPED_MS;
  if (said === 'full') return 'stuck';
  if (said !== 'stopping') return 'goes-on';
  await waitUnlessFull(docker, containerId, { forMs: GRACE_MS, signal });
  said = await ask(asking, 'KILL', why);
  if (said === 'stopping') {
    await waitUnlessFull(docker, containerId, { forMs: KILL_MS, signal });
    said = await ask(asking, 'KILL', why);
  }
  return said === 'ended' || said === 'gone' ? FINISH_STOPPED_MS : 'goes-on';
}

const ask = ({ docker, containerId, env, signal }: Asking, sent: 'TERM' | 'KILL', why: StopReason) =>
  askToEnd(docker, containerId, { ...env, _THREADBOX_SIGNAL: sent, _THREADBOX_WHY: why }, signal);

/** The exec that asks is what others would wait for, too: the engine begins one after the other in a container. */
async function askUnlessFull(asking: Asking, why: StopReason): Promise<StopWord | 'full'> {
  const { docker, containerId } = asking;
  const settled = new AbortController();
  const signal = AbortSignal.any([asking.signal, settled.signal]);
  const full = waitUnlessFull(docker, containerId, { forMs: ASK_MS, signal, looks: 3 });
  const tired = full.then((isFull) => (isFull ? 'full' : 'unknown'));
  try {
    return await Promise.race([ask({ ...asking, signal }, 'TERM', why), tired]);
  } finally {
    settled.abort();
    await tired.catch(() => undefined);
  }
}

type TimeLimitRequest = {
  timeoutMs: number;
  cancelled: AbortSignal | undefined;
  env: Record<string, string>;
  giveUp: () => void;
};

/** @throws at the end of `signal` */
async function untilOver(
  timeoutMs: number,
  cancelled: AbortSignal | undefined,
  signal: AbortSignal,
): Promise<StopReason> {
  try {
    const either = cancelled ? AbortSignal.any([signal, cancelled]) : signal;
    await pause(Math.max(0, timeoutMs), undefined, { signal: either });
    return 'timed_out';
  } catch {
    signal.throwIfAborted();
    return 'cancelled';
  }
}

/** `broken`: there is nothing that tells what to ask. `gone`: nobody. `unknown`: it could not be asked. */
async function askToEnd(
  docker: Docker,
  containerId: string,
  env: Record<string, string>,
  signal: AbortSignal,
): Promise<StopWord> {
  try {
    const request = { command: RUN_FROM_ENVIRONMENT, env: { ...env, _THREADBOX_RUN: scripts.stop } };
    const askMs = env['_THREADBOX_SIGNAL'] === 'KILL' ? ASK_KILL_MS : ASK_MS;
    const { stdout } = await execText(docker, containerId, { ...request, signal: soon(signal, askMs) });
    return STOP_WORDS.find((word) => word === stdout) ?? 'unknown';
  } catch {
    signal.throwIfAborted();
    // No process more can be started where a command has started too many: KILL makes room.
    return 'unknown';
  }
}

const STOP_WORDS = ['stopping', 'ended', 'gone', 'broken'] as const;
type StopWord = (typeof STOP_WORDS)[number] | 'unknown';

/**
 * For how long an execution has been running, whoever started it and whatever the clocks were set to since. 0 where it
 * does not run, or cannot say: then its time begins anew.
 *
 * @throws {ContainersError} `DOCKER_UNREACHABLE`; or the reason of `signal`
 */
export async function ranForMs(
  docker: Docker,
  containerId: string,
  { env, signal }: { env: Record<string, string>; signal: AbortSignal },
): Promise<number> {
  try {
    const request = { command: RUN_FROM_ENVIRONMENT, env: { ...env, _THREADBOX_RUN: scripts.elapsed } };
    const { stdout } = await execText(docker, containerId, { ...request, signal: soon(signal) });
    return /^\d{1,12}$/.test(stdout) ? Number(stdout) * HUNDREDTH_MS : 0;
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof ContainersError) || error.code !== 'DOCKER_UNREACHABLE') return 0;
    // That nothing could be asked says nothing about the command.
    throw new ContainersError(error.code, error.message, { cause: error.cause, mayHaveStarted: true });
  }
}

const HUNDREDTH_MS = 10;

function soon(signal?: AbortSignal, askMs = ASK_MS): AbortSignal {
  const deadline = AbortSignal.timeout(askMs);
  return signal ? AbortSignal.any([signal, deadline]) : deadline;
}

/**
 * Kills every process of the commands in a container, this thread's earlier background processes included.
 *
 * @throws {ContainersError} or the reason of `signal`, or that nothing was done within `askMs`
 */
export async function killAll(
  docker: Docker,
  containerId: string,
  { signal, askMs = ASK_MS }: { signal?: AbortSignal | undefined; askMs?: number } = {},
): Promise<void> {
  const request = { command: ['bash', '-c', 'kill -KILL -1'], env: {} };
  try {
    await execText(docker, containerId, { ...request, signal: soon(signal, askMs) });
  } catch (error) {
    if (!(error instanceof ContainersError) || error.code !== 'DOCKER_REFUSED') throw error;
    const container = docker.getContainer(containerId);
    const { HostConfig } = await container.inspect();
    const limit = HostConfig.PidsLimit ?? 0;
    // Without a limit something else keeps it from beginning.
    if (limit <= 0) throw error;
    await container.update({ PidsLimit: limit + 64 });
    try {
      await execText(docker, containerId, { ...request, signal: soon(signal, askMs) });
    } finally {
      await container.update({ PidsLimit: limit });
    }
  }
}

/** As `startExec`; where the processes of earlier commands leave no room for another, they are killed first. */
export async function startExecMakingRoom(docker: Docker, containerId: string, request: ExecRequest) {
  try {
    return await startExec(docker, containerId, request);
  } catch (error) {
    const { cause } = error as Error;
    const isFull =
      statusOf(cause) !== null && /resource temporarily unavailable|cannot fork/i.test(String(cause));
    if (!isFull) throw error;
    await killAll(docker, containerId);
    return startExec(docker, containerId, request);
  }
}
