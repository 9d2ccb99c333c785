import type { ThreadBy } from '../config.ts';
import { subjectKey, subjectSlug, threadId, type NamedRepository } from './identity.ts';

/** A thread that is there already. */
export type ThreadRef = { threadId: string; repositoryId: number; repositoryName: string; label: string };

/** A repository that the sender may use. `threadBy` is null where the server's default holds. */
export type RepositoryRef = { id: number; name: string; threadBy: ThreadBy | null };

/** Everything the question depends on. Both threads are the sender's own: the caller has seen to that. */
export type ThreadFacts = {
  sender: string;
  /** The thread of the message that this one answers. */
  answeredThread: ThreadRef | null;
  /** The three ways to name a repository, in the order of their weight. */
  tag: NamedRepository | null;
  plusName: string | null;
  bodyLine: NamedRepository | null;
  /** The thread of the sender's newest message with the same subject. */
  conversationThread: ThreadRef | null;
  repositories: readonly RepositoryRef[];
  subject: string;
  /** The server's default. */
  threadBy: ThreadBy;
};

/** The thread, which may still have to be made; or what the sender must be asked. */
export type FoundThread =
  | { kind: 'thread'; threadId: string; repositoryId: number; label: string }
  | { kind: 'unknown-repository'; name: string; candidates: string[] }
  | { kind: 'ask'; candidates: string[] };

/**
 * The thread a message belongs to: that of the message it answers, unless its subject has another repository's tag; else
 * that of the repository it names; else that of the conversation with the same subject; else that of the sender's only
 * repository; else the sender is asked.
 */
export function findThread(facts: ThreadFacts): FoundThread {
  const { answeredThread, tag, plusName, bodyLine, conversationThread, repositories, subject } = facts;
  const candidates = repositories.map(({ name }) => name);
  const isUsable = (thread: ThreadRef) => repositories.some(({ id }) => id === thread.repositoryId);

  if (answeredThread && !namesAnother(tag, answeredThread)) {
    if (isUsable(answeredThread)) return existing(answeredThread);
    return { kind: 'unknown-repository', name: answeredThread.repositoryName, candidates };
  }
  const named = tag ?? (plusName === null ? null : { name: plusName, label: '' }) ?? bodyLine;
  if (named) {
    const repository = repositories.find(({ name }) => isSame(name, named.name));
    if (!repository) return { kind: 'unknown-repository', name: named.name, candidates };
    return threadIn(repository, named.label, facts);
  }
  if (conversationThread && subjectKey(subject) !== '' && isUsable(conversationThread)) {
    return existing(conversationThread);
  }
  const [only] = repositories;
  if (only && repositories.length === 1) return threadIn(only, '', facts);
  return { kind: 'ask', candidates };
}

/** A tag without a label stays in the answered thread of its repository, whatever label that has. */
function namesAnother(tag: NamedRepository | null, thread: ThreadRef): boolean {
  if (!tag) return false;
  return !isSame(tag.name, thread.repositoryName) || (tag.label !== '' && tag.label !== thread.label);
}

function threadIn(repository: RepositoryRef, label: string, facts: ThreadFacts): FoundThread {
  const { sender, subject, threadBy } = facts;
  const repositoryId = repository.id;
  if (label === '' && (repository.threadBy ?? threadBy) === 'subject') {
    const slug = subjectSlug(subject);
    return { kind: 'thread', threadId: `${sender}-${repository.name}-${slug}`, repositoryId, label: slug };
  }
  return { kind: 'thread', threadId: threadId(sender, repository.name, label), repositoryId, label };
}

const existing = ({ threadId, repositoryId, label }: ThreadRef): FoundThread => ({
  kind: 'thread',
  threadId,
  repositoryId,
  label,
});

const isSame = (one: string, other: string) => one.toLowerCase() === other.toLowerCase();
