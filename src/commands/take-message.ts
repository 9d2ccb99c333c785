import type { Config } from '../config.ts';
import type { Notice } from '../mail/notices.ts';
import { parseMessage, type ParsedMessage } from '../mail/parse.ts';
import { stripReplyPrefixes } from '../mail/reply-prefixes.ts';
import { readTyped } from '../mail/reply-text.ts';
import { isUniqueViolation } from '../store/database.ts';
import { HandledByAnother, type MessageFacts, type ReceivedMessage } from '../store/messages.ts';
import { listRepositories, type Repository } from '../store/repositories.ts';
import type { SharedQueries } from '../store/shared-queries.ts';
import type { StoredThread } from '../store/threads.ts';
import { findThread, type FoundThread, type ThreadRef } from '../threads/find-thread.ts';
import { bodyRepositoryLine, plusAddressName, repositoryTag, subjectKey } from '../threads/identity.ts';
import { admit, type AdmitParts } from './admit.ts';
import { askedOf, type Asked } from './asked.ts';
import { isPatch } from './builtins.ts';
import { checkToken, type TokenParts } from './check-token.ts';
import { copiesTo } from './copies-to.ts';
import { controlWord } from './control-words.ts';
import { dropEcho, isEcho } from './echo.ts';
import { dropOverCap } from './hold-caps.ts';
import { refuse, settle, type Taken } from './settle.ts';
import { takeControlWord, type ControlParts } from './take-control.ts';
import { takeLogin, type LoginParts } from './take-login.ts';
import { takeSql, type SqlParts } from './take-sql.ts';
import { mostAllowedMs, type TimeConfig } from './time-allowed.ts';

export type Intake = ControlParts &
  AdmitParts &
  TokenParts &
  LoginParts &
  SqlParts & {
    config: Pick<Config, 'maxMailAgeMs' | 'threadBy' | 'repliesToAll'> & TimeConfig;
    queries: SharedQueries;
    maxMessageBytes: number;
  };

/** A recorded message, read; or why it cannot be. */
export type ReadMail = { received: ReceivedMessage; message: ParsedMessage | { unreadable: string } };

/** What one sender's mails come to can depend on those before them; it never depends on what others write. */
export const senderOf = ({ message }: ReadMail): string => ('sender' in message && message.sender) || '';

/**
 * The way of one message, from its values to a queued command. Everything it decides is stored in one transaction, so
 * after a crash it is simply taken again. Messages of different senders may be on it side by side: they share queries and
 * transactions then. Of one sender, the one before has to be settled.
 *
 * @throws when the database cannot be asked, or the sender cannot be verified now; the message stays as it is then.
 */
export async function takeMessage(intake: Intake, { received, message }: ReadMail): Promise<Taken> {
  const { queries } = intake;
  if ('unreadable' in message) {
    return settle(intake, received, 'failed', `not readable as a mail: ${message.unreadable}`, null);
  }
  const admission = await admit(intake, received, message);
  if ('dropped' in admission) {
    return settle(intake, received, 'dropped', admission.dropped, factsOf(message));
  }
  const { sender, signatureIds } = admission;
  const facts = { ...factsOf(message), signatureIds, copyTo: await copiesTo(intake, message) };
  if (intake.now().getTime() - received.receivedAt.getTime() > intake.config.maxMailAgeMs) {
    return settle(intake, received, 'dropped', 'too old to be run', facts, 'too-old');
  }
  if (received.isTruncated) {
    const { sizeBytes } = received;
    const limitBytes = intake.maxMessageBytes;
    return refuseWithinCaps(intake, received, facts, { kind: 'mail-too-large', sizeBytes, limitBytes });
  }
  const { obstacle } = message;
  if (obstacle !== null) return refuseWithinCaps(intake, received, facts, { kind: 'unreadable', obstacle });

  const ofAdmin =
    (await takeSql(intake, received, facts, message)) ?? (await takeLogin(intake, received, facts, message));
  if (ofAdmin) return ofAdmin;
  const token = await checkToken(intake, sender, message.recipients);
  if (token.missing !== null) {
    return refuseWithinCaps(intake, received, facts, { kind: 'token-missing', problem: token.missing });
  }
  const repositories = await queries.repositoriesFor(sender);
  const { text: typed, doubt } = readTyped(message.text);
  const bodyLine = bodyRepositoryLine(typed);
  const known = { sender, repositories, bodyLine, ofToken: token.thread };
  const found = await threadOf(intake, message, known);
  // Not always under the id that was found: two threads may have wanted the same one.
  const thread = found.kind === 'thread' ? await queries.storedThread({ ...found, address: sender }) : null;
  const withoutPrefixes = stripReplyPrefixes(message.subject);
  const subjectRest = repositoryTag(message.subject)?.rest ?? withoutPrefixes;
  const isReply = message.inReplyTo !== null || withoutPrefixes !== message.subject.trim();
  const body = bodyLine?.rest ?? typed;
  const control = controlWord(body, subjectRest, isReply);
  const isControl = control !== null;
  const overCap = await dropOverCap(intake, received, facts, { threadId: thread?.id ?? null, isControl });
  if (overCap) return overCap;
  if (control) {
    const ofAll = async () =>
      threadOf(intake, message, { ...known, repositories: await listRepositories(intake.db) });
    const taken = await takeControlWord(intake, received, facts, { control, found, repositories, ofAll });
    if (taken) return taken;
  }
  if (found.kind === 'unknown-repository') return refuse(intake, received, facts, { ...found });
  if (found.kind === 'ask') {
    const notice = found.candidates.length === 0 ? 'no-repository' : 'which-repository';
    return refuse(intake, received, facts, { kind: notice, candidates: found.candidates });
  }
  const repository = repositories.find(({ id }) => id === found.repositoryId);
  const asked = askedOf({
    typed: { text: body, doubt },
    subjectRest,
    isReply,
    hasPatch: message.attachments.some(isPatch),
    repositoryName: repository?.name ?? '',
    mostMs: mostAllowedMs(repository, intake.config),
  });
  if ('refusal' in asked) return refuse(intake, received, facts, asked.refusal);
  const { receivedAt } = received;
  const hasFiles = message.attachments.some(({ isFile }) => isFile);
  if (thread && isEcho({ ...asked, hasFiles, isReply, receivedAt }, thread.last)) {
    return dropEcho(intake, received, facts, { script: asked.script, threadId: thread.id });
  }
  return queue(intake, received, facts, { message, found, thread, asked: { ...asked, hasFiles } });
}

/**
 * Sets a message aside that a fault of Threadbox kept from being taken, again and again. Its sender is told, if it is
 * one of those that are answered at all.
 */
export async function giveUpMessage(intake: Intake, received: ReceivedMessage, fault: Error): Promise<Taken> {
  try {
    const message = await parseMessage(received.raw);
    if ('sender' in (await admit(intake, received, message))) {
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

/** Refused before its thread is known: a program that answers each refusal must come to an end as well. */
async function refuseWithinCaps(
  intake: Intake,
  received: ReceivedMessage,
  facts: MessageFacts,
  notice: Notice,
): Promise<Taken> {
  const overCap = await dropOverCap(intake, received, facts, { threadId: null, isControl: false });
  return overCap ?? refuse(intake, received, facts, notice);
}

async function threadOf(
  { queries, config }: Intake,
  message: ParsedMessage,
  known: {
    sender: string;
    repositories: readonly Repository[];
    bodyLine: ReturnType<typeof bodyRepositoryLine>;
    ofToken: ThreadRef | null;
  },
): Promise<FoundThread> {
  const { sender, repositories, bodyLine, ofToken } = known;
  const answers = [...new Set([message.inReplyTo, ...message.references.toReversed()])];
  const plusName = plusAddressName(message.recipients, config.botAddress);
  const answeredIds = answers.filter((id) => id !== null);
  const tag = repositoryTag(message.subject);
  const isNamed = tag !== null || plusName !== null || bodyLine !== null;
  const [answered, conversation] = await Promise.all([
    ofToken ??
      (answeredIds.length > 0 ? queries.answeredThread({ address: sender, messageIds: answeredIds }) : null),
    isNamed ? null : queries.conversationThread({ address: sender, subjectKey: subjectKey(message.subject) }),
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
  { queries, log }: Intake,
  received: ReceivedMessage,
  facts: MessageFacts,
  {
    message,
    found,
    thread,
    asked,
  }: {
    message: ParsedMessage;
    found: Extract<FoundThread, { kind: 'thread' }>;
    /** As it is stored. */
    thread: StoredThread | null;
    asked: Asked & { hasFiles: boolean };
  },
): Promise<Taken> {
  const { id } = received;
  const sender = { address: message.sender as string, name: message.senderName };
  const command = {
    ...asked,
    sender,
    thread: { id: thread?.id ?? found.threadId, repositoryId: found.repositoryId, label: found.label },
    isKnown: thread !== null && (thread.userName !== '' || sender.name === ''),
  };
  try {
    const stored = await queries.store({ id, facts, settled: { outcome: 'command', reason: null }, command });
    if (!stored) throw new HandledByAnother(id);
    const { commandId, threadId } = stored as { commandId: number; threadId: string };
    log.info({ message: id, command: commandId, thread: threadId }, 'command queued');
    return { kind: 'command', commandId, threadId };
  } catch (error) {
    // Two copies at once: the other one was quicker.
    if (!isUniqueViolation(error, 'messages_same_mail')) throw error;
    return settle({ queries }, received, 'dropped', 'the same mail was taken before', facts);
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
