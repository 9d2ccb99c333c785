import { coalesce } from './coalesce.ts';
import type { Db } from './database.ts';
import {
  answeredThreads,
  areRepeated,
  conversationThreads,
  type MailToTake,
  type MessageThread,
} from './earlier-mail.ts';
import { listRepositoriesForEach, type Repository } from './repositories.ts';
import { storeTaken, type StoredTaken, type TakenMessage } from './taken.ts';
import { storedThreads, type StoredThread, type ThreadOfSender } from './threads.ts';
import { areRegistered } from './users.ts';

/**
 * What is asked of the database about each message, and what is stored of it. Messages that are judged side by side
 * share the queries and the transaction.
 */
export type SharedQueries = {
  isRegistered: (address: string) => Promise<boolean>;
  isRepeated: (mail: MailToTake) => Promise<boolean>;
  repositoriesFor: (address: string) => Promise<Repository[]>;
  answeredThread: (of: { address: string; messageIds: readonly string[] }) => Promise<MessageThread | null>;
  conversationThread: (of: { address: string; subjectKey: string }) => Promise<MessageThread | null>;
  storedThread: (of: ThreadOfSender) => Promise<StoredThread | null>;
  /** All of these or none, in their order. null for each that another process has handled. */
  storeRun: (messages: readonly TakenMessage[]) => Promise<(StoredTaken | null)[]>;
  /** The same for one. */
  store: (message: TakenMessage) => Promise<StoredTaken | null>;
};

export function shareQueries(db: Db): SharedQueries {
  const storeRun = coalesce(async (runs: readonly (readonly TakenMessage[])[]) => {
    const stored = await storeTaken(db, runs.flat());
    let next = 0;
    return runs.map(({ length }) => stored.slice(next, (next += length)));
  });
  return {
    isRegistered: coalesce((addresses) => areRegistered(db, addresses)),
    isRepeated: coalesce((mails) => areRepeated(db, mails)),
    repositoriesFor: coalesce((addresses) => listRepositoriesForEach(db, addresses)),
    answeredThread: coalesce((asked) => answeredThreads(db, asked)),
    conversationThread: coalesce((asked) => conversationThreads(db, asked)),
    storedThread: coalesce((asked) => storedThreads(db, asked)),
    storeRun,
    store: async (message) => (await storeRun([message]))[0] ?? null,
  };
}
