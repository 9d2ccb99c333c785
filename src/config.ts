import { resolve } from 'node:path';
import { z } from 'zod';
import { listOf, mailServer, url, wholeNumber } from './config-forms.ts';
import type { MailServer } from './config-mail-url.ts';
import { senderAuthFaults, senderAuthModes, type SenderAuth } from './config-sender.ts';

export type { MailServer, SenderAuth };

export type ThreadBy = 'repository' | 'subject';

/** Everything that can be set. `null` where the embedded part takes over. Durations in ms. */
export type Config = {
  imap: MailServer | null;
  smtp: MailServer | null;
  /** The mailbox that `threadbox mail` writes from, where the bot's is a real one. */
  clientImap: MailServer | null;
  clientSmtp: MailServer | null;
  mailbox: string;
  botAddress: string;
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
  containerImage: string;
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
  commandConcurrency: number;
  threadBy: ThreadBy;
  logLevel: LogLevel;
};

/** What must never be logged. The database and Redis URLs are here whole: they carry passwords. */
export type Secrets = {
  imapPassword: string | null;
  smtpPassword: string | null;
  clientImapPassword: string | null;
  clientSmtpPassword: string | null;
  databaseUrl: string | null;
  redisUrl: string | null;
};

const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

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

const DAY_MS = 86_400_000;
/** What Threadbox's own image build tags: see src/containers/image.ts. */
export const DEFAULT_IMAGE = 'threadbox-workspace:1';
/** Where the bot lives when no real mailbox is configured. */
export const EMBEDDED_BOT_ADDRESS = 'bot@threadbox.test';

const address = /^[^\s@<>,"]+@[^\s@<>,"]+$/;
const senderPatterns = listOf(/^(\*|[^\s@<>,"*]+)@[^\s@<>,"*]+$/, 'addresses or *@domain');
const addresses = listOf(/^[^\s@<>,"*]+@[^\s@<>,"*]+$/, 'addresses');

const authservIds = listOf(
  /^(?:\*(?:\.[a-z0-9_-]+){2,}|[a-z0-9_.-]+)$/,
  'names as in mx.google.com, or *.example.com',
);

const schema = z.object({
  IMAP_URL: mailServer('imap'),
  SMTP_URL: mailServer('smtp'),
  CLIENT_IMAP_URL: mailServer('imap'),
  CLIENT_SMTP_URL: mailServer('smtp'),
  MAILBOX: z.string().default('INBOX'),
  BOT_ADDRESS: z
    .string()
    .regex(address, 'expected an email address, e.g. bot@example.com')
    .transform((text) => text.toLowerCase())
    .optional(),
  BOT_ALIASES: addresses,
  ALLOWED_SENDERS: senderPatterns,
  SENDER_AUTH: z.enum(senderAuthModes, `expected one of ${senderAuthModes.join(', ')}`).optional(),
  TRUSTED_AUTHSERV_IDS: authservIds,
  DATE_TOLERANCE_MS: wholeNumber(60_000, 30 * DAY_MS, 'milliseconds', DAY_MS),
  REPLY_TOKEN: z.enum(['on', 'off'], 'expected on or off').default('on'),
  REQUIRE_TOKEN: z.enum(['never', 'admin', 'always'], 'expected never, admin or always').default('never'),
  I_UNDERSTAND_ANYONE_CAN_RUN_COMMANDS: z.literal('yes', 'takes only the value yes').optional(),
  DATABASE_URL: url(
    ['postgres:', 'postgresql:'],
    'e.g. postgres://user:password@db.example.com:5432/threadbox',
  ),
  REDIS_URL: url(['redis:', 'rediss:', 'unix:'], 'e.g. redis://:password@redis.example.com:6379'),
  DOCKER_HOST: url(['unix:', 'tcp:', 'http:', 'https:', 'npipe:'], 'e.g. unix:///var/run/docker.sock'),
  DATA_DIR: z
    .string()
    .default('.threadbox/data')
    .transform((text) => resolve(text)),
  CONTAINER_IMAGE: z
    .string()
    .regex(/^[a-z0-9][\w./:@-]*$/i, 'expected the name of an image, e.g. node:24-bookworm')
    .default(DEFAULT_IMAGE),
  CONTAINER_IDLE_TIMEOUT_MS: wholeNumber(1000, 7 * DAY_MS, 'milliseconds', 2_700_000),
  CONTAINER_CHECK_INTERVAL_MS: wholeNumber(100, DAY_MS, 'milliseconds', 60_000),
  CONTAINER_GRACE_PERIOD_MS: wholeNumber(0, 7 * DAY_MS, 'milliseconds', 300_000),
  CONTAINER_EXTEND_MAX_MS: wholeNumber(1000, 7 * DAY_MS, 'milliseconds', 43_200_000),
  CONTAINER_MAX_PER_USER: wholeNumber(1, 1000, 'containers', 5),
  HOST_MAX_CONTAINERS: wholeNumber(0, 100_000, 'containers', 0).transform((count) => count || null),
  SAVED_STATE_DAYS: wholeNumber(1, 365, 'days', 7),
  SAVE_IGNORED_MAX_BYTES: wholeNumber(0, 2 ** 40, 'bytes', 64 * 2 ** 20),
  WORKSPACE_MIN_FREE_BYTES: wholeNumber(0, 2 ** 50, 'bytes', 5 * 2 ** 30),
  ADMIN_ADDRESSES: addresses,
  COMMAND_TIMEOUT_MS: wholeNumber(1000, 7 * DAY_MS, 'milliseconds', 1_800_000),
  COMMAND_CONCURRENCY: wholeNumber(1, 1000, 'commands', 4),
  THREAD_BY: z.enum(['repository', 'subject'], 'expected repository or subject').default('repository'),
  LOG_LEVEL: z.enum(logLevels, `expected one of ${logLevels.join(', ')}`).default('info'),
});

/** The names of all settings, for `.env.example` to be checked against. */
export const settingNames = Object.keys(schema.shape);

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
  if (faults.length > 0 || !values) throw new ConfigError(faults);
  return {
    config: {
      imap: values.IMAP_URL?.server ?? null,
      smtp: values.SMTP_URL?.server ?? null,
      clientImap: values.CLIENT_IMAP_URL?.server ?? null,
      clientSmtp: values.CLIENT_SMTP_URL?.server ?? null,
      mailbox: values.MAILBOX,
      botAddress: values.BOT_ADDRESS ?? EMBEDDED_BOT_ADDRESS,
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
      containerImage: values.CONTAINER_IMAGE,
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
      commandConcurrency: values.COMMAND_CONCURRENCY,
      threadBy: values.THREAD_BY,
      logLevel: values.LOG_LEVEL,
    },
    secrets: {
      imapPassword: values.IMAP_URL?.password ?? null,
      smtpPassword: values.SMTP_URL?.password ?? null,
      clientImapPassword: values.CLIENT_IMAP_URL?.password ?? null,
      clientSmtpPassword: values.CLIENT_SMTP_URL?.password ?? null,
      databaseUrl: values.DATABASE_URL,
      redisUrl: values.REDIS_URL,
    },
  };
}

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
