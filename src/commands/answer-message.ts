import type { Config } from '../config.ts';
import { composeMail, newMessageId, replySubject } from '../mail/compose.ts';
import { LOOP_HEADER } from '../mail/headers.ts';
import type { Db } from '../store/database.ts';
import type { MessageToAnswer } from '../store/messages.ts';
import { queueAnswer } from '../store/outbox.ts';
import { tokenKey } from '../store/threads.ts';
import { subjectKey } from '../threads/identity.ts';
import { mintToken } from '../threads/reply-token.ts';

/** Whose answers they are, and whether answers to them come with a token. */
export type Answering = Pick<Config, 'botAddress' | 'replyToken'>;

/** What an answer says, whoever rendered it. */
export type AnswerContent = {
  /** `delay`: not the answer yet, but a word on why it takes so long. `notice`: nobody has asked. */
  kind?: 'answer' | 'delay' | 'notice';
  text: string;
  html: string;
  /** Who else gets it: those alone whom it is meant for. Nobody, unless it is said. */
  copyTo?: readonly string[];
  attachments?: { fileName: string; contentType: string; content: Buffer }[];
  /** What the token in Reply-To is made for, where that is no thread. */
  tokenOf?: string;
};

/**
 * Puts the answer to a message into the outbox: in its conversation, to its sender, with its Message-ID fixed.
 * Run it in the transaction that also records what the answer tells.
 */
export async function answerMessage(
  db: Db,
  answering: Answering,
  message: MessageToAnswer,
  content: AnswerContent,
  threadId: string | null,
  now: Date,
): Promise<void> {
  await queue(db, answering, content, now, {
    to: { name: message.senderName, address: message.address },
    subject: replySubject(message.subject),
    subjectKey: message.subjectKey,
    inReplyTo: message.messageId,
    references: message.references,
    inReplyToMessage: message.id,
    threadId,
  });
}

/** Puts a mail into the outbox that answers nothing. */
export async function writeMail(
  db: Db,
  answering: Answering,
  mail: { to: string; subject: string; content: AnswerContent; now: Date },
): Promise<void> {
  await queue(db, answering, { ...mail.content, kind: 'notice' }, mail.now, {
    to: { name: '', address: mail.to },
    subject: mail.subject,
    subjectKey: subjectKey(mail.subject),
    inReplyTo: null,
    references: [],
    inReplyToMessage: null,
    threadId: null,
  });
}

type Envelope = {
  to: { name: string; address: string };
  subject: string;
  subjectKey: string;
  inReplyTo: string | null;
  references: string[];
  inReplyToMessage: number | null;
  threadId: string | null;
};

async function queue(
  db: Db,
  { botAddress, replyToken }: Answering,
  { kind = 'answer', text, html, copyTo = [], attachments = [], tokenOf }: AnswerContent,
  now: Date,
  { to, inReplyTo, references, ...stored }: Envelope,
): Promise<void> {
  const messageId = newMessageId(botAddress);
  const of = { sender: to.address, threadId: tokenOf ?? stored.threadId ?? '' };
  // It shows that one can read the sender's mail: nobody else is to have it.
  const hasToken = replyToken && copyTo.length === 0;
  const token = hasToken ? mintToken(await tokenKey(db), of, now) : null;
  const raw = await composeMail({
    from: { name: 'Threadbox', address: botAddress },
    to,
    replyTo: token === null ? undefined : { name: 'Threadbox', address: tagged(botAddress, token) },
    copyTo,
    subject: stored.subject,
    messageId,
    inReplyTo,
    references,
    date: now,
    text,
    html,
    attachments,
    headers: { [LOOP_HEADER]: kind },
  });
  await queueAnswer(db, { ...stored, raw, messageId, from: botAddress, to: to.address, copyTo });
}

/** RFC 5233: what stands behind the `+` is the mailbox's own affair. */
function tagged(address: string, tag: string): string {
  const at = address.lastIndexOf('@');
  return `${address.slice(0, at)}+${tag}${address.slice(at)}`;
}
