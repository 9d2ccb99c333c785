import PQueue from 'p-queue';

/**
 * One queue for each thread, one job at a time in it, under one limit for all. Everything that touches a thread's
 * container goes through its queue.
 */
export class ThreadQueues {
  readonly #all: PQueue;
  readonly #threads = new Map<string, PQueue>();
  #isClosed = false;

  /** @param concurrency jobs at once, of all threads together */
  constructor(concurrency: number) {
    this.#all = new PQueue({ concurrency });
  }

  /** Puts a job at the end of its thread's queue. What it throws goes to `onFault`. */
  add(threadId: string, job: () => Promise<void>, onFault: (error: unknown) => void): void {
    if (this.#isClosed) return;
    let queue = this.#threads.get(threadId);
    if (!queue) {
      queue = new PQueue({ concurrency: 1 });
      this.#threads.set(threadId, queue);
    }
    const added = queue;
    added
      .add(() => this.#all.add(job))
      .catch((error: unknown) => {
        // What waited when the queues were closed stays in the database and is queued again at the next start.
        if (!(this.#isClosed && (error as Error).name === 'AbortError')) onFault(error);
      })
      .then(() => added.onIdle())
      .then(() => {
        if (this.#threads.get(threadId) === added && added.size + added.pending === 0) {
          this.#threads.delete(threadId);
        }
      }, onFault);
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
    await this.#all.onIdle();
  }
}
