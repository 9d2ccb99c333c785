import type { z } from 'zod';
import type { MailServer } from './config-mail-url.ts';
import { oauthConfig } from './config-oauth.ts';
import { schema, type LogLevel } from './config-schema.ts';
import { withSecretFiles } from './config-secret-files.ts';
import { senderAuthFaults, type SenderAuth } from './config-sender.ts';
import { configOf, type Config, type SentCopiesSetting, type ThreadBy } from './config-values.ts';

export type { Config, LogLevel, MailServer, SenderAuth, SentCopiesSetting, ThreadBy };

/** What must never be logged. The database and Redis URLs are here whole: they carry passwords. */
export type Secrets = {
  imapPassword: string | null;
  smtpPassword: string | null;
  clientImapPassword: string | null;
  clientSmtpPassword: string | null;
  oauthClientSecret: string | null;
  oauthRefreshToken: string | null;
  databaseUrl: string | null;
  /** Of a role that reads for admins; `null`: Threadbox makes one. */
  sqlDatabaseUrl: string | null;
  redisUrl: string | null;
  /** base64 of 32 bytes. */
  secretsKey: string | null;
};

/** The settings are wrong: `faults` holds one line for each, all found in one reading. */
export class ConfigError extends Error {
  readonly code = 'CONFIG';
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(
      `${faults.length === 1 ? 'A setting is' : `${faults.length} settings are`} wrong:\n${faults.join('\n')}`,
    );
    this.name = 'ConfigError';
    this.faults = faults;
  }
}

/** What is wrong with settings that go together, as far as they could be read. */
function faultsBetween(
  given: Readonly<Record<string, string | undefined>>,
  values: z.infer<typeof schema> | undefined,
  isForBot: boolean,
): string[] {
  const faults: string[] = [];
  if (given['IMAP_URL'] && !given['SMTP_URL'])
    faults.push('SMTP_URL: expected together with IMAP_URL: without it no answer can be sent');
  if (given['SMTP_URL'] && !given['IMAP_URL'])
    faults.push('IMAP_URL: expected together with SMTP_URL: without it no mail can be received');
  if (given['IMAP_URL'] && !given['BOT_ADDRESS'])
    faults.push('BOT_ADDRESS: expected with IMAP_URL: the address people write to, e.g. bot@example.com');
  if (values && values.CONTAINER_GRACE_PERIOD_MS >= values.CONTAINER_IDLE_TIMEOUT_MS) {
    faults.push(
      'CONTAINER_GRACE_PERIOD_MS: expected less than CONTAINER_IDLE_TIMEOUT_MS: the warning comes before the end',
    );
  }
  if (values?.REPLY_TOKEN === 'off' && values.REQUIRE_TOKEN !== 'never') {
    faults.push('REPLY_TOKEN: off means that nobody gets the token that REQUIRE_TOKEN asks for');
  }
  if (values?.REPLY_ALL === 'yes' && values.REQUIRE_TOKEN !== 'never') {
    faults.push(
      'REPLY_ALL: yes does not go with REQUIRE_TOKEN: an answer that others read carries no token, so an answer to it could not be run',
    );
  }
  if (isForBot) {
    faults.push(
      ...senderAuthFaults({
        senderAuth: given['SENDER_AUTH'],
        hasAuthservIds: given['TRUSTED_AUTHSERV_IDS'] !== undefined,
        hasRealMailbox: given['IMAP_URL'] !== undefined,
        isOpenOnPurpose: given['I_UNDERSTAND_ANYONE_CAN_RUN_COMMANDS'] !== undefined,
      }),
    );
  }
  if (given['SQL_DATABASE_URL'] && !given['DATABASE_URL'])
    faults.push(
      'SQL_DATABASE_URL: only with DATABASE_URL: on the embedded PostgreSQL Threadbox makes the role itself',
    );
  for (const name of ['PROCESSED_MAILBOX', 'REFUSED_MAILBOX'] as const) {
    if (values && values[name].toLowerCase() === values.MAILBOX.toLowerCase())
      faults.push(`${name}: expected another mailbox than MAILBOX: handled mail is moved there`);
  }
  const others = values ? [values.MAILBOX, values.PROCESSED_MAILBOX, values.REFUSED_MAILBOX] : [];
  if (others.some((name) => name.toLowerCase() === values?.CLAIM_MAILBOX.toLowerCase()))
    faults.push('CLAIM_MAILBOX: expected a mailbox for nothing else, or no');
  if (values?.CLIENT_IMAP_URL?.server.usesOauth || values?.CLIENT_SMTP_URL?.server.usesOauth)
    faults.push('CLIENT_IMAP_URL: auth=xoauth2 is for the mailbox of the bot alone');
  return faults;
}

/**
 * Environment to typed settings. An empty variable counts as not set.
 *
 * @param isForBot false for what takes no mail: it works before it is settled how senders are verified
 * @throws {ConfigError} with every fault at once.
 */
export function loadConfig(
  env: Readonly<Record<string, string | undefined>>,
  { isForBot = true } = {},
): {
  config: Config;
  secrets: Secrets;
} {
  const { given, faults } = withSecretFiles(
    Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== '')),
  );
  const result = schema.safeParse(given);
  faults.push(...(result.error?.issues ?? []).map(({ path, message }) => `${String(path[0])}: ${message}`));
  const values = result.data;
  faults.push(...faultsBetween(given, values, isForBot));
  const oauth = values ? oauthConfig(values, usesOauth(values)) : null;
  if (Array.isArray(oauth)) faults.push(...oauth);
  if (faults.length > 0 || !values || Array.isArray(oauth)) throw new ConfigError(faults);
  return {
    config: { ...configOf(values), oauth },
    secrets: {
      imapPassword: values.IMAP_URL?.password ?? null,
      smtpPassword: values.SMTP_URL?.password ?? null,
      clientImapPassword: values.CLIENT_IMAP_URL?.password ?? null,
      clientSmtpPassword: values.CLIENT_SMTP_URL?.password ?? null,
      oauthClientSecret: values.OAUTH_CLIENT_SECRET ?? null,
      oauthRefreshToken: values.OAUTH_REFRESH_TOKEN ?? null,
      databaseUrl: values.DATABASE_URL,
      sqlDatabaseUrl: values.SQL_DATABASE_URL,
      redisUrl: values.REDIS_URL,
      secretsKey: values.SECRETS_KEY ?? null,
    },
  };
}

const usesOauth = ({ IMAP_URL: imap, SMTP_URL: smtp }: z.infer<typeof schema>): boolean =>
  Boolean(imap?.server.usesOauth || smtp?.server.usesOauth);

/**
 * The process's environment, over what a `.env` file in the working directory says. The environment wins.
 *
 * @throws {ConfigError} when the file is there and cannot be read.
 */
export function readEnvironment(): Record<string, string | undefined> {
  try {
    process.loadEnvFile('.env');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      throw new ConfigError([`.env: cannot be read: ${(error as Error).message}`]);
    }
  }
  return process.env;
}
