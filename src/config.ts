import { join } from 'node:path';
import type { z } from 'zod';
import type { MailServer } from './config-mail-url.ts';
import { oauthConfig, type OauthConfig } from './config-oauth.ts';
import { EMBEDDED_BOT_ADDRESS, schema, type LogLevel } from './config-schema.ts';
import { senderAuthFaults, type SenderAuth } from './config-sender.ts';

export type { LogLevel, MailServer, SenderAuth };

export type SentCopiesSetting = 'auto' | 'on' | 'off';

export type ThreadBy = 'repository' | 'subject';

/** Everything that can be set. `null` where the embedded part takes over. Durations in ms. */
export type Config = {
  imap: MailServer | null;
  smtp: MailServer | null;
  /** The mailbox that `threadbox mail` writes from, where the bot's is a real one. */
  clientImap: MailServer | null;
  clientSmtp: MailServer | null;
  /** Where IMAP_URL or SMTP_URL say auth=xoauth2. */
  oauth: OauthConfig | null;
  mailbox: string;
  /** Where handled mail is moved to; `null`: it stays where it is. `/` separates levels. */
  folders: { processed: string; refused: string } | null;
  /** Where it is kept who reads the mailbox; `null`: nowhere. */
  claimMailbox: string | null;
  /** What arrived longer ago is not run: its sender is told. */
  maxMailAgeMs: number;
  /** In any hour; see src/store/hourly.ts. */
  caps: { perSender: number; perThread: number; overall: number; writtenPerAddress: number };
  botAddress: string;
  /** Whether copies of sent mails go into the Sent mailbox. */
  sentCopies: SentCopiesSetting;
  /** Lower case: `john@example.com`, or `*@example.com` for a whole domain. */
  allowedSenders: string[];
  senderAuth: SenderAuth;
  /** Lower case: authserv-ids whose Authentication-Results count, or `*.example.com`. */
  trustedAuthservIds: string[];
  /** Whether answers carry a Reply-To with a token, and whose commands need one. */
  replyToken: boolean;
  requireToken: 'never' | 'admin' | 'always';
  /** Other addresses that people write to. Lower case. */
  botAliases: string[];
  /** How far a mail's Date may lie before its arrival. */
  dateToleranceMs: number;
  usesEmbeddedPostgres: boolean;
  usesEmbeddedRedis: boolean;
  /** As Docker's own tools take it: `unix:///...`, `tcp://...`. `null`: the local engine, or one of our own. */
  dockerHost: string | null;
  dataDir: string;
  /** Where the key that seals repositories' secrets is, if SECRETS_KEY does not give it. */
  secretsKeyFile: string;
  containerImage: string;
  /** Whether containers are kept from the host and its networks. */
  guardsNetwork: boolean;
  /** Whom containers ask for names, instead of whom the engine's host asks. */
  containerDns: string[];
  /** What a helper container that changes the firewall of the engine's host runs of. */
  guardImage: string;
  containerIdleTimeoutMs: number;
  containerCheckIntervalMs: number;
  containerGracePeriodMs: number;
  /** How far from the last command `extend` can keep a container. */
  containerExtendMaxMs: number;
  containerMaxPerUser: number;
  /** `null`: as many as the memory of the engine's host allows. */
  hostMaxContainers: number | null;
  savedStateDays: number;
  /** Of the files that git ignores, how much a save carries; `.env*` always. */
  saveIgnoredMaxBytes: number;
  /** With less space on the engine's disk, kept workspaces of removed containers go, the oldest first. */
  workspaceMinFreeBytes: number;
  /** Who is told of a save that failed, beside the owner. Lower case. */
  adminAddresses: string[];
  commandTimeoutMs: number;
  /** The most that a mail can ask for. */
  commandTimeoutMaxMs: number;
  /** What becomes of processes that a command leaves behind. */
  backgroundProcesses: 'keep' | 'end';
  /** After so long its sender hears that a command still runs, and again at growing distances; 0: never. */
  stillRunningAfterMs: number;
  commandConcurrency: number;
  threadBy: ThreadBy;
  /** Of the files attached to a mail: how large one may be, and all together, to be put into the container. */
  inboxFileMaxBytes: number;
  inboxMaxBytes: number;
  /** The same of files that a command leaves to be mailed. */
  outboxFileMaxBytes: number;
  outboxMaxBytes: number;
  /** People on Cc get the answer, if they are let in themselves. */
  repliesToAll: boolean;
  /** List-Ids of mailing lists whose mail is taken. Lower case. */
  allowedLists: string[];
  logLevel: LogLevel;
};

/** What must never be logged. The database and Redis URLs are here whole: they carry passwords. */
export type Secrets = {
  imapPassword: string | null;
  smtpPassword: string | null;
  clientImapPassword: string | null;
  clientSmtpPassword: string | null;
  oauthClientSecret: string | null;
  oauthRefreshToken: string | null;
  databaseUrl: string | null;
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
  const given = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value !== ''),
  );
  const result = schema.safeParse(given);
  const faults = result.success
    ? []
    : result.error.issues.map((issue) => `${String(issue.path[0])}: ${issue.message}`);
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
      redisUrl: values.REDIS_URL,
      secretsKey: values.SECRETS_KEY ?? null,
    },
  };
}

function configOf(values: z.infer<typeof schema>): Omit<Config, 'oauth'> {
  return {
    imap: values.IMAP_URL?.server ?? null,
    smtp: values.SMTP_URL?.server ?? null,
    clientImap: values.CLIENT_IMAP_URL?.server ?? null,
    clientSmtp: values.CLIENT_SMTP_URL?.server ?? null,
    mailbox: values.MAILBOX,
    folders:
      values.FILE_MAIL === 'yes'
        ? { processed: values.PROCESSED_MAILBOX, refused: values.REFUSED_MAILBOX }
        : null,
    claimMailbox: values.CLAIM_MAILBOX === 'no' ? null : values.CLAIM_MAILBOX,
    maxMailAgeMs: values.MAX_MAIL_AGE_MS,
    caps: {
      perSender: values.MAX_COMMANDS_PER_HOUR_PER_SENDER,
      perThread: values.MAX_COMMANDS_PER_HOUR_PER_THREAD,
      overall: values.MAX_COMMANDS_PER_HOUR,
      writtenPerAddress: values.MAX_MAILS_PER_HOUR_PER_ADDRESS,
    },
    botAddress: values.BOT_ADDRESS ?? EMBEDDED_BOT_ADDRESS,
    sentCopies: values.SENT_COPIES,
    allowedSenders: values.ALLOWED_SENDERS,
    // Without a choice for a real mailbox, nobody is trusted.
    senderAuth: values.SENDER_AUTH ?? (values.IMAP_URL ? 'authentication-results' : 'none'),
    trustedAuthservIds: values.TRUSTED_AUTHSERV_IDS,
    replyToken: values.REPLY_TOKEN === 'on',
    requireToken: values.REQUIRE_TOKEN,
    botAliases: values.BOT_ALIASES,
    dateToleranceMs: values.DATE_TOLERANCE_MS,
    usesEmbeddedPostgres: values.DATABASE_URL === null,
    usesEmbeddedRedis: values.REDIS_URL === null,
    dockerHost: values.DOCKER_HOST,
    dataDir: values.DATA_DIR,
    secretsKeyFile: values.SECRETS_KEY_FILE ?? join(values.DATA_DIR, 'secrets.key'),
    containerImage: values.CONTAINER_IMAGE,
    guardsNetwork: values.CONTAINER_NETWORK_GUARD === 'on',
    containerDns: values.CONTAINER_DNS,
    guardImage: values.GUARD_IMAGE ?? values.CONTAINER_IMAGE,
    containerIdleTimeoutMs: values.CONTAINER_IDLE_TIMEOUT_MS,
    containerCheckIntervalMs: values.CONTAINER_CHECK_INTERVAL_MS,
    containerGracePeriodMs: values.CONTAINER_GRACE_PERIOD_MS,
    containerExtendMaxMs: values.CONTAINER_EXTEND_MAX_MS,
    containerMaxPerUser: values.CONTAINER_MAX_PER_USER,
    hostMaxContainers: values.HOST_MAX_CONTAINERS,
    savedStateDays: values.SAVED_STATE_DAYS,
    saveIgnoredMaxBytes: values.SAVE_IGNORED_MAX_BYTES,
    workspaceMinFreeBytes: values.WORKSPACE_MIN_FREE_BYTES,
    adminAddresses: values.ADMIN_ADDRESSES,
    commandTimeoutMs: values.COMMAND_TIMEOUT_MS,
    commandTimeoutMaxMs: values.COMMAND_TIMEOUT_MAX_MS,
    backgroundProcesses: values.BACKGROUND_PROCESSES,
    stillRunningAfterMs: values.STILL_RUNNING_AFTER_MS,
    commandConcurrency: values.COMMAND_CONCURRENCY,
    threadBy: values.THREAD_BY,
    inboxFileMaxBytes: values.INBOX_FILE_MAX_BYTES,
    inboxMaxBytes: values.INBOX_MAX_BYTES,
    outboxFileMaxBytes: values.OUTBOX_FILE_MAX_BYTES,
    outboxMaxBytes: values.OUTBOX_MAX_BYTES,
    repliesToAll: values.REPLY_ALL === 'yes',
    allowedLists: values.ALLOWED_LISTS,
    logLevel: values.LOG_LEVEL,
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
