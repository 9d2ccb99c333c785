import type { MailServer } from '../config.ts';
import { awaitAnswer } from '../mail/inbox/await-answer.ts';
import { parseMessage, type ParsedMessage } from '../mail/parse.ts';
import { connectSmtp } from '../mail/transport.ts';
import { composeUserMail } from '../mail/user-mail.ts';

/** A person's own mailbox: where they send from, and where the answer arrives. */
export type Correspondent = {
  address: string;
  imap: { server: MailServer; password: string };
  smtp: { server: MailServer; password: string };
};

export type Exchange = { answer: ParsedMessage; tookMs: number };

type Patience = { timeoutMs: number; signal: AbortSignal; kind?: 'answer' | 'notice' };

/** The embedded server lets every address in under one password. */
export function embeddedCorrespondent(
  address: string,
  { imapPort, smtpPort, password }: { imapPort: number; smtpPort: number; password: string },
): Correspondent {
  const local = { host: '127.0.0.1', user: address, tls: 'offered', verifyCertificate: false } as const;
  return {
    address,
    imap: { server: { ...local, port: imapPort }, password },
    smtp: { server: { ...local, port: smtpPort }, password },
  };
}

/** Sends one mail. @returns its Message-ID */
export async function sendToBot(
  { address, smtp }: Correspondent,
  mail: { to: string; subject: string; body: string; inReplyTo?: ParsedMessage | undefined },
): Promise<string> {
  const { to, subject, body, inReplyTo } = mail;
  const answered = inReplyTo?.messageId
    ? { messageId: inReplyTo.messageId, references: inReplyTo.references }
    : undefined;
  const { raw, messageId } = await composeUserMail({ from: address, to, subject, body, inReplyTo: answered });
  const transport = connectSmtp(smtp.server, smtp.password);
  try {
    await transport.send({ raw, from: address, to: [to] });
  } finally {
    await transport.close();
  }
  return messageId;
}

/** Waits for what the bot answers to the mail with that Message-ID. */
export async function awaitReply(
  { imap }: Correspondent,
  inReplyTo: string,
  { timeoutMs, signal, kind = 'answer' }: Patience,
): Promise<Exchange> {
  const startedAt = performance.now();
  const raw = await awaitAnswer({ ...imap, inReplyTo, kind, timeoutMs, signal });
  return { answer: await parseMessage(raw), tookMs: performance.now() - startedAt };
}

/** Sends one mail and waits for what the bot answers. The time is that of both. */
export async function askBot(
  correspondent: Correspondent,
  mail: Parameters<typeof sendToBot>[1],
  patience: Patience,
): Promise<Exchange> {
  const startedAt = performance.now();
  const inReplyTo = await sendToBot(correspondent, mail);
  const { answer } = await awaitReply(correspondent, inReplyTo, patience);
  return { answer, tookMs: performance.now() - startedAt };
}
