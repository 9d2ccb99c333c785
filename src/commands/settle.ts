import type { Log } from '../log.ts';
import { renderNotice, type Notice } from '../mail/notices.ts';
import type { Db } from '../store/database.ts';
import {
  HandledByAnother,
  settleMessage,
  type MessageFacts,
  type MessageOutcome,
  type MessageToAnswer,
  type OwedNotice,
  type ReceivedMessage,
} from '../store/messages.ts';
import type { SharedQueries } from '../store/shared-queries.ts';
import { answerMessage, type AnswerContent, type Answering } from './answer-message.ts';

/** What became of a message: a command in its thread's queue, an answer that says why not, or nothing, for a recorded reason. */
export type Taken =
  | {
      kind: 'command';
      commandId: number;
      threadId: string;
      /** Its sender gets a word that it waits. */
      isTold?: boolean;
    }
  | { kind: 'answered'; reason: string }
  /** Of an admin, for the database: answered when they are run. */
  | { kind: 'queries' }
  | {
      kind: 'dropped' | 'failed';
      reason: string;
      /** Its sender gets a word all the same. */
      isTold?: boolean;
    };

export type SettleParts = { db: Db; config: Answering; now: () => Date; log: Log };

/** Answers a message of which nothing is run. */
export async function refuse(
  parts: SettleParts,
  received: ReceivedMessage,
  facts: MessageFacts,
  notice: Notice,
): Promise<Taken> {
  return answerOnly(parts, received, facts, { reason: notice.kind, content: renderNotice(notice) });
}

/** The same with any answer. @param reason what is recorded of it @param record stored with it */
export async function answerOnly(
  { db, config, now, log }: SettleParts,
  received: ReceivedMessage,
  facts: MessageFacts,
  {
    reason,
    content,
    record,
  }: { reason: string; content: AnswerContent; record?: (transaction: Db) => Promise<unknown> },
): Promise<Taken> {
  await db.transaction(async (transaction) => {
    const settled = { outcome: 'answered', reason, threadId: null } as const;
    await settleMessage(transaction, received.id, settled, facts);
    await record?.(transaction);
    const message = messageOf(received, facts);
    await answerMessage(transaction, config, message, content, null, now());
  });
  log.info({ message: received.id, reason }, 'message answered without running anything');
  return { kind: 'answered', reason };
}

/** Nothing is answered, for a recorded reason. @param owes what its sender is told later, with others */
export async function settle(
  { queries }: { queries: Pick<SharedQueries, 'store'> },
  { id }: ReceivedMessage,
  outcome: Extract<MessageOutcome, 'dropped' | 'failed'>,
  reason: string,
  facts: MessageFacts | null,
  owes?: OwedNotice,
): Promise<Taken> {
  const settled = { outcome, reason, ...(owes && { owes }) };
  if (!(await queries.store({ id, facts, settled, command: null }))) throw new HandledByAnother(id);
  return { kind: outcome, reason };
}

export const messageOf = (received: ReceivedMessage, facts: MessageFacts): MessageToAnswer => ({
  ...facts,
  id: received.id,
  address: facts.address as string,
  references: [...facts.references],
  copyTo: [...facts.copyTo],
});
