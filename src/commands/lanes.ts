/**
 * Does jobs side by side, but those of one lane one after the other, in the order in which they came. Counts what is in
 * hand. After the first fault nothing more is begun.
 */
export class Lanes {
  readonly #last = new Map<string, Promise<void>>();
  #count = 0;
  #bytes = 0;
  #fault: { error: unknown } | null = null;
  #onChange = (): void => {};

  /** Of mails whose jobs are not done. */
  get count(): number {
    return this.#count;
  }

  get hasFailed(): boolean {
    return this.#fault !== null;
  }

  /**
   * @param held by the job until it is done: so many mails of so many bytes
   * @returns what resolves when it is done, or left after a fault; never fails
   */
  add(lane: string, held: { count: number; bytes: number }, job: () => Promise<void>): Promise<void> {
    this.#count += held.count;
    this.#bytes += held.bytes;
    const before = this.#last.get(lane);
    const done = this.#do(before, job).finally(() => {
      this.#count -= held.count;
      this.#bytes -= held.bytes;
      if (this.#last.get(lane) === done) this.#last.delete(lane);
      this.#onChange();
    });
    this.#last.set(lane, done);
    return done;
  }

  /** Resolves when no more than that is in hand. */
  async until(most: { count: number; bytes: number }): Promise<void> {
    while (this.#count > most.count || this.#bytes > most.bytes) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onChange = resolve;
      await promise;
    }
  }

  /** Resolves when all are done. */
  async idle(): Promise<void> {
    await this.until({ count: 0, bytes: 0 });
  }

  /** @throws the first fault, when all are done */
  async ended(): Promise<void> {
    await this.idle();
    if (this.#fault) throw this.#fault.error;
  }

  async #do(before: Promise<void> | undefined, job: () => Promise<void>): Promise<void> {
    await before;
    if (this.#fault) return;
    try {
      await job();
    } catch (error) {
      this.#fault ??= { error };
    }
  }
}
