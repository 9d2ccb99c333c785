import { Worker } from 'node:worker_threads';
import type { Log } from '../log.ts';
import { parseMessage, type ParsedMessage } from './parse.ts';

/** Why a mail is none. */
type Unreadable = { unreadable: string };

export type Parser = {
  /** As `parseMessage`, each in its place; fails for none of them. */
  parse: (raws: readonly Buffer[]) => Promise<(ParsedMessage | Unreadable)[]>;
  close: () => Promise<void>;
};

/** So many at once are a backlog: fewer are parsed before a thread would have them. */
const FEWEST_FOR_THREAD = 16;
/** It takes some 40 MB, and a fraction of a second to start. */
const KEEP_MS = 30_000;

/** One mail after the other. */
export async function parseEach(raws: readonly Buffer[]): Promise<(ParsedMessage | Unreadable)[]> {
  const parsed: (ParsedMessage | Unreadable)[] = [];
  for (const raw of raws) {
    parsed.push(
      await parseMessage(raw).catch((error: unknown) => ({ unreadable: (error as Error).message })),
    );
  }
  return parsed;
}

const newThread = (): Worker => new Worker(new URL('./parse-thread.ts', import.meta.url));

type Answer = { id: number; parsed: (ParsedMessage | Unreadable)[] };
type Thread = { worker: Worker; waiting: Map<number, PromiseWithResolvers<Answer['parsed']>> };

/**
 * Parses mails: the few of every day at once, and those of a backlog in a thread of its own, since parsing is half of what
 * they cost. The thread ends when there has been nothing for it to do for a while; when it fails, what it had is parsed here.
 *
 * @param startThread tests alone give another
 */
export function openParser(log: Log, startThread: () => Worker = newThread): Parser {
  let thread: Thread | null = null;
  let lastId = 0;
  let idle: NodeJS.Timeout | undefined;

  function started(): Thread {
    const worker = startThread();
    const one: Thread = { worker, waiting: new Map() };
    const fail = (error: Error): void => {
      if (thread === one) thread = null;
      for (const { reject } of one.waiting.values()) reject(error);
      one.waiting.clear();
    };
    worker.on('message', ({ id, parsed }: Answer) => {
      one.waiting.get(id)?.resolve(parsed);
      one.waiting.delete(id);
    });
    worker.on('error', (error) => fail(error as Error));
    worker.on('exit', (code) => fail(new Error(`the thread that parses mails ended with ${code}`)));
    return one;
  }

  async function end(): Promise<void> {
    clearTimeout(idle);
    const ending = thread;
    thread = null;
    await ending?.worker.terminate();
  }

  async function inThread(raws: readonly Buffer[]): Promise<Answer['parsed']> {
    clearTimeout(idle);
    thread ??= started();
    const asked = Promise.withResolvers<Answer['parsed']>();
    lastId += 1;
    thread.waiting.set(lastId, asked);
    thread.worker.postMessage({ id: lastId, raws });
    try {
      return await asked.promise;
    } finally {
      idle = setTimeout(() => void end(), KEEP_MS).unref();
    }
  }

  return {
    async parse(raws) {
      if (raws.length < FEWEST_FOR_THREAD) return parseEach(raws);
      try {
        return await inThread(raws);
      } catch (error) {
        log.warn({ err: error }, 'mails could not be parsed in a thread of their own');
        return parseEach(raws);
      }
    },
    close: end,
  };
}
