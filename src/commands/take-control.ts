import type { Config } from '../config.ts';
import type { ControlledThread, ControlOutcome } from '../lifecycle/answer-control.ts';
import { renderLifecycleNotice, type LifecycleNotice } from '../mail/lifecycle-notices.ts';
import { openCommandsOfThread, queueCommand } from '../store/commands.ts';
import type { Db } from '../store/database.ts';
import {
  settleMessage,
  type MessageFacts,
  type MessageToAnswer,
  type ReceivedMessage,
} from '../store/messages.ts';
import { repositoryById, type Repository } from '../store/repositories.ts';
import { storedThread } from '../store/threads.ts';
import type { FoundThread } from '../threads/find-thread.ts';
import { answerMessage } from './answer-message.ts';
import type { ControlWord } from './control-words.ts';
import { answerOnly, messageOf, type SettleParts, type Taken } from './settle.ts';

export type ControlParts = SettleParts & {
  config: Pick<Config, 'containerIdleTimeoutMs'>;
  answerControl: (thread: ControlledThread, control: ControlWord) => Promise<ControlOutcome>;
};

/** Who may use a repository no longer can still see, and end, what they have running there. */
const FOR_DENIED: ReadonlySet<ControlWord['word']> = new Set(['cancel', 'status', 'stop']);

/**
 * The way of a message that is a control word.
 *
 * @returns null where it must be told first that no repository is meant
 */
export async function takeControlWord(
  parts: ControlParts,
  received: ReceivedMessage,
  facts: MessageFacts,
  {
    control,
    found: foundForSender,
    repositories: usable,
    ofAll,
  }: {
    control: ControlWord | { fault: string };
    found: FoundThread;
    /** Those that the sender may use. */
    repositories: readonly Repository[];
    /** What would be found if the sender might use all repositories. */
    ofAll: () => Promise<FoundThread>;
  },
): Promise<Taken | null> {
  const { db, config, log } = parts;
  const say = (notice: LifecycleNotice) =>
    answerOnly(parts, received, facts, { reason: notice.kind, content: renderLifecycleNotice(notice) });
  if ('fault' in control) {
    return say({ kind: 'not-understood', fault: control.fault });
  }
  const address = facts.address as string;
  const denied =
    foundForSender.kind === 'thread' || !FOR_DENIED.has(control.word)
      ? null
      : await openThread(db, address, await ofAll());
  const found = denied?.found ?? foundForSender;
  const repositories = denied ? [await repositoryById(db, denied.found.repositoryId)] : usable;
  const repository = found.kind === 'thread' && repositories.find(({ id }) => id === found.repositoryId);
  const thread = found.kind === 'thread' ? await storedThread(db, { address, ...found }) : null;
  if (!thread || !repository) {
    const { word } = control;
    if (word === 'help') {
      const idleMinutes = Math.round(config.containerIdleTimeoutMs / 60_000);
      const repositoryName = repository ? repository.name : null;
      return say({ kind: 'help', repositoryName, idleMinutes });
    }
    if (!repository) return null;
    return say({ kind: 'nothing-there', word, repositoryName: repository.name });
  }
  const message = { ...messageOf(received, facts), facts };
  const controlled = { threadId: thread.id, repositoryName: repository.name };
  const { commandId, isTold } = await takeControl(parts, message, controlled, control);
  log.info({ message: received.id, thread: thread.id, word: control.word }, 'control word taken');
  return commandId === null
    ? { kind: 'answered', reason: control.word }
    : { kind: 'command', commandId, threadId: thread.id, isTold };
}

/** @returns null when nothing of that sender runs or waits there */
async function openThread(db: Db, address: string, found: FoundThread) {
  const thread = found.kind === 'thread' ? await storedThread(db, { address, ...found }) : null;
  if (found.kind !== 'thread' || !thread) return null;
  return (await openCommandsOfThread(db, thread.id)).length > 0 ? { found } : null;
}

/**
 * Settles a message that is a control word: answered at once, in one transaction with what it does, or put into the
 * thread's queue.
 *
 * @returns the id of the queued command, or null when it was answered; and whether a mail says so already
 */
async function takeControl(
  parts: ControlParts,
  message: MessageToAnswer & { facts: MessageFacts },
  thread: ControlledThread,
  control: ControlWord,
): Promise<{ commandId: number | null; isTold: boolean }> {
  for (;;) {
    const outcome = await parts.answerControl(thread, control);
    const taken = await record(parts, message, { thread, word: control.word, outcome });
    if (taken === 'outdated') continue;
    if (outcome.kind === 'answer') outcome.isDone();
    return { commandId: taken, isTold: outcome.kind === 'answer' || outcome.notice !== null };
  }
}

/** @returns `outdated` when the answer is not true any more: the container has gone in this very moment */
async function record(
  { db, config, now }: ControlParts,
  message: MessageToAnswer & { facts: MessageFacts },
  { thread, word, outcome }: { thread: ControlledThread; word: string; outcome: ControlOutcome },
): Promise<number | null | 'outdated'> {
  const { facts } = message;
  const { threadId } = thread;
  const tell = async (transaction: Db, notice: LifecycleNotice, kind: 'answer' | 'delay') => {
    const content = { ...renderLifecycleNotice(notice), kind };
    await answerMessage(transaction, config, message, content, threadId, now());
  };
  return db.transaction(async (transaction) => {
    if (outcome.kind === 'answer') {
      if (!(await outcome.record(transaction))) return 'outdated';
      const settled = { outcome: 'answered', reason: word, threadId } as const;
      await settleMessage(transaction, message.id, settled, facts);
      await tell(transaction, outcome.notice, 'answer');
      return null;
    }
    await settleMessage(transaction, message.id, { outcome: 'command', reason: null, threadId }, facts);
    if (outcome.notice) await tell(transaction, outcome.notice, 'delay');
    const { control } = outcome;
    return queueCommand(transaction, { threadId, messageId: message.id, script: `${word}\n`, control });
  });
}
