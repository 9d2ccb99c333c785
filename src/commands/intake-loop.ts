import type { Log } from '../log.ts';
import type { PartState } from '../part-state.ts';
import { PATIENT, pauseMs } from '../retry.ts';
import { isDatabaseAway, type Db } from '../store/database.ts';
import { countAttempts, nextReceived, type ReceivedMessage } from '../store/messages.ts';
import { isSenderUnknownYet } from './admit.ts';
import { Lanes } from './lanes.ts';
import type { Taken } from './settle.ts';
import type { ReadMail } from './judge.ts';
import { Suspects } from './suspects.ts';

/** A message that fails this often for a reason of its own is set aside, so that it cannot hold up the others. */
const MOST_ATTEMPTS = 3;

/**
 * With nothing to do it looks again after so long, for messages and for commands: of two bots on one database, the one
 * that has just lost its turn may have stored something in the moment the other took over, which nobody is woken for.
 */
const LOOK_EVERY_MS = 10_000;

/** So many are looked up at once, or fewer of so many bytes; and no more while more than that is in hand. */
const PORTION = { count: 64, bytes: 4 << 20 };

export type IntakeParts = {
  db: Db;
  /** Fails for none. @param part the header alone, where reading the whole has ended the process before */
  parse: (raw: Buffer, part: 'whole' | 'header') => Promise<ReadMail['message']>;
  take: (mail: ReadMail) => Promise<Taken>;
  /** Takes as many of the first of some mails of one sender as can be taken at once, or none. */
  takeRun: (mails: readonly ReadMail[]) => Promise<(Taken | null)[]>;
  /** Sets aside a message that cannot be taken. */
  giveUp: (mail: ReadMail, fault: Error) => Promise<Taken>;
  onTaken: (taken: Taken) => void;
  /** Whether so many can be taken side by side, besides those in hand; otherwise each waits for the one before. */
  mayShare: (mails: number, inHand: number) => Promise<boolean>;
  /** No message is left to be taken: what is told of several at once is told now. */
  onCaughtUp: () => Promise<void>;
  /** False while another bot works on the database: then nothing is taken until woken. */
  isOurs: () => boolean;
  lookEveryMs?: number;
  survivedAfterMs?: number;
  /**
   * Queues the commands that the database has and the queues do not. Called at the start, and after each fault of the
   * database: it may have stored a command in the very moment it went, and have told nobody. Also before mails that were
   * put off are tried again, when this bot has become the one that works, and with each look that nobody has asked for.
   */
  resume: () => Promise<void>;
  database: PartState;
  log: Log;
};

/** What one sender's mails come to can depend on those before them; it never depends on what others write. */
const senderOf = ({ message }: ReadMail): string => ('sender' in message && message.sender) || '';

/** `held`: senders with a mail that has failed, whose later ones are not to overtake it. */
type Pass = { lanes: Lanes; held: Set<string>; isClean: boolean };

/**
 * Handles recorded messages in the order of their arrival, also those of before a restart: each sender's one after the
 * other, those of different senders side by side. What is in hand is bounded by its bytes.
 */
export class IntakeLoop {
  readonly #parts: IntakeParts;
  readonly #ended: Promise<void>;
  #isClosed = false;
  #isWoken = true;
  readonly #suspects: Suspects;
  #wakeUp = (): void => {};

  constructor(parts: IntakeParts) {
    this.#parts = parts;
    this.#suspects = new Suspects(parts.db, parts.survivedAfterMs);
    this.#ended = this.#run();
  }

  /** A message was recorded: look now. */
  wake(): void {
    this.#isWoken = true;
    this.#wakeUp();
  }

  /** Resolves when the messages in hand are settled; the rest waits in the database. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#wakeUp();
    try {
      // Before the wait for what is in hand, which may be cut short.
      await this.#suspects.survivedAll();
    } finally {
      await this.#ended;
    }
  }

  async #run(): Promise<void> {
    let failures = 0;
    let isInDoubt = true;
    let isAsked = true;
    while (!this.#isClosed) {
      this.#isWoken = false;
      if (!this.#parts.isOurs()) {
        isInDoubt = true;
        isAsked = true;
        this.#suspects.forget();
        await this.#pause(0);
        continue;
      }
      try {
        if (isInDoubt) await this.#parts.resume();
        isInDoubt = !(await this.#pass(isAsked));
        failures = isInDoubt ? failures + 1 : 0;
      } catch (error) {
        failures += 1;
        isInDoubt = true;
        if (isDatabaseAway(error)) this.#parts.database.isDown(error as Error);
        else this.#parts.log.error({ err: error }, 'handling messages failed; trying again');
      }
      if (!this.#isClosed && !this.#isWoken) await this.#pause(failures);
      isAsked = this.#isWoken || failures > 0;
      isInDoubt ||= !isAsked;
    }
  }

  /** Until woken, but not for long; after failures for their pause. */
  async #pause(failures: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { lookEveryMs = LOOK_EVERY_MS } = this.#parts;
    const timer = setTimeout(resolve, failures > 0 ? pauseMs(failures, PATIENT) : lookEveryMs);
    this.#wakeUp = resolve;
    await promise;
    clearTimeout(timer);
  }

  /**
   * @param isAsked when it is not, what follows a pass can do without one that has found nothing
   * @returns false when messages are left that must be tried again after a pause
   */
  async #pass(isAsked: boolean): Promise<boolean> {
    const { db, database, onCaughtUp } = this.#parts;
    const lanes = new Lanes();
    const pass: Pass = { lanes, held: new Set(), isClean: true };
    const suspects = this.#suspects;
    await suspects.find();
    let afterId = 0;
    let isAlone = false;
    try {
      while (this.#goesOn(lanes)) {
        await lanes.until(PORTION);
        const found = await nextReceived(db, afterId, isAlone ? { ...PORTION, count: 1 } : PORTION);
        database.isUp();
        const messages = suspects.firstTogether(found);
        const last = messages.at(-1);
        if (!last || !suspects.has(last)) suspects.areTried();
        if (last) {
          // What comes after one that has to be alone is likely to be such a one as well: it is not fetched in vain.
          isAlone = suspects.has(last) && suspects.attempts(last) > 0;
          await this.#share(pass, messages);
          afterId = last.id;
        } else if (lanes.count > 0) {
          await lanes.idle();
        } else {
          if (isAsked || afterId > 0) await onCaughtUp();
          return pass.isClean;
        }
      }
    } finally {
      await lanes.idle();
    }
    await lanes.ended();
    return true;
  }

  #goesOn(lanes: Lanes): boolean {
    return !this.#isClosed && this.#parts.isOurs() && !lanes.hasFailed;
  }

  /** Reads some messages, and puts them into their senders' lanes. */
  async #share(pass: Pass, messages: readonly ReceivedMessage[]): Promise<void> {
    const { mayShare } = this.#parts;
    const { lanes } = pass;
    let isSideBySide = await mayShare(messages.length, lanes.count);
    if (!isSideBySide) {
      await lanes.idle();
      isSideBySide = await mayShare(messages.length, 0);
    }
    const areSuspects = messages.some((message) => this.#suspects.has(message));
    const counted = areSuspects ? await this.#suspects.count(messages) : messages;
    // Closing takes back what is counted, and may have come before this was.
    if (areSuspects && !this.#goesOn(lanes)) return this.#suspects.survived(messages);
    // All of them before the first is judged, while those of the portion before wait for the database: so they ask together.
    const mails: ReadMail[] = [];
    for (const received of counted) mails.push({ received, message: await this.#read(received) });
    const put = this.#put(pass, mails, isSideBySide);
    if (areSuspects) {
      await this.#suspects.unlessLong(put.then(({ done }) => done));
      await this.#suspects.survived(messages);
    }
    await put;
    // One that came alone is followed by none.
    if (messages.length === 1 && !areSuspects) await lanes.idle();
  }

  /**
   * Of one that has ended each process that read it only the header, for its sender to be told; and nothing of what has
   * ended one even so.
   */
  async #read({ id, raw, attempts }: ReceivedMessage): Promise<ReadMail['message']> {
    if (attempts < MOST_ATTEMPTS) return this.#parts.parse(raw, 'whole');
    this.#parts.log.error({ message: id, attempts }, 'a message has ended Threadbox each time');
    if (attempts === MOST_ATTEMPTS) return this.#parts.parse(raw, 'header');
    return { unreadable: `Threadbox ended ${attempts} times over it` };
  }

  /** One by one where they may not be side by side. @returns `done`: resolves when none is in hand; never fails */
  async #put(
    pass: Pass,
    mails: readonly ReadMail[],
    isSideBySide: boolean,
  ): Promise<{ done: Promise<unknown> }> {
    const runs = isSideBySide ? [...Map.groupBy(mails, senderOf).values()] : mails.map((mail) => [mail]);
    const jobs: Promise<void>[] = [];
    for (const run of runs) {
      if (!isSideBySide) await pass.lanes.idle();
      const bytes = run.reduce((sum, { received }) => sum + received.raw.length, 0);
      const sender = senderOf(run[0] as ReadMail);
      jobs.push(pass.lanes.add(sender, { count: run.length, bytes }, () => this.#takeRun(pass, run)));
    }
    return { done: Promise.all(jobs) };
  }

  /** Some of one sender, when those before them are settled or put off. */
  async #takeRun(pass: Pass, run: readonly ReadMail[]): Promise<void> {
    const sender = senderOf(run[0] as ReadMail);
    if (!this.#goesOn(pass.lanes) || pass.held.has(sender)) return;
    const taken = run.length > 1 ? await this.#takeTogether(run) : [];
    for (const [place, one] of taken.entries()) if (one) this.#tell(run[place] as ReadMail, one);
    for (const mail of run.slice(taken.length)) await this.#inTurn(pass, mail);
  }

  async #takeTogether(run: readonly ReadMail[]): Promise<(Taken | null)[]> {
    const { takeRun, log } = this.#parts;
    try {
      return await takeRun(run);
    } catch (error) {
      if (isDatabaseAway(error)) throw error;
      // Whose fault it is shows when each is taken in its turn; there it is counted.
      log.warn(
        { messages: run.map(({ received }) => received.id), err: error },
        'mails are taken one by one',
      );
      return [];
    }
  }

  #tell({ received }: ReadMail, taken: Taken): void {
    const { onTaken, log } = this.#parts;
    if (taken.kind === 'dropped' || taken.kind === 'failed') {
      log.info({ message: received.id, outcome: taken.kind, reason: taken.reason }, 'message not run');
    }
    onTaken(taken);
  }

  /** When those of the same sender before it are settled, or put off. */
  async #inTurn(pass: Pass, mail: ReadMail): Promise<void> {
    const sender = senderOf(mail);
    if (!this.#goesOn(pass.lanes) || pass.held.has(sender)) return;
    const became = await this.#handle(mail);
    if (became === 'settled') return;
    pass.isClean = false;
    // Those without one sender are not answered: nothing of theirs depends on what was before. And who cannot be verified
    // yet may be somebody else, who is not to hold up the true one's mail.
    if (became === 'failed' && sender !== '') pass.held.add(sender);
  }

  async #handle(mail: ReadMail): Promise<'settled' | 'unverified' | 'failed'> {
    const { db, take, giveUp, onTaken, log } = this.#parts;
    const { received: message } = mail;
    try {
      this.#tell(mail, await take(mail));
      return 'settled';
    } catch (error) {
      // Told once, by who has asked; it costs the message none of its attempts.
      if (isSenderUnknownYet(error)) return 'unverified';
      if (isDatabaseAway(error)) throw error;
      log.error({ message: message.id, err: error }, 'a message could not be handled');
      if (message.attempts + 1 < MOST_ATTEMPTS) {
        await countAttempts(db, [message.id]);
        return 'failed';
      }
      onTaken(await giveUp(mail, error as Error));
      return 'settled';
    }
  }
}
