import { resolve } from 'node:path';
import { z } from 'zod';
import { parseMailUrl, type MailServer } from './config-mail-url.ts';
import { OAUTH_PROVIDERS, oauthConfig, type OauthConfig } from './config-oauth.ts';

export type { MailServer };

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
  botAddress: string;
  /** Lower case: `john@example.com`, or `*@example.com` for a whole domain. */
  /** Whether copies of sent mails go into the Sent mailbox. */
  sentCopies: SentCopiesSetting;
  allowedSenders: string[];
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
  /** After so long its sender hears that a command still runs, and again at growing distances; 0: never. */
  stillRunningAfterMs: number;
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
  oauthClientSecret: string | null;
  oauthRefreshToken: string | null;
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

const wholeNumber = (least: number, most: number, unit: string, fallback: number) =>
  z
    .string()
    .default(String(fallback))
    .transform((text, context) => {
      const value = Number(text);
      if (/^\d+$/.test(text) && value >= least && value <= most) return value;
      context.addIssue(`expected a whole number of ${unit} from ${least} to ${most}, e.g. ${fallback}`);
      return z.NEVER;
    });

const mailServer = (scheme: 'imap' | 'smtp') =>
  z
    .string()
    .optional()
    .transform((text, context) => {
      if (text === undefined) return null;
      const example = `${scheme}s://user:password@mail.example.com:${scheme === 'imap' ? 993 : 465}`;
      const parsed = parseMailUrl(scheme, text);
      if (typeof parsed !== 'string') return parsed;
      context.addIssue(`${parsed}; expected e.g. ${example}`);
      return z.NEVER;
    });

const url = (protocols: readonly string[], example: string) =>
  z
    .string()
    .optional()
    .transform((text, context) => {
      if (text === undefined) return null;
      if (URL.canParse(text) && protocols.includes(new URL(text).protocol)) return text;
      context.addIssue(`expected ${example}`);
      return z.NEVER;
    });

const address = /^[^\s@<>,"]+@[^\s@<>,"]+$/;

const listOf = (form: RegExp, expected: string) =>
  z
    .string()
    .default('')
    .transform((text, context) => {
      const items = text
        .toLowerCase()
        .split(/[\s,;]+/)
        .filter((item) => item !== '');
      const strange = items.filter((item) => !form.test(item));
      if (strange.length === 0) return items;
      context.addIssue(`expected ${expected}, separated by commas; not understood: ${strange.join(' ')}`);
      return z.NEVER;
    });

const senderPatterns = listOf(/^(\*|[^\s@<>,"*]+)@[^\s@<>,"*]+$/, 'addresses or *@domain');
const addresses = listOf(/^[^\s@<>,"*]+@[^\s@<>,"*]+$/, 'addresses');

const schema = z.object({
  IMAP_URL: mailServer('imap'),
  SMTP_URL: mailServer('smtp'),
  CLIENT_IMAP_URL: mailServer('imap'),
  CLIENT_SMTP_URL: mailServer('smtp'),
  OAUTH_PROVIDER: z.enum(OAUTH_PROVIDERS, 'expected google or microsoft').optional(),
  OAUTH_TOKEN_URL: url(['https:', 'http:'], 'e.g. https://oauth2.googleapis.com/token'),
  OAUTH_CLIENT_ID: z.string().optional(),
  OAUTH_CLIENT_SECRET: z.string().optional(),
  OAUTH_REFRESH_TOKEN: z.string().optional(),
  MAILBOX: z.string().default('INBOX'),
  BOT_ADDRESS: z
    .string()
    .regex(address, 'expected an email address, e.g. bot@example.com')
    .transform((text) => text.toLowerCase())
    .optional(),
  ALLOWED_SENDERS: senderPatterns,
  SENT_COPIES: z.enum(['auto', 'on', 'off'], 'expected auto, on or off').default('auto'),
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
  STILL_RUNNING_AFTER_MS: wholeNumber(0, 7 * DAY_MS, 'milliseconds', 60_000),
  COMMAND_CONCURRENCY: wholeNumber(1, 1000, 'commands', 4),
  THREAD_BY: z.enum(['repository', 'subject'], 'expected repository or subject').default('repository'),
  LOG_LEVEL: z.enum(logLevels, `expected one of ${logLevels.join(', ')}`).default('info'),
});

/** The names of all settings, for `.env.example` to be checked against. */
export const settingNames = Object.keys(schema.shape);

/**
 * Environment to typed settings. An empty variable counts as not set.
 *
 * @throws {ConfigError} with every fault at once.
 */
export function loadConfig(env: Readonly<Record<string, string | undefined>>): {
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
  const oauth = values ? oauthConfig(values, usesOauth(values)) : null;
  if (Array.isArray(oauth)) faults.push(...oauth);
  if (values?.CLIENT_IMAP_URL?.server.usesOauth || values?.CLIENT_SMTP_URL?.server.usesOauth)
    faults.push('CLIENT_IMAP_URL: auth=xoauth2 is for the mailbox of the bot alone');
  if (faults.length > 0 || !values || Array.isArray(oauth)) throw new ConfigError(faults);
  return {
    config: {
      imap: values.IMAP_URL?.server ?? null,
      smtp: values.SMTP_URL?.server ?? null,
      clientImap: values.CLIENT_IMAP_URL?.server ?? null,
      clientSmtp: values.CLIENT_SMTP_URL?.server ?? null,
      oauth,
      mailbox: values.MAILBOX,
      botAddress: values.BOT_ADDRESS ?? EMBEDDED_BOT_ADDRESS,
      sentCopies: values.SENT_COPIES,
      allowedSenders: values.ALLOWED_SENDERS,
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
      stillRunningAfterMs: values.STILL_RUNNING_AFTER_MS,
      commandConcurrency: values.COMMAND_CONCURRENCY,
      threadBy: values.THREAD_BY,
      logLevel: values.LOG_LEVEL,
    },
    secrets: {
      imapPassword: values.IMAP_URL?.password ?? null,
      smtpPassword: values.SMTP_URL?.password ?? null,
      clientImapPassword: values.CLIENT_IMAP_URL?.password ?? null,
      clientSmtpPassword: values.CLIENT_SMTP_URL?.password ?? null,
      oauthClientSecret: values.OAUTH_CLIENT_SECRET ?? null,
      oauthRefreshToken: values.OAUTH_REFRESH_TOKEN ?? null,
      databaseUrl: values.DATABASE_URL,
      redisUrl: values.REDIS_URL,
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
