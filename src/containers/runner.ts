import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type Docker from 'dockerode';
import type { StreamedAnswer } from './answer-stream.ts';
import { startExec } from './exec.ts';
import { RUNNER_FROM_ENVIRONMENT, scripts } from './inside.ts';
import { startExecMakingRoom } from './time-limit.ts';

/** A stream of one of the scripts of inside/, to be read to its end or to be given up. */
export type AnswerStream = AsyncIterable<Buffer> & { destroy: () => unknown };

/** A runner that does not take a command within this time is lost: its container may be paused. */
const TAKE_MS = 30_000;
/** A connection that a router in between has forgotten is found out before the next command. */
const KEEP_ALIVE_MS = 30_000;

/**
 * A bash that waits in a container for commands: inside/runner.sh. To start a process there costs the engine more than
 * most commands do; this is done once. It ends with its connection, while a command that it has begun goes on.
 */
export class Runner {
  readonly #stream: Duplex;
  readonly #takeMs: number;
  #isLost = false;
  #isBusy = false;
  #silence: NodeJS.Timeout | undefined;

  constructor(stream: Duplex, { takeMs, onLost }: { takeMs: number; onLost: () => void }) {
    this.#stream = stream;
    this.#takeMs = takeMs;
    const lose = (): void => {
      if (this.#isLost) return;
      this.#isLost = true;
      clearTimeout(this.#silence);
      onLost();
    };
    stream.once('close', lose);
    // What it says when nobody asks, its end too, cannot be told from an answer to come.
    stream.on('readable', () => {
      if (!this.#isBusy) stream.destroy();
    });
    stream.on('end', () => stream.destroy());
    stream.on('error', lose);
    const socket = stream as Partial<SocketParts>;
    socket.setKeepAlive?.(true, KEEP_ALIVE_MS);
  }

  get isLost(): boolean {
    return this.#isLost || this.#stream.destroyed;
  }

  /** Gives it a command, the only one until the answer is read and `release` was called. */
  send(request: Buffer): AnswerStream {
    const stream = this.#stream;
    this.#isBusy = true;
    (stream as Partial<SocketParts>).ref?.();
    const silence = setTimeout(() => stream.destroy(), this.#takeMs);
    this.#silence = silence;
    stream.write(request);
    async function* chunks(): AsyncGenerator<Buffer> {
      for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
        clearTimeout(silence);
        yield chunk as Buffer;
      }
    }
    const answer = chunks();
    return { [Symbol.asyncIterator]: () => answer, destroy: () => stream.destroy() };
  }

  /** @returns false when it is of no more use */
  release({ isWhole, facts, hasMore }: StreamedAnswer): boolean {
    this.#isBusy = false;
    // Reading also makes an end that came meanwhile known.
    if (!isWhole || !facts || hasMore || this.isLost || this.#stream.read() !== null) {
      this.#stream.destroy();
      return false;
    }
    return true;
  }

  /** An idle runner keeps nobody from ending. */
  rest(): void {
    (this.#stream as Partial<SocketParts>).unref?.();
  }

  destroy(): void {
    this.#stream.destroy();
  }
}

type SocketParts = { ref(): unknown; unref(): unknown; setKeepAlive(on: boolean, ms: number): unknown };

/** The runners of one engine: at most one idle in each container. */
export class Runners {
  readonly #docker: Docker;
  readonly #takeMs: number;
  readonly #all = new Set<Runner>();
  readonly #idle = new Map<string, Runner>();
  /** On their way, for commands that are about to come. */
  readonly #coming = new Map<string, Promise<void>>();
  #isClosed = false;

  constructor(docker: Docker, { takeMs = TAKE_MS } = {}) {
    this.#docker = docker;
    this.#takeMs = takeMs;
  }

  /**
   * The idle runner of a container, or a new one.
   *
   * @throws {ContainersError} what `startExec` throws; or the reason of `signal`
   */
  async take(containerId: string, signal: AbortSignal): Promise<Runner> {
    signal.throwIfAborted();
    await this.#coming.get(containerId);
    const idle = this.#idle.get(containerId);
    this.#idle.delete(containerId);
    if (idle && !idle.isLost) return idle;
    return this.#start(containerId, signal, startExecMakingRoom);
  }

  /**
   * Starts the runner of a container before there is a command for it: while its workspace is being prepared, say. What
   * keeps it from starting is found out, and told, by the command: for that alone others may be killed.
   */
  warm(containerId: string, signal: AbortSignal): void {
    if (this.#isClosed || this.#idle.has(containerId) || this.#coming.has(containerId)) return;
    const coming = this.#start(containerId, signal, startExec)
      .then(
        (runner) => this.#keep(containerId, runner),
        () => undefined,
      )
      .finally(() => this.#coming.delete(containerId));
    this.#coming.set(containerId, coming);
  }

  async #start(containerId: string, signal: AbortSignal, start: typeof startExec): Promise<Runner> {
    const stream = await start(this.#docker, containerId, {
      command: RUNNER_FROM_ENVIRONMENT,
      env: { _THREADBOX_RUN: scripts.runner, _THREADBOX_COMMAND: scripts.command },
      signal,
      hasInput: true,
    });
    const runner = new Runner(stream, {
      takeMs: this.#takeMs,
      onLost: () => {
        this.#all.delete(runner);
        if (this.#idle.get(containerId) === runner) this.#idle.delete(containerId);
      },
    });
    this.#all.add(runner);
    return runner;
  }

  /** Takes back a runner whose answer was read. */
  give(containerId: string, runner: Runner, answer: StreamedAnswer): void {
    if (runner.release(answer)) this.#keep(containerId, runner);
  }

  #keep(containerId: string, runner: Runner): void {
    if (this.#isClosed || this.#idle.has(containerId)) {
      runner.destroy();
      return;
    }
    runner.rest();
    this.#idle.set(containerId, runner);
  }

  /** Lets go of all of them. What they run goes on. */
  close(): void {
    this.#isClosed = true;
    for (const runner of this.#all) runner.destroy();
  }
}

/** Known to the bot and to the wrapper of one execution alone: no command can print it. */
export function newNonce(): string {
  return randomBytes(16).toString('hex');
}

const runnersOfEngines = new WeakMap<Docker, Runners>();

/** @param more for the first call: tests alone give it */
export function runnersOf(docker: Docker, more?: { takeMs?: number }): Runners {
  let runners = runnersOfEngines.get(docker);
  if (!runners) {
    runners = new Runners(docker, more);
    runnersOfEngines.set(docker, runners);
  }
  return runners;
}

/** When the engine is left. Commands that run go on in their containers. */
export function closeRunners(docker: Docker): void {
  runnersOfEngines.get(docker)?.close();
}
