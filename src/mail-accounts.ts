import type { Config, MailServer, Secrets } from './config.ts';
import type { Embedded, EmbeddedMail } from './embedded/embedded.ts';

export type Accounts = { imap: Account; smtp: Account };
export type Account = { server: MailServer; password: string };

/** Where mail is read and sent: the servers of the settings, or the embedded one. */
export function mailAccounts(
  { config, secrets }: { config: Config; secrets: Secrets },
  embedded: Embedded,
): Accounts {
  if (config.imap && config.smtp) {
    return {
      imap: { server: config.imap, password: secrets.imapPassword as string },
      smtp: { server: config.smtp, password: secrets.smtpPassword as string },
    };
  }
  const { imapPort, smtpPort, password } = embedded.mail as EmbeddedMail;
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
