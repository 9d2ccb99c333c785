import { connect } from 'node:net';
import { createTransport } from 'nodemailer';
import type { SMTPTransportGetSocketCallback } from 'nodemailer/lib/smtp-transport';

/** Where mail goes that was taken on: into mailboxes, by LMTP (RFC 2033). */
export type MailStore = {
  /**
   * Puts one mail into the mailbox of each recipient.
   *
   * @returns what the store said
   * @throws Error with the store's reply in `responseCode`, where there was one
   */
  deliver(mail: { from: string; to: readonly string[]; raw: Buffer }): Promise<string>;
  close(): void;
};

/** More at once would only wait for the same disk. */
const MOST_CONNECTIONS = 4;

/** Opens nothing yet: the first mail does, and the connection stays for the next. */
export function connectMailStore(lmtpSocket: string): MailStore {
  const pool = createTransport({
    pool: true,
    lmtp: true,
    maxConnections: MOST_CONNECTIONS,
    maxMessages: Infinity,
    idleTimeout: 0,
    name: 'localhost',
    ignoreTLS: true,
    disableFileAccess: true,
    disableUrlAccess: true,
    getSocket: (_: unknown, callback: SMTPTransportGetSocketCallback) => {
      const connection = connect(lmtpSocket);
      connection.once('error', callback);
      connection.once('connect', () => {
        connection.removeListener('error', callback);
        callback(null, { connection });
      });
    },
  });
  return {
    async deliver({ from, to, raw }) {
      // One recipient at a time: only then does Dovecot add Delivered-To.
      const deliveries = to.map((address) => pool.sendMail({ envelope: { from, to: [address] }, raw }));
      const done = await Promise.all(deliveries);
      return done.map(({ response }) => response).join(', ');
    },
    close: () => pool.close(),
  };
}
