import { setTimeout as pause } from 'node:timers/promises';
import PQueue from 'p-queue';

/** What a thread's queue does for one command, in this order, with no other job of the thread in between. */
export type QueuedJob = {
  /** Before it takes one of the places that all threads share: what it waits for there holds up no other thread. */
  prepare?: () => Promise<void>;
  /** It waits for one of those places from now on. @returns what is called when it has one, or never will */
  whileWaiting?: () => () => void;
  /** Asked when it has one. False: it gives that up, and begins again with `prepare`. */
  mayRun?: () => Promise<boolean>;
  run: () => Promise<void>;
  /** When its place is free for others again. */
  finish?: () => Promise<void>;
};

/**
 * One queue for each thread, one job at a time in it. Everything that touches a thread's container goes through its
 * queue. Commands take their turn under one limit for all threads besides.
 */
export class ThreadQueues {
  readonly #all: PQueue;
  readonly #threads = new Map<string, PQueue>();
  readonly #running = new Set<Promise<unknown>>();
  #isClosed = false;

  /** @param concurrency commands at once, of all threads together */
  constructor(concurrency: number) {
    this.#all = new PQueue({ concurrency });
  }

  /** Puts a command at the end of its thread's queue. What it throws goes to `onFault`. */
  add(threadId: string, of: QueuedJob, onFault: (error: unknown) => void): void {
    if (this.#isClosed) return;
    const { finish } = of;
    const job = async (): Promise<void> => {
      try {
        while (!(await this.#runInItsPlace(of)));
      } finally {
        if (!this.#isClosed) await finish?.();
      }
    };
    this.#enqueue(threadId, job).catch((error: unknown) => {
      // What waited when the queues were closed stays in the database and is queued again at the next start.
      if (!(this.#isClosed && (error as Error).name === 'AbortError')) onFault(error);
    });
  }

  /** @returns false where it has given up its place */
  async #runInItsPlace({ prepare, whileWaiting, mayRun, run }: QueuedJob): Promise<boolean> {
    await prepare?.();
    let waitsNoMore = whileWaiting?.();
    const endWait = (): void => {
      waitsNoMore?.();
      waitsNoMore = undefined;
    };
    try {
      return await this.#all.add(async () => {
        endWait();
        if (mayRun && !(await mayRun())) return false;
        await run();
        return true;
      });
    } finally {
      endWait();
    }
  }

  /**
   * Does something else that touches the thread's container, when its turn has come.
   *
   * @throws what the job throws; an AbortError when the queues were closed first
   */
  async run<T>(threadId: string, job: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw closedError();
    return this.#enqueue(threadId, job);
  }

  /**
   * The same, if nothing of the thread runs or waits: that is looked at and its turn taken in one step, so that nobody who
   * calls it ever waits behind a command.
   *
   * @returns null when something of the thread does run or wait
   */
  runIfIdle<T>(threadId: string, job: () => Promise<T>): Promise<T> | null {
    return this.isBusy(threadId) ? null : this.run(threadId, job);
  }

  /** True when a job of the thread runs or waits. */
  isBusy(threadId: string): boolean {
    const queue = this.#threads.get(threadId);
    return queue !== undefined && queue.size + queue.pending > 0;
  }

  /** Resolves when nothing waits and nothing runs. */
  async onIdle(): Promise<void> {
    while (this.#threads.size > 0)
      await Promise.all([...this.#threads.values()].map((queue) => queue.onIdle()));
  }

  /** Drops what waits (its commands stay in the database) and takes nothing more; resolves when what runs has ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const queue of this.#threads.values()) queue.clear();
    this.#all.clear();
    await Promise.allSettled(this.#running);
  }

  async #enqueue<T>(threadId: string, job: () => Promise<T>): Promise<T> {
    let queue = this.#threads.get(threadId);
    if (!queue) {
      queue = new PQueue({ concurrency: 1 });
      this.#threads.set(threadId, queue);
    }
    const added = queue;
    const running = added.add(async () => {
      const done = job();
      this.#running.add(done);
      return done.finally(() => this.#running.delete(done));
    });
    try {
      return await running;
    } finally {
      void added.onIdle().then(() => {
        if (this.#threads.get(threadId) === added && added.size + added.pending === 0) {
          this.#threads.delete(threadId);
        }
      });
    }
  }
}

/**
 * Lets so many do something at once; the others wait.
 *
 * @param patienceMs who has not ended after that goes on beside the others, whose turn it is: what hangs stops nobody
 */
export function atMost(
  concurrency: number,
  patienceMs: number | null = null,
): <T>(job: () => Promise<T>) => Promise<T> {
  const queue = new PQueue({ concurrency });
  if (patienceMs === null) return (job) => queue.add(job);
  return async (job) => {
    // Wrapped: a promise that is handed on would be waited for.
    const { done } = await queue.add(async () => {
      const running = job();
      const left = new AbortController();
      const patience = pause(patienceMs, undefined, { signal: left.signal, ref: false });
      await Promise.allSettled([Promise.race([running, patience])]);
      left.abort();
      await Promise.allSettled([patience]);
      return { done: running };
    });
    return done;
  };
}

function closedError(): Error {
  return Object.assign(new Error('the bot stops'), { name: 'AbortError' });
}
