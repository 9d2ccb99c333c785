import type { Log } from '../log.ts';
import type { PartState } from '../part-state.ts';
import { PATIENT, pauseMs } from '../retry.ts';
import { isDatabaseAway, type Db } from '../store/database.ts';
import { countAttempt, nextReceived, type ReceivedMessage } from '../store/messages.ts';
import { isSenderUnknownYet } from './admit.ts';
import type { Taken } from './settle.ts';

/** A message that fails this often for a reason of its own is set aside, so that it cannot hold up the others. */
const MOST_ATTEMPTS = 3;

export type IntakeParts = {
  db: Db;
  take: (message: ReceivedMessage) => Promise<Taken>;
  /** Sets aside a message that cannot be taken. */
  giveUp: (message: ReceivedMessage, fault: Error) => Promise<Taken>;
  onTaken: (taken: Taken) => void;
  /** No message is left to be taken: what is told of several at once is told now. */
  onCaughtUp: () => Promise<void>;
  /** False while another bot works on the database: then nothing is taken until woken. */
  isOurs: () => boolean;
  /**
   * Queues the commands that the database has and the queues do not. Called at the start, and after each fault of the
   * database: it may have stored a command in the very moment it went, and have told nobody.
   */
  resume: () => Promise<void>;
  database: PartState;
  log: Log;
};

/** Handles recorded messages one after the other, in the order of their arrival, also those of before a restart. */
export class IntakeLoop {
  readonly #parts: IntakeParts;
  readonly #ended: Promise<void>;
  #isClosed = false;
  #isWoken = true;
  #wakeUp = (): void => {};

  constructor(parts: IntakeParts) {
    this.#parts = parts;
    this.#ended = this.#run();
  }

  /** A message was recorded: look now. */
  wake(): void {
    this.#isWoken = true;
    this.#wakeUp();
  }

  /** Resolves when the message in hand is settled; the rest waits in the database. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#wakeUp();
    await this.#ended;
  }

  async #run(): Promise<void> {
    let failures = 0;
    let isInDoubt = true;
    while (!this.#isClosed) {
      this.#isWoken = false;
      if (!this.#parts.isOurs()) {
        isInDoubt = true;
        await this.#pause(0);
        continue;
      }
      try {
        if (isInDoubt) await this.#parts.resume();
        isInDoubt = !(await this.#pass());
        failures = isInDoubt ? failures + 1 : 0;
      } catch (error) {
        failures += 1;
        isInDoubt = true;
        if (isDatabaseAway(error)) this.#parts.database.isDown(error as Error);
        else this.#parts.log.error({ err: error }, 'handling messages failed; trying again');
      }
      if (!this.#isClosed && !this.#isWoken) await this.#pause(failures);
    }
  }

  /** Until woken; after failures no longer than their pause. */
  async #pause(failures: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = failures > 0 ? setTimeout(resolve, pauseMs(failures, PATIENT)) : undefined;
    this.#wakeUp = resolve;
    await promise;
    clearTimeout(timer);
  }

  /** @returns false when messages are left that must be tried again after a pause */
  async #pass(): Promise<boolean> {
    let isClean = true;
    for (let afterId = 0; !this.#isClosed && this.#parts.isOurs();) {
      const message = await nextReceived(this.#parts.db, afterId);
      this.#parts.database.isUp();
      if (message === null) {
        await this.#parts.onCaughtUp();
        return isClean;
      }
      afterId = message.id;
      if (!(await this.#handle(message))) isClean = false;
    }
    return true;
  }

  /** @returns false when the message is to be tried again */
  async #handle(message: ReceivedMessage): Promise<boolean> {
    const { db, take, giveUp, onTaken, log } = this.#parts;
    try {
      const taken = await take(message);
      if (taken.kind === 'dropped' || taken.kind === 'failed') {
        log.info({ message: message.id, outcome: taken.kind, reason: taken.reason }, 'message not run');
      }
      onTaken(taken);
      return true;
    } catch (error) {
      // Told once, by who has asked; it costs the message none of its attempts.
      if (isSenderUnknownYet(error)) return false;
      if (isDatabaseAway(error)) throw error;
      log.error({ message: message.id, err: error }, 'a message could not be handled');
      if (message.attempts + 1 < MOST_ATTEMPTS) {
        await countAttempt(db, message.id);
        return false;
      }
      onTaken(await giveUp(message, error as Error));
      return true;
    }
  }
}
