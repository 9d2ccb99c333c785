import { setTimeout as pause } from 'node:timers/promises';
import { isDatabaseAway } from '../store/database.ts';
import { retryForEver } from '../retry.ts';
import { activeSession, occupiedPlaces, sessionOfThread } from '../store/sessions.ts';
import { chooseVictims } from './make-room.ts';
import type { LifecycleParts } from './parts.ts';
import { isDockerAway, saveAndRemove } from './remove-container.ts';

const BYTES_PER_CONTAINER = 1024 ** 3;
const FEWEST_ON_HOST = 4;
/** Somebody else's process may have made room. */
const LOOK_AGAIN_MS = 5_000;

/** Whose container it is to be. `onWait` is called once, when it has to wait for others. */
type Newcomer = { userId: number; onWait: (waiting: WaitingFor) => Promise<void> };

export type WaitingFor = { limit: 'user' | 'host'; maximum: number };

/**
 * Who may have a container: so many of one user, so many on one host. Room is made by saving and removing the longest
 * idle ones; where all are busy, the newcomer waits.
 */
export class Admission {
  readonly #parts: LifecycleParts;
  /** Threads that have a container as far as this process knows: a warm command asks nobody. */
  readonly #open = new Set<string>();
  /** Let in, with no session of their own yet. */
  readonly #reserved = new Map<string, number>();
  #turn: Promise<unknown> = Promise.resolve();
  #room = Promise.withResolvers<void>();
  #maxOnHost: number | null;

  constructor(parts: LifecycleParts) {
    this.#parts = parts;
    this.#maxOnHost = parts.config.hostMaxContainers;
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
    const { signal, states, log } = this.#parts;
    const newcomer = await whoAsks();
    if (!newcomer) return;
    const { userId, onWait } = newcomer;
    let isTold = false;
    for (;;) {
      const waiting = await retryForEver(() => this.#inTurn(() => this.#tryToAdmit(threadId, userId)), {
        signal,
        onFailure: (error) => {
          if (isDatabaseAway(error)) states.database.isDown(error);
          else if (isDockerAway(error)) states.docker.isDown(error);
          else
            log.error({ err: error, thread: threadId }, 'room for a container cannot be made; trying again');
        },
      });
      if (waiting === null) return;
      if (!isTold) {
        isTold = true;
        await onWait(waiting).catch((error: unknown) =>
          log.warn({ err: error }, 'a sender could not be told to wait'),
        );
      }
      await Promise.race([this.#room.promise, pause(LOOK_AGAIN_MS, undefined, { signal })]);
    }
  }

  /** The thread's job has ended: if it has made no container it needs no place, and others may look for room. */
  release(threadId: string): void {
    this.#reserved.delete(threadId);
    this.#room.resolve();
    this.#room = Promise.withResolvers();
  }

  async #inTurn<T>(job: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(job);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  async #tryToAdmit(threadId: string, userId: number): Promise<WaitingFor | null> {
    const { db, config } = this.#parts;
    const session = await activeSession(db, threadId);
    if (session && session.state !== 'save_failed') {
      this.#open.add(threadId);
      return null;
    }
    const places = await occupiedPlaces(db);
    const held = new Set(places.map((place) => place.threadId));
    const coming = [...this.#reserved]
      .filter(([id]) => !held.has(id))
      .map(([id, user]) => ({ threadId: id, userId: user, lastActivityAt: new Date(), isBusy: true }));
    const maxPerUser = config.containerMaxPerUser;
    const maxOnHost = await this.#hostLimit();
    const sessions = [...places, ...coming];
    const room = chooseVictims({ sessions, userId, threadId, maxPerUser, maxOnHost });
    if ('wait' in room) {
      return { limit: room.wait, maximum: room.wait === 'user' ? maxPerUser : maxOnHost };
    }
    for (const victim of room.evict) await this.#evict(victim);
    if (room.evict.length > 0) return this.#tryToAdmit(threadId, userId);
    this.#reserved.set(threadId, userId);
    return null;
  }

  async #evict(threadId: string): Promise<void> {
    const { db, queues } = this.#parts;
    await queues.run(threadId, async () => {
      const session = await sessionOfThread(db, threadId);
      if (session && !session.isBusy) await saveAndRemove(this.#parts, session, 'evicted');
    });
  }

  async #hostLimit(): Promise<number> {
    if (this.#maxOnHost === null) {
      const { MemTotal: bytes } = (await this.#parts.docker.info()) as { MemTotal: number };
      this.#maxOnHost = Math.max(FEWEST_ON_HOST, Math.floor(bytes / BYTES_PER_CONTAINER));
    }
    return this.#maxOnHost;
  }
}
