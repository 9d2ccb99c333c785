import { setTimeout as pause } from 'node:timers/promises';
import { DELAY_TOLD_AFTER_MS } from '../commands/run-command.ts';
import { engineFacts } from '../containers/engine-facts.ts';
import { retryForEver } from '../retry.ts';
import { occupiedPlaces } from '../store/places.ts';
import { activeSession, sessionOfThread } from '../store/sessions.ts';
import { chooseVictims, hostLimit } from './make-room.ts';
import { noteFault } from './part-faults.ts';
import type { LifecycleParts } from './parts.ts';
import { saveAndRemove } from './remove-container.ts';

/** Somebody else's process may have made room. */
const LOOK_AGAIN_MS = 5_000;
/** A save after a command, or a warning, is over by then mostly. */
const TOLD_AFTER_MS = 2_000;
/** One that could not be removed is left alone for so long. */
const LEFT_ALONE_MS = 60_000;

/**
 * Whose container it is to be. Each is called once: `onWait` when it has to wait for others, `onDelay` when it is not known for a
 * while whether it has to, with the reason.
 */
export type Newcomer = {
  userId: number;
  onWait: (waiting: WaitingFor) => Promise<void>;
  onDelay: (reason: string) => Promise<void>;
};

export type WaitingFor = { limit: 'user' | 'host'; maximum: number };

/** What was decided: wait, or come in when these have gone. */
type Decision = { waiting: WaitingFor } | { going: Promise<boolean>[] };

/**
 * Who may have a container: so many of one user, so many on one host. Room is made by saving and removing the longest
 * idle ones; where all are busy, the newcomer waits.
 *
 * One newcomer at a time decides; but nothing is waited for in that turn that takes long, and never another thread's
 * queue: its own command may be waiting for its turn here.
 */
export class Admission {
  readonly #parts: LifecycleParts;
  /** Threads that have a container as far as this process knows: a warm command asks nobody. */
  readonly #open = new Set<string>();
  /** Let in, with no session of their own yet. */
  readonly #reserved = new Map<string, number>();
  /** Threads whose containers are being removed to make room: their places are given away already. */
  readonly #leaving = new Set<string>();
  /** Threads whose containers could not be removed, and until when they are left alone, or until Docker is back. */
  readonly #leftAlone = new Map<string, { untilMs: number; isEngineAway: boolean }>();
  #turn: Promise<unknown> = Promise.resolve();
  #room = Promise.withResolvers<void>();

  constructor(parts: LifecycleParts) {
    this.#parts = parts;
    parts.events.on('container:created', ({ threadId }) => this.#open.add(threadId));
    parts.events.on('container:cleaned', ({ threadId }) => this.#open.delete(threadId));
    parts.events.on('container:save-failed', ({ threadId }) => this.#open.delete(threadId));
  }

  /**
   * Resolves when the thread has, or may make, its container. Called in the thread's queue.
   *
   * @param whoAsks asked only where there is no container yet; null: it needs none
   */
  async admit(threadId: string, whoAsks: () => Promise<Newcomer | null>): Promise<void> {
    if (this.#open.has(threadId)) return;
    const { signal, log } = this.#parts;
    const newcomer = await whoAsks();
    if (!newcomer) return;
    let tellAt: number | null = null;
    let isTold = false;
    const tellLate = this.#tellLate(newcomer);
    for (;;) {
      const waiting = await retryForEver(() => this.#tryToAdmit(threadId, newcomer.userId), {
        signal,
        onFailure: (error) => {
          noteFault(this.#parts, error, 'room for a container cannot be made; trying again', {
            thread: threadId,
          });
          tellLate(error);
        },
      });
      if (waiting === null) return;
      tellAt ??= performance.now() + TOLD_AFTER_MS;
      if (!isTold && performance.now() >= tellAt) {
        isTold = true;
        await newcomer
          .onWait(waiting)
          .catch((error: unknown) => log.warn({ err: error }, 'a sender could not be told to wait'));
      }
      await this.#changeWithin(isTold ? LOOK_AGAIN_MS : Math.max(tellAt - performance.now(), 1));
    }
  }

  /** For each failure: the first one after a while is told. */
  #tellLate({ onDelay }: Newcomer): (error: Error) => void {
    const { log, delayToldAfterMs = DELAY_TOLD_AFTER_MS } = this.#parts;
    const tellAt = performance.now() + delayToldAfterMs;
    let isTold = false;
    return ({ message }) => {
      if (isTold || performance.now() < tellAt) return;
      isTold = true;
      onDelay(message).catch((error: unknown) =>
        log.warn({ err: error }, 'the sender could not be told of a delay'),
      );
    };
  }

  /** The thread's job has ended: if it has made no container it needs no place. */
  release(threadId: string): void {
    this.#reserved.delete(threadId);
    this.lookAgain();
  }

  /** Something has changed: whoever waits looks whether there is room for it. */
  lookAgain(): void {
    this.#room.resolve();
    this.#room = Promise.withResolvers();
  }

  async #changeWithin(ms: number): Promise<void> {
    const changed = new AbortController();
    const signal = AbortSignal.any([this.#parts.signal, changed.signal]);
    try {
      await Promise.race([this.#room.promise, pause(ms, undefined, { signal })]);
    } finally {
      changed.abort();
    }
  }

  async #inTurn<T>(job: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(job);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  /** @returns null when it may come in */
  async #tryToAdmit(threadId: string, userId: number): Promise<WaitingFor | null> {
    const session = await activeSession(this.#parts.db, threadId);
    if (session && session.state !== 'save_failed') {
      this.#open.add(threadId);
      return null;
    }
    for (;;) {
      const decision = await this.#inTurn(() => this.#decide(threadId, userId));
      if ('waiting' in decision) return decision.waiting;
      let haveGone = false;
      try {
        haveGone = (await Promise.all(decision.going)).every(Boolean);
      } finally {
        if (!haveGone) this.#reserved.delete(threadId);
      }
      if (haveGone) return null;
    }
  }

  /** Looks for room, and takes it: whoever decides next counts with that. */
  async #decide(threadId: string, userId: number): Promise<Decision> {
    const { db, config, queues } = this.#parts;
    const maxPerUser = config.containerMaxPerUser;
    const maxOnHost = await this.#hostLimit();
    await this.#lookForEngine();
    // As they are before the database is asked: what ends meanwhile must not be missing in both.
    const [leaving, reserved] = [new Set(this.#leaving), new Map(this.#reserved)];
    const places = await occupiedPlaces(db);
    const held = new Set(places.map((place) => place.threadId));
    const staying = places
      .filter((place) => !leaving.has(place.threadId))
      .map((place) => ({
        ...place,
        isBusy: place.isBusy || queues.isBusy(place.threadId) || this.#isLeftAlone(place.threadId),
      }));
    const coming = [...reserved]
      .filter(([id]) => !held.has(id))
      .map(([id, user]) => ({ threadId: id, userId: user, lastActivityAt: new Date(), isBusy: true }));
    const sessions = [...staying, ...coming];
    const room = chooseVictims({ sessions, userId, threadId, maxPerUser, maxOnHost });
    if ('wait' in room) {
      return { waiting: { limit: room.wait, maximum: room.wait === 'user' ? maxPerUser : maxOnHost } };
    }
    this.#reserved.set(threadId, userId);
    return { going: room.evict.map((victim) => this.#evict(victim)) };
  }

  #isLeftAlone(threadId: string): boolean {
    const { untilMs } = this.#leftAlone.get(threadId) ?? { untilMs: 0 };
    if (untilMs > performance.now()) return true;
    this.#leftAlone.delete(threadId);
    return false;
  }

  /** What keeps its state though saving it has failed could not be reached; else it was extended. */
  async #leaveAlone(threadId: string, failuresBefore: number): Promise<void> {
    const session = await sessionOfThread(this.#parts.db, threadId);
    const isEngineAway = (session?.saveFailures ?? 0) > failuresBefore;
    this.#leftAlone.set(threadId, { untilMs: performance.now() + LEFT_ALONE_MS, isEngineAway });
  }

  /** Those that only Docker's absence has kept are looked at again as soon as it is back. */
  async #lookForEngine(): Promise<void> {
    const kept = [...this.#leftAlone].filter(([, { isEngineAway }]) => isEngineAway);
    if (kept.length === 0) return;
    const isBack = await this.#parts.docker.ping().then(
      () => true,
      () => false,
    );
    if (isBack) for (const [threadId] of kept) this.#leftAlone.delete(threadId);
  }

  /** @returns false when it has become busy, or is kept for another reason */
  async #evict(threadId: string): Promise<boolean> {
    const { db, queues } = this.#parts;
    const evicting = queues.runIfIdle(threadId, async () => {
      const session = await sessionOfThread(db, threadId);
      if (!session || session.isBusy) return session === null;
      await saveAndRemove(this.#parts, session, 'evicted');
      const left = await activeSession(db, threadId);
      const hasGone = left === null || left.state === 'save_failed';
      if (!hasGone) await this.#leaveAlone(threadId, session.saveFailures);
      return hasGone;
    });
    if (!evicting) return false;
    this.#leaving.add(threadId);
    try {
      return await evicting;
    } finally {
      this.#leaving.delete(threadId);
    }
  }

  async #hostLimit(): Promise<number> {
    const { docker, config } = this.#parts;
    const setTo = config.hostMaxContainers;
    // Docker is not asked where it does not matter.
    const { memoryBytes } = setTo === null ? await engineFacts(docker) : { memoryBytes: 0 };
    return hostLimit({ setTo, memoryBytes });
  }
}
