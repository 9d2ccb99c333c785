import type { Config, MailServer, Secrets } from './config.ts';
import type { EmbeddedMail } from './embedded/embedded.ts';

/** Where the bot has its mail, in and out. */
export type Accounts = { imap: Account; smtp: Account };

type Account = { server: MailServer; password: string };

/** @param embedded where no server is configured */
export function mailAccounts(config: Config, secrets: Secrets, embedded: EmbeddedMail | undefined): Accounts {
  if (config.imap && config.smtp) {
    return {
      imap: { server: config.imap, password: secrets.imapPassword as string },
      smtp: { server: config.smtp, password: secrets.smtpPassword as string },
    };
  }
  const { imapPort, smtpPort, password } = embedded as EmbeddedMail;
  const local = {
    host: '127.0.0.1',
    user: config.botAddress,
    tls: 'offered',
    verifyCertificate: false,
  } as const;
  return {
    imap: { server: { ...local, port: imapPort }, password },
    smtp: { server: { ...local, port: smtpPort }, password },
  };
}
