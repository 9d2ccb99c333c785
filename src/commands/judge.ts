import type { Config } from '../config.ts';
import { readBounce } from '../mail/bounce.ts';
import { doubtBrokenLines } from '../mail/broken-lines.ts';
import type { Notice } from '../mail/notices.ts';
import type { ParsedMessage } from '../mail/parse.ts';
import { stripReplyPrefixes } from '../mail/reply-prefixes.ts';
import { readTyped } from '../mail/reply-text.ts';
import type { MessageFacts, ReceivedMessage } from '../store/messages.ts';
import { listRepositories, type Repository } from '../store/repositories.ts';
import type { SharedQueries } from '../store/shared-queries.ts';
import type { TakenMessage } from '../store/taken.ts';
import type { StoredThread } from '../store/threads.ts';
import { findThread, type FoundThread, type ThreadRef } from '../threads/find-thread.ts';
import { bodyRepositoryLine, plusAddressName, repositoryTag, subjectKey } from '../threads/identity.ts';
import { admit, type AdmitParts } from './admit.ts';
import { askedOf } from './asked.ts';
import { isPatch } from './builtins.ts';
import { checkToken, type TokenParts } from './check-token.ts';
import { copiesTo } from './copies-to.ts';
import { controlWord } from './control-words.ts';
import { dropEcho, isEcho } from './echo.ts';
import { dropOverCap } from './hold-caps.ts';
import { masksFor, type SecretsOf } from './repository-secrets.ts';
import { refuse, type Taken } from './settle.ts';
import { takeControlWord, type ControlParts } from './take-control.ts';
import { isForLogin, takeLogin, type LoginParts } from './take-login.ts';
import { isForSql, takeSql, type SqlParts } from './take-sql.ts';
import { mostAllowedMs, type TimeConfig } from './time-allowed.ts';

export type Intake = ControlParts &
  AdmitParts &
  TokenParts &
  LoginParts &
  SqlParts & {
    config: Pick<Config, 'maxMailAgeMs' | 'threadBy' | 'repliesToAll'> & TimeConfig;
    queries: SharedQueries;
    secretsOf: SecretsOf;
    maxMessageBytes: number;
    /** Takes note of what a bounce says. */
    noteBounce: (raw: Buffer) => Promise<void>;
  };

/** A recorded message, read; or why it cannot be. */
export type ReadMail = { received: ReceivedMessage; message: ParsedMessage | { unreadable: string } };

/**
 * What a message comes to. `plain`: rows and nothing else, as nearly always. Otherwise `act` does what has to be done, in
 * the message's turn; where it gives null, what else it comes to is found out by `otherwise`.
 */
export type Judged =
  | { kind: 'plain'; toStore: TakenMessage; command: JudgedCommand | null }
  | { kind: 'else'; act: () => Promise<Taken | null>; otherwise: (() => Promise<Judged>) | null };

/** What a command was found by. */
type JudgedCommand = {
  /** As it is stored, where there was a command in it before. */
  thread: StoredThread | null;
  /** The messages that it may be an answer to. */
  answers: readonly string[];
  /** There was only its subject to find its thread by. */
  isBySubject: boolean;
  isControl: boolean;
};

/**
 * What a message comes to, from what is stored by now. Asks the database and changes nothing.
 *
 * @throws when the database cannot be asked, or the sender cannot be verified now
 */
export async function judge(intake: Intake, mail: ReadMail): Promise<Judged> {
  const { raw } = mail.received;
  const goOn = () => judgeMail(intake, mail);
  if (readBounce(raw) === null) return goOn();
  // What it says is noted in its turn, before it is dropped as one.
  return orElse(async () => {
    await intake.noteBounce(raw);
    return null;
  }, goOn);
}

async function judgeMail(intake: Intake, { received, message }: ReadMail): Promise<Judged> {
  if ('unreadable' in message) {
    return nothing(received, 'failed', `not readable as a mail: ${message.unreadable}`, null);
  }
  const admission = await admit(intake, received, message);
  if ('dropped' in admission) return nothing(received, 'dropped', admission.dropped, factsOf(message));
  const { sender, signatureIds } = admission;
  const facts = { ...factsOf(message), signatureIds, copyTo: await copiesTo(intake, message) };
  if (intake.now().getTime() - received.receivedAt.getTime() > intake.config.maxMailAgeMs) {
    return nothing(received, 'dropped', 'too old to be run', facts, 'too-old');
  }
  const no = (notice: Notice) => orElse(() => refuseWithinCaps(intake, received, facts, notice));
  if (received.isTruncated) {
    const { sizeBytes } = received;
    return no({ kind: 'mail-too-large', sizeBytes, limitBytes: intake.maxMessageBytes });
  }
  const { obstacle } = message;
  if (obstacle === 'deadly') return no({ kind: 'deadly', messageNumber: received.id });
  if (obstacle !== null) return no({ kind: 'unreadable', obstacle });

  const goOn = () => judgeRequest(intake, { received, message, facts, sender });
  // Also of one who is no admin, to whom it is none.
  if (!isForLogin(intake, message) && !(await isForSql(intake, sender, message))) return goOn();
  return orElse(
    async () =>
      (await takeSql(intake, received, facts, message)) ??
      (await takeLogin(intake, received, facts, message)),
    goOn,
  );
}

type Request = { received: ReceivedMessage; message: ParsedMessage; facts: MessageFacts; sender: string };

/** What is asked for by a mail that is run or answered. */
async function judgeRequest(intake: Intake, request: Request): Promise<Judged> {
  const { queries } = intake;
  const { received, message, facts, sender } = request;
  const token = await checkToken(intake, sender, message.recipients);
  if (token.missing !== null) {
    const notice = { kind: 'token-missing', problem: token.missing } as const;
    return orElse(() => refuseWithinCaps(intake, received, facts, notice));
  }
  const repositories = await queries.repositoriesFor(sender);
  const { text: typed, doubt } = doubtBrokenLines(readTyped(message.text), message);
  const bodyLine = bodyRepositoryLine(typed);
  const known = { sender, repositories, bodyLine, ofToken: token.thread };
  const { found, ...by } = await threadOf(intake, message, known);
  // Not always under the id that was found: two threads may have wanted the same one.
  const thread = found.kind === 'thread' ? await queries.storedThread({ ...found, address: sender }) : null;
  const withoutPrefixes = stripReplyPrefixes(message.subject);
  const subjectRest = repositoryTag(message.subject)?.rest ?? withoutPrefixes;
  const isReply = message.inReplyTo !== null || withoutPrefixes !== message.subject.trim();
  const body = bodyLine?.rest ?? typed;
  const control = controlWord(body, subjectRest, isReply);
  const isControl = control !== null;
  const within = async <T>(act: () => Promise<T>): Promise<T | Taken> =>
    (await dropOverCap(intake, received, facts, { threadId: thread?.id ?? null, isControl })) ?? act();
  const asCommand = (): Judged => {
    const no = (notice: Notice) => orElse(() => within(() => refuse(intake, received, facts, notice)));
    if (found.kind === 'unknown-repository') return no({ ...found });
    if (found.kind === 'ask') {
      const kind = found.candidates.length === 0 ? 'no-repository' : 'which-repository';
      return no({ kind, candidates: found.candidates });
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
    if ('refusal' in asked) {
      const { refusal } = asked;
      // It repeats what the mail says.
      const masked = async () => (await masksFor(intake, { id: found.repositoryId }, body)).all(refusal);
      return orElse(() => within(async () => refuse(intake, received, facts, await masked())));
    }
    const { receivedAt } = received;
    const hasFiles = message.attachments.some(({ isFile }) => isFile);
    if (thread && isEcho({ ...asked, hasFiles, isReply, receivedAt }, thread.last)) {
      const { script } = asked;
      const of = { script, threadId: thread.id, repositoryId: found.repositoryId };
      return orElse(() => within(() => dropEcho(intake, received, facts, of)));
    }
    const from = { address: sender, name: message.senderName };
    const command = {
      ...asked,
      hasFiles,
      sender: from,
      thread: { id: thread?.id ?? found.threadId, repositoryId: found.repositoryId, label: found.label },
      isKnown: thread !== null && (thread.userName !== '' || from.name === ''),
    };
    const settled = { outcome: 'command', reason: null } as const;
    return {
      kind: 'plain',
      toStore: { id: received.id, facts, settled, command },
      command: { ...by, thread, isControl },
    };
  };
  if (!control) return asCommand();
  const ofAll = async () =>
    (await threadOf(intake, message, { ...known, repositories: await listRepositories(intake.db) })).found;
  return orElse(
    () => within(() => takeControlWord(intake, received, facts, { control, found, repositories, ofAll })),
    () => Promise.resolve(asCommand()),
  );
}

/** Refused before its thread is known: a program that answers each refusal must come to an end as well. */
export async function refuseWithinCaps(
  intake: Intake,
  received: ReceivedMessage,
  facts: MessageFacts,
  notice: Notice,
): Promise<Taken> {
  const overCap = await dropOverCap(intake, received, facts, { threadId: null, isControl: false });
  return overCap ?? refuse(intake, received, facts, notice);
}

const orElse = (
  act: () => Promise<Taken | null>,
  otherwise: (() => Promise<Judged>) | null = null,
): Judged => ({ kind: 'else', act, otherwise });

function nothing(
  { id }: ReceivedMessage,
  outcome: 'dropped' | 'failed',
  reason: string,
  facts: MessageFacts | null,
  owes?: 'too-old',
): Judged {
  const settled = { outcome, reason, ...(owes && { owes }) };
  return { kind: 'plain', toStore: { id, facts, settled, command: null }, command: null };
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
): Promise<{ found: FoundThread } & Pick<JudgedCommand, 'answers' | 'isBySubject'>> {
  const { sender, repositories, bodyLine, ofToken } = known;
  const plusName = plusAddressName(message.recipients, config.botAddress);
  const answers = [...new Set([message.inReplyTo, ...message.references.toReversed()])].filter(
    (id) => id !== null,
  );
  const tag = repositoryTag(message.subject);
  const isNamed = tag !== null || plusName !== null || bodyLine !== null;
  const [answered, conversation] = await Promise.all([
    ofToken ?? (answers.length > 0 ? queries.answeredThread({ address: sender, messageIds: answers }) : null),
    isNamed ? null : queries.conversationThread({ address: sender, subjectKey: subjectKey(message.subject) }),
  ]);
  const found = findThread({
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
  return { found, answers, isBySubject: !isNamed && answered === null };
}

/** RFC 5322, 3.6.4: where a mail has no References, what it answers stands for them. */
const conversationOf = ({ references, inReplyTo }: ParsedMessage): string[] =>
  references.length > 0 || inReplyTo === null ? references : [inReplyTo];

export function factsOf(message: ParsedMessage): MessageFacts {
  return {
    address: message.sender,
    senderName: message.senderName,
    messageId: message.messageId,
    references: conversationOf(message),
    subject: message.subject,
    subjectKey: subjectKey(message.subject),
    bodyHash: message.bodyHash,
    copyTo: [],
  };
}
