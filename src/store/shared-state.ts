import { Redis } from 'ioredis';
import type { Log } from '../log.ts';
import { watchPart } from '../part-state.ts';

/** What `redis-cli GET container:state:<thread-id>` shows. */
export type ContainerState = {
  threadId: string;
  isActive: boolean;
  /** null after it was removed. */
  containerId: string | null;
  containerName: string | null;
  lastActivityAt: string | null;
  /** The commit the workspace was saved at; null before the first save, and without any commit. */
  commit: string | null;
  branch: string | null;
  savedAt: string | null;
  filesModified: number;
  /** null while the container is there. */
  expiresAt: string | null;
};

const STATE_KEPT_SECONDS = 7 * 86_400;
/** Gone when somebody has flushed Redis: then all that PostgreSQL knows is written anew. */
const COMPLETE_KEY = 'threadbox:states-complete';
const EVENTS_CHANNEL = 'threadbox:events';

/**
 * Fast state for other processes. All of it can be lost at any time: PostgreSQL is the truth, so a Redis that is
 * away costs nobody a command. Nobody waits for it either, but for a moment who removes a container: what is to be sent
 * is sent in order, and a fault is told once and not thrown.
 */
export class SharedState {
  readonly #redis: Redis;
  readonly #part: ReturnType<typeof watchPart>;
  /** Threads whose last write did not get there, or is to come: what stands there of them may be wrong. */
  readonly #unwritten = new Set<string>();
  readonly #watches = new Set<Set<string>>();
  /** The last write of each thread that is under way. */
  readonly #writing = new Map<string, Promise<void>>();
  /** What an earlier process could not write, nobody remembers. */
  #hasWrittenAll = false;

  constructor(redisUrl: string, log: Log) {
    this.#part = watchPart('Redis', log);
    this.#redis = new Redis(redisUrl, {
      enableOfflineQueue: false,
      connectTimeout: 5_000,
      commandTimeout: 2_000,
      maxRetriesPerRequest: 0,
      retryStrategy: (times) => Math.min(200 * 2 ** Math.min(times, 8), 30_000),
    });
    this.#redis.on('ready', () => this.#part.isUp());
    this.#redis.on('error', (error: Error) => this.#part.isDown(error));
  }

  setContainerState(state: ContainerState, expiresInSeconds = STATE_KEPT_SECONDS): void {
    this.#write(state.threadId, () =>
      this.#redis.set(stateKey(state.threadId), JSON.stringify(state), 'EX', expiresInSeconds),
    );
  }

  dropContainerState(threadId: string): void {
    this.#write(threadId, () => this.#redis.del(stateKey(threadId)));
  }

  /** The thread's last write has got there, or failed: two seconds at the most, none where Redis is away. Never rejects. */
  async written(threadId: string): Promise<void> {
    await this.#writing.get(threadId);
  }

  /** Something of the thread has changed, and nobody waits to see it: the next sweep writes it. */
  writeLater(threadId: string): void {
    this.#unwritten.add(threadId);
  }

  /** These threads are to be written (anew): whoever takes them does it, or gives them back by `writeLater`. */
  takeUnwritten(): string[] {
    const threads = [...this.#unwritten];
    this.#unwritten.clear();
    return threads;
  }

  /** Which threads are written from now on until it is closed: what was read of them before is old. */
  watchWrites(): { threads: ReadonlySet<string>; close: () => void } {
    const threads = new Set<string>();
    this.#watches.add(threads);
    return { threads, close: () => void this.#watches.delete(threads) };
  }

  /**
   * False when all is to be written anew: Redis was flushed, or is new, or this process has not written all of it yet.
   * null when it cannot be asked: there is nothing to be done about it now.
   */
  async isComplete(): Promise<boolean | null> {
    let isThere: boolean | null = null;
    await this.#attempt(async () => {
      isThere = (await this.#redis.exists(COMPLETE_KEY)) === 1;
    });
    return isThere === null ? null : isThere && this.#hasWrittenAll;
  }

  /** All that PostgreSQL knows was written. */
  markComplete(): void {
    void this.#attempt(async () => {
      await this.#redis.set(COMPLETE_KEY, 'yes');
      this.#hasWrittenAll = true;
    });
  }

  /** Tells other processes what happened, as `{"event": name, ...data}` on the channel `threadbox:events`. */
  publish(event: string, data: Readonly<Record<string, unknown>>): void {
    void this.#attempt(() => this.#redis.publish(EVENTS_CHANNEL, JSON.stringify({ event, ...data })));
  }

  /** @throws when it does not answer */
  async ping(): Promise<void> {
    await this.#redis.ping();
  }

  close(): void {
    this.#redis.disconnect();
  }

  #write(threadId: string, send: () => Promise<unknown>): void {
    for (const threads of this.#watches) threads.add(threadId);
    const writing = this.#attempt(send).then((isWritten) => {
      if (!isWritten) this.writeLater(threadId);
      if (this.#writing.get(threadId) === writing) this.#writing.delete(threadId);
    });
    this.#writing.set(threadId, writing);
  }

  /** @returns false when it failed */
  async #attempt(send: () => Promise<unknown>): Promise<boolean> {
    try {
      await send();
      this.#part.isUp();
      return true;
    } catch (error) {
      this.#part.isDown(error as Error);
      return false;
    }
  }
}

const stateKey = (threadId: string): string => `container:state:${threadId}`;

/**
 * Asks a Redis for its version, over a connection of its own.
 *
 * @throws what the server or the network says
 */
export async function redisVersion(redisUrl: string): Promise<string> {
  const redis = new Redis(redisUrl, {
    lazyConnect: true,
    connectTimeout: 5_000,
    commandTimeout: 5_000,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  let fault: Error | null = null;
  // Says more than the rejection, which is that the connection is closed.
  redis.on('error', (error: Error) => (fault = error));
  try {
    await redis.connect();
    return /^redis_version:(\S+)/m.exec(await redis.info('server'))?.[1] ?? 'of an unknown version';
  } catch (error) {
    throw fault ?? error;
  } finally {
    redis.disconnect();
  }
}
