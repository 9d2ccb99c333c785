import type { Db } from '../store/database.ts';
import { countAttempts, newestReceived, takeBackAttempts, type ReceivedMessage } from '../store/messages.ts';

/**
 * A process that comes to this has survived what it has read: from then on it waits, as for the DNS, and a process that ends
 * in that was not ended by the mail.
 */
const SURVIVED_AFTER_MS = 1_000;

/**
 * Suspects are the messages that an earlier process has left: reading one of them may be what ended it. That they are tried is stored before, and
 * taken back once this process has lived through it. After a process that ended they are known by that, and tried alone, so
 * that the others among them do not share the blame of the one.
 */
export class Suspects {
  readonly #db: Db;
  readonly #survivedAfterMs: number;
  /** All up to that id; null before it is known. */
  #upTo: number | null = null;
  /** Those that this process may have counted: an answer of the database can be lost on its way. */
  readonly #counted = new Set<number>();

  constructor(db: Db, survivedAfterMs = SURVIVED_AFTER_MS) {
    this.#db = db;
    this.#survivedAfterMs = survivedAfterMs;
  }

  /** All that are left now, if it is not known who they are. */
  async find(): Promise<void> {
    this.#upTo ??= await newestReceived(this.#db);
  }

  /** Another process is at work: what it will leave is suspect again. */
  forget(): void {
    this.#upTo = null;
  }

  has({ id }: ReceivedMessage): boolean {
    return id <= (this.#upTo ?? 0);
  }

  /** All of them have been tried: what is put off has shown that it can be read. */
  areTried(): void {
    this.#upTo = 0;
  }

  /** @returns the first of some messages that can be taken at once, one at least */
  firstTogether(messages: readonly ReceivedMessage[]): readonly ReceivedMessage[] {
    const [first] = messages;
    if (first === undefined) return [];
    if (!this.has(first)) return messages;
    if (this.attempts(first) > 0) return [first];
    const end = messages.findIndex((message) => !this.has(message) || this.attempts(message) > 0);
    return end === -1 ? messages : messages.slice(0, end);
  }

  /** Those before this process. */
  attempts({ id, attempts }: ReceivedMessage): number {
    return Math.max(0, attempts - (this.#counted.has(id) ? 1 : 0));
  }

  /** Before they are read. @returns them with their attempts before this one */
  async count(messages: readonly ReceivedMessage[]): Promise<ReceivedMessage[]> {
    const before = messages.map((message) => ({ ...message, attempts: this.attempts(message) }));
    const ids = messages.map(({ id }) => id).filter((id) => !this.#counted.has(id));
    for (const id of ids) this.#counted.add(id);
    await countAttempts(this.#db, ids);
    return before;
  }

  /** Waits for what is done with those that are read, but no longer than until it is sure that this process survives it. */
  async unlessLong(job: Promise<unknown>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, this.#survivedAfterMs);
    await Promise.race([job, promise]);
    clearTimeout(timer);
  }

  /** This process lives, whatever will become of them. */
  async survived(messages: readonly ReceivedMessage[]): Promise<void> {
    await this.#takeBack(messages.map(({ id }) => id).filter((id) => this.#counted.has(id)));
  }

  async survivedAll(): Promise<void> {
    await this.#takeBack([...this.#counted]);
  }

  async #takeBack(ids: readonly number[]): Promise<void> {
    for (const id of ids) this.#counted.delete(id);
    try {
      await takeBackAttempts(this.#db, ids);
    } catch (error) {
      for (const id of ids) this.#counted.add(id);
      throw error;
    }
  }
}
