import { ImapFlow } from 'imapflow';
import type { EmbeddedMail } from '../src/embedded/embedded.ts';
import { connectSmtp } from '../src/mail/transport.ts';
import { composeUserMail } from '../src/mail/user-mail.ts';
import { inTime } from './sink.ts';

export const SENDER = 'alice@example.com';
/** Nobody's mailbox but the bench's: what the server itself takes to announce a mail is seen there. */
const QUIET_MAILBOX = 'quiet@example.com';

/** `acceptedAt` by the clock of `performance.now()`: the mail server has taken the mail on, and it lies in the mailbox. */
type Posted = { messageId: string; acceptedAt: number };

export type Post = {
  /** A mail to the bot. @returns what sends it */
  write: (subject: string, body: string) => Promise<() => Promise<Posted>>;
  /** Sends the same to the quiet mailbox; resolves when its IDLE connection is told. */
  sendAndHear: (
    subject: string,
    body: string,
    signal: AbortSignal,
  ) => Promise<{ acceptedAt: number; heardAt: number }>;
  close: () => Promise<void>;
};

const NOTIFICATION_TIMEOUT_MS = 30_000;

/** A sender on connections that stay open, and an independent listener on the same IMAP server as the bot's. */
export async function openPost(mail: EmbeddedMail): Promise<Post> {
  const { imapPort, smtpPort, password, botAddress } = mail;
  const local = { host: '127.0.0.1', user: SENDER, tls: 'offered', verifyCertificate: false } as const;
  const transport = connectSmtp({ ...local, port: smtpPort }, password);
  const listener = new ImapFlow({
    host: '127.0.0.1',
    port: imapPort,
    secure: false,
    doSTARTTLS: false,
    auth: { user: QUIET_MAILBOX, pass: password },
    disableAutoIdle: true,
    logger: false,
  });
  let hear = (): void => {};
  listener.on('error', () => undefined);
  listener.on('exists', () => hear());
  await listener.connect();
  await listener.mailboxOpen('INBOX', { readOnly: true });
  // For as long as the connection lives.
  listener.idle().catch(() => undefined);

  async function writeTo(address: string, subject: string, body: string): Promise<() => Promise<Posted>> {
    const { raw, messageId } = await composeUserMail({ from: SENDER, to: address, subject, body });
    return async () => {
      await transport.send({ raw, from: SENDER, to: [address] });
      return { messageId, acceptedAt: performance.now() };
    };
  }
  return {
    write: (subject, body) => writeTo(botAddress, subject, body),
    async sendAndHear(subject, body, signal) {
      const { promise: heard, resolve } = Promise.withResolvers<number>();
      hear = () => resolve(performance.now());
      const send = await writeTo(QUIET_MAILBOX, subject, body);
      const { acceptedAt } = await send();
      const heardAt = await inTime(
        heard,
        signal,
        NOTIFICATION_TIMEOUT_MS,
        'the notification of the IMAP server',
      );
      return { acceptedAt, heardAt };
    },
    async close() {
      listener.close();
      await transport.close();
    },
  };
}
