import { composeMail, newMessageId, replySubject } from '../mail/compose.ts';
import { LOOP_HEADER } from '../mail/headers.ts';
import type { Db } from '../store/database.ts';
import type { MessageToAnswer } from '../store/messages.ts';
import { queueAnswer } from '../store/outbox.ts';

/** What an answer says, whoever rendered it. */
export type AnswerContent = {
  /** `delay`: not the answer yet, but a word on why it takes so long. */
  kind?: 'answer' | 'delay';
  text: string;
  html: string;
  attachments?: { fileName: string; contentType: string; content: Buffer }[];
};

/**
 * Puts the answer to a message into the outbox: in its conversation, to its sender, with its Message-ID fixed.
 * Run it in the transaction that also records what the answer tells.
 */
export async function answerMessage(
  db: Db,
  botAddress: string,
  message: MessageToAnswer,
  content: AnswerContent,
  threadId: string | null,
  now: Date,
): Promise<void> {
  const messageId = newMessageId(botAddress);
  const subject = replySubject(message.subject);
  const raw = await composeMail({
    from: { name: 'Threadbox', address: botAddress },
    to: { name: message.senderName, address: message.address },
    subject,
    messageId,
    inReplyTo: message.messageId,
    references: message.references,
    date: now,
    text: content.text,
    html: content.html,
    attachments: content.attachments ?? [],
    headers: { [LOOP_HEADER]: content.kind ?? 'answer' },
  });
  await queueAnswer(db, {
    raw,
    messageId,
    from: botAddress,
    to: message.address,
    subject,
    subjectKey: message.subjectKey,
    threadId,
    inReplyToMessage: message.id,
  });
}
