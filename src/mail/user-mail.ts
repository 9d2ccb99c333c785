import MailComposer from 'nodemailer/lib/mail-composer';
import { newMessageId } from './compose.ts';

export type UserMail = { raw: Buffer; messageId: string };

/** A mail as a person's client would send it to the bot; with `inReplyTo` an answer to a mail of the bot's. */
export async function composeUserMail(mail: {
  from: string;
  to: string;
  subject: string;
  body: string;
  inReplyTo?: { messageId: string; references: readonly string[] } | undefined;
}): Promise<UserMail> {
  const messageId = newMessageId(mail.from);
  const { inReplyTo } = mail;
  const composer = new MailComposer({
    from: mail.from,
    to: mail.to,
    subject: mail.subject,
    messageId,
    text: mail.body,
    // Nothing is wrapped: a long line of a command must arrive as one.
    encoding: 'quoted-printable',
    ...(inReplyTo && {
      inReplyTo: inReplyTo.messageId,
      references: [...inReplyTo.references, inReplyTo.messageId],
    }),
  });
  return { raw: await composer.compile().build(), messageId };
}
