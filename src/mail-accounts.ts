import { join } from 'node:path';
import type { Config, MailServer, Secrets } from './config.ts';
import type { EmbeddedMail } from './embedded/embedded.ts';
import type { Log } from './log.ts';
import { keepRefreshToken } from './mail/kept-refresh-token.ts';
import { createTokenSource, type Credential } from './mail/oauth.ts';

export type Accounts = { imap: Account; smtp: Account };
export type Account = { server: MailServer; password: Credential };

/**
 * Where mail is read and sent: the servers of the settings, or the embedded one.
 *
 * @param embedded where no server is configured
 */
export function mailAccounts(
  config: Config,
  secrets: Secrets,
  embedded: EmbeddedMail | undefined,
  parts: { now: () => Date; log: Log },
): Accounts {
  if (config.imap && config.smtp) {
    const tokens =
      config.oauth &&
      createTokenSource(settingsOf(config.oauth, secrets), {
        ...parts,
        kept: keepRefreshToken(join(config.dataDir, 'refresh-token.json'), secrets.oauthRefreshToken ?? ''),
      });
    const credential = (server: MailServer, password: string | null): Credential =>
      server.usesOauth && tokens ? tokens : (password as string);
    return {
      imap: { server: config.imap, password: credential(config.imap, secrets.imapPassword) },
      smtp: { server: config.smtp, password: credential(config.smtp, secrets.smtpPassword) },
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

const settingsOf = (oauth: NonNullable<Config['oauth']>, secrets: Secrets) => ({
  ...oauth,
  clientSecret: secrets.oauthClientSecret,
  refreshToken: secrets.oauthRefreshToken as string,
});
