import { isUniqueViolation } from '../store/database.ts';
import { HandledByAnother, type MessageFacts, type ReceivedMessage } from '../store/messages.ts';
import type { StoredTaken, TakenMessage } from '../store/taken.ts';
import { admit } from './admit.ts';
import { dropOverCap } from './hold-caps.ts';
import { factsOf, judge, refuseWithinCaps, type Intake, type Judged, type ReadMail } from './judge.ts';
import { settle, type Taken } from './settle.ts';

/**
 * The way of one message, from its values to a queued command. Everything it decides is stored in one transaction, so
 * after a crash it is simply taken again. Messages of different senders may be on it side by side: they share queries and
 * transactions then. Of one sender, the one before has to be settled.
 *
 * @throws when the database cannot be asked, or the sender cannot be verified now; the message stays as it is then.
 */
export async function takeMessage(intake: Intake, mail: ReadMail): Promise<Taken> {
  let judged = await judge(intake, mail);
  while (judged.kind === 'else') {
    const taken = await judged.act();
    if (taken) return taken;
    if (!judged.otherwise) throw new Error(`Nothing became of the message ${mail.received.id}`);
    judged = await judged.otherwise();
  }
  return storeJudged(intake, mail.received, judged);
}

async function storeJudged(
  intake: Intake,
  received: ReceivedMessage,
  { toStore, command }: Judged & { kind: 'plain' },
): Promise<Taken> {
  if (command) {
    const of = { threadId: command.thread?.id ?? null, isControl: command.isControl };
    const overCap = await dropOverCap(intake, received, toStore.facts as MessageFacts, of);
    if (overCap) return overCap;
  }
  try {
    const stored = await intake.queries.store(toStore);
    if (!stored) throw new HandledByAnother(received.id);
    return takenAs(intake, toStore, stored);
  } catch (error) {
    // Two copies at once: the other one was quicker.
    if (!isUniqueViolation(error, 'messages_same_mail')) throw error;
    return settle(intake, received, 'dropped', 'the same mail was taken before', toStore.facts);
  }
}

export function takenAs(
  { log }: Pick<Intake, 'log'>,
  { id, settled }: TakenMessage,
  { commandId, threadId }: StoredTaken,
): Taken {
  if (commandId === null || threadId === null) {
    return { kind: settled.outcome as 'dropped' | 'failed', reason: settled.reason ?? '' };
  }
  log.info({ message: id, command: commandId, thread: threadId }, 'command queued');
  return { kind: 'command', commandId, threadId };
}

/**
 * Sets a message aside that a fault of Threadbox kept from being taken, again and again. Its sender is told, if it is
 * one of those that are answered at all.
 */
export async function giveUpMessage(
  intake: Intake,
  { received, message }: ReadMail,
  fault: Error,
): Promise<Taken> {
  try {
    if (!('unreadable' in message) && 'sender' in (await admit(intake, received, message))) {
      const notice = { kind: 'fault', messageNumber: received.id } as const;
      return await refuseWithinCaps(intake, received, factsOf(message), notice);
    }
  } catch (error) {
    intake.log.error({ err: error, message: received.id }, 'the sender could not be told of a fault');
  }
  // PostgreSQL takes no NUL, and nobody knows what the message of an unforeseen error quotes.
  const words = fault.message.replaceAll('\0', '').slice(0, 1_000);
  return settle(intake, received, 'failed', `a fault of Threadbox: ${words}`, null);
}
