import type { Config } from '../config.ts';
import { loopReason } from '../mail/loop-guard.ts';
import { parseMessage, type ParsedMessage } from '../mail/parse.ts';
import { stripReplyPrefixes } from '../mail/reply-prefixes.ts';
import { readTyped } from '../mail/reply-text.ts';
import { isAllowedSender } from '../mail/sender.ts';
import { queueCommand, type Builtin } from '../store/commands.ts';
import { isUniqueViolation } from '../store/database.ts';
import {
  answeredThread,
  conversationThread,
  isRepeated,
  settleMessage,
  type MessageFacts,
  type ReceivedMessage,
} from '../store/messages.ts';
import { listRepositories, type Repository } from '../store/repositories.ts';
import { ensureThread } from '../store/threads.ts';
import { ensureUser, isRegistered } from '../store/users.ts';
import { findThread, type FoundThread } from '../threads/find-thread.ts';
import { bodyRepositoryLine, plusAddressName, repositoryTag, subjectKey } from '../threads/identity.ts';
import { askedOf } from './asked.ts';
import { isPatch } from './builtins.ts';
import { copiesTo } from './copies-to.ts';
import { controlWord } from './control-words.ts';
import { refuse, settle, type Taken } from './settle.ts';
import { takeControlWord, type ControlParts } from './take-control.ts';

export type Intake = ControlParts & {
  config: Pick<Config, 'allowedSenders' | 'threadBy' | 'repliesToAll' | 'allowedLists'>;
  maxMessageBytes: number;
};

/**
 * The way of one message, from its bytes to a queued command. Everything it decides is stored in one transaction, so
 * after a crash it is simply taken again.
 *
 * @throws when the database cannot be asked; the message stays as it is then.
 */
export async function takeMessage(intake: Intake, received: ReceivedMessage): Promise<Taken> {
  const { db } = intake;
  let message: ParsedMessage;
  try {
    message = await parseMessage(received.raw);
  } catch (error) {
    return settle(db, received, 'failed', `not readable as a mail: ${(error as Error).message}`, null);
  }
  const refusal = await whyNotTaken(intake, message);
  if (refusal !== null) return settle(db, received, 'dropped', refusal, factsOf(message));
  const facts = { ...factsOf(message), copyTo: await copiesTo(intake, message) };
  const sender = message.sender as string;
  const { messageId, bodyHash } = message;
  if (await isRepeated(db, { address: sender, messageId, bodyHash, raw: received.raw })) {
    return settle(db, received, 'dropped', 'the same mail was taken before', facts);
  }
  if (received.isTruncated) {
    const { sizeBytes } = received;
    const limitBytes = intake.maxMessageBytes;
    return refuse(intake, received, facts, { kind: 'mail-too-large', sizeBytes, limitBytes });
  }
  const { obstacle } = message;
  if (obstacle !== null) return refuse(intake, received, facts, { kind: 'unreadable', obstacle });

  const repositories = await listRepositories(db);
  const { text: typed, doubt } = readTyped(message.text);
  const bodyLine = bodyRepositoryLine(typed);
  const found = await threadOf(intake, message, sender, repositories, bodyLine);
  const withoutPrefixes = stripReplyPrefixes(message.subject);
  const subjectRest = repositoryTag(message.subject)?.rest ?? withoutPrefixes;
  const isReply = message.inReplyTo !== null || withoutPrefixes !== message.subject.trim();
  const body = bodyLine?.rest ?? typed;
  const control = controlWord(body, subjectRest, isReply);
  if (control) {
    const taken = await takeControlWord(intake, received, facts, { control, found, repositories });
    if (taken) return taken;
  }
  if (found.kind === 'unknown-repository') return refuse(intake, received, facts, { ...found });
  if (found.kind === 'ask') {
    const notice = found.candidates.length === 0 ? 'no-repository' : 'which-repository';
    return refuse(intake, received, facts, { kind: notice, candidates: found.candidates });
  }
  const repositoryName = repositories.find(({ id }) => id === found.repositoryId)?.name ?? '';
  const asked = askedOf({
    typed: { text: body, doubt },
    subjectRest,
    isReply,
    hasPatch: message.attachments.some(isPatch),
    repositoryName,
  });
  if ('refusal' in asked) return refuse(intake, received, facts, asked.refusal);
  return queue(intake, received, facts, message, found, asked);
}

/**
 * Sets a message aside that a fault of Threadbox kept from being taken, again and again. Its sender is told, if it is
 * one of those that are answered at all.
 */
export async function giveUpMessage(intake: Intake, received: ReceivedMessage, fault: Error): Promise<Taken> {
  try {
    const message = await parseMessage(received.raw);
    if ((await whyNotTaken(intake, message)) === null) {
      return await refuse(intake, received, factsOf(message), { kind: 'fault', messageNumber: received.id });
    }
  } catch (error) {
    intake.log.error({ err: error, message: received.id }, 'the sender could not be told of a fault');
  }
  // PostgreSQL takes no NUL, and nobody knows what the message of an unforeseen error quotes.
  const words = fault.message.replaceAll('\0', '').slice(0, 1_000);
  return settle(intake.db, received, 'failed', `a fault of Threadbox: ${words}`, null);
}

/** Why a message is not for us to answer, or null. */
async function whyNotTaken({ db, config }: Intake, message: ParsedMessage): Promise<string | null> {
  const loop = loopReason(message, config);
  if (loop !== null) return loop;
  const { sender } = message;
  if (sender === null) return 'From is not one single address';
  const isAllowed = isAllowedSender(sender, config.allowedSenders, false) || (await isRegistered(db, sender));
  return isAllowed ? null : 'the sender is not allowed';
}

async function threadOf(
  { db, config }: Intake,
  message: ParsedMessage,
  sender: string,
  repositories: readonly Repository[],
  bodyLine: ReturnType<typeof bodyRepositoryLine>,
): Promise<FoundThread> {
  const answers = [...new Set([message.inReplyTo, ...message.references.toReversed()])];
  const plusName = plusAddressName(message.recipients, config.botAddress);
  const answeredIds = answers.filter((id) => id !== null);
  const tag = repositoryTag(message.subject);
  const isNamed = tag !== null || plusName !== null || bodyLine !== null;
  const [answered, conversation] = await Promise.all([
    answeredThread(db, sender, answeredIds),
    isNamed ? null : conversationThread(db, sender, subjectKey(message.subject)),
  ]);
  return findThread({
    sender,
    answeredThread: answered,
    tag,
    plusName,
    bodyLine,
    conversationThread: conversation,
    repositories,
    subject: message.subject,
    threadBy: config.threadBy,
  });
}

async function queue(
  { db, log }: Intake,
  received: ReceivedMessage,
  facts: MessageFacts,
  message: ParsedMessage,
  found: Extract<FoundThread, { kind: 'thread' }>,
  { script, builtin }: { script: string; builtin: Builtin | null },
): Promise<Taken> {
  try {
    return await db.transaction(async (transaction) => {
      const user = await ensureUser(transaction, message.sender as string, message.senderName);
      const { threadId: id, repositoryId, label } = found;
      const thread = await ensureThread(transaction, { id, userId: user.id, repositoryId, label });
      await settleMessage(
        transaction,
        received.id,
        { outcome: 'command', reason: null, threadId: thread.id },
        facts,
      );
      const commandId = await queueCommand(transaction, {
        threadId: thread.id,
        messageId: received.id,
        script,
        builtin,
        hasFiles: message.attachments.some(({ isFile }) => isFile),
      });
      log.info({ message: received.id, command: commandId, thread: thread.id }, 'command queued');
      return { kind: 'command', commandId, threadId: thread.id };
    });
  } catch (error) {
    // Two copies at once: the other one was quicker.
    if (!isUniqueViolation(error, 'messages_same_mail')) throw error;
    return settle(db, received, 'dropped', 'the same mail was taken before', facts);
  }
}

function factsOf(message: ParsedMessage): MessageFacts {
  return {
    address: message.sender,
    senderName: message.senderName,
    messageId: message.messageId,
    references: message.references,
    subject: message.subject,
    subjectKey: subjectKey(message.subject),
    bodyHash: message.bodyHash,
    copyTo: [],
  };
}
