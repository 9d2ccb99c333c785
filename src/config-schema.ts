import { resolve } from 'node:path';
import { z } from 'zod';
import { decimal, listenAddress, listOf, mailServer, origin, url, wholeNumber } from './config-forms.ts';
import { OAUTH_PROVIDERS } from './config-oauth.ts';
import { secretFileSettings } from './config-secret-files.ts';
import { senderAuthModes } from './config-sender.ts';

const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** How workspaces are kept to their size; `auto`: by the first of the others that can be had. */
export const workspaceLimits = ['auto', 'quota', 'image', 'measured', 'off'] as const;

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

const byte = '(?:25[0-5]|2[0-4]\\d|1?\\d?\\d)';
const ipv4 = `${byte}(?:\\.${byte}){3}`;

/** Each setting as it is written, and what becomes of it. */
export const schema = z.object({
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
  FILE_MAIL: z.enum(['yes', 'no'], 'expected yes or no').default('yes'),
  PROCESSED_MAILBOX: z.string().default('Processed'),
  REFUSED_MAILBOX: z.string().default('Refused'),
  CLAIM_MAILBOX: z.string().default('Threadbox'),
  MAX_MAIL_AGE_MS: wholeNumber(60_000, 365 * DAY_MS, 'milliseconds', DAY_MS),
  MAX_COMMANDS_PER_HOUR: wholeNumber(1, 1_000_000, 'mails', 2000),
  MAX_COMMANDS_PER_HOUR_PER_SENDER: wholeNumber(1, 1_000_000, 'mails', 200),
  MAX_COMMANDS_PER_HOUR_PER_THREAD: wholeNumber(1, 1_000_000, 'mails', 100),
  MAX_MAILS_PER_HOUR_PER_ADDRESS: wholeNumber(1, 1_000_000, 'mails', 400),
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
  SECRETS_KEY: z
    .string()
    .refine(
      (text) => /^[A-Za-z0-9+/]{43}=$/.test(text),
      'expected the base64 of 32 bytes, as in: openssl rand -base64 32',
    )
    .optional(),
  SECRETS_KEY_FILE: z
    .string()
    .transform((text) => resolve(text))
    .optional(),
  CONTAINER_IMAGE: z
    .string()
    .regex(/^[a-z0-9][\w./:@-]*$/i, 'expected the name of an image, e.g. node:24-bookworm')
    .default(DEFAULT_IMAGE),
  CONTAINER_NETWORK_GUARD: z.enum(['on', 'off'], 'expected on or off').default('on'),
  CONTAINER_DNS: listOf(new RegExp(`^${ipv4}$`), 'IPv4 addresses of name servers'),
  CONTAINER_MAY_REACH: listOf(
    new RegExp(`^${ipv4}(/(3[0-2]|[12]?\\d))?:[1-9]\\d{0,4}$`),
    'IPv4 addresses and TCP ports, e.g. 10.1.2.3:4873 or 10.1.2.0/24:443',
  ),
  GUARD_IMAGE: z
    .string()
    .regex(/^[a-z0-9][\w./:@-]*$/i, 'expected the name of an image that has iptables')
    .optional(),
  CONTAINER_IDLE_TIMEOUT_MS: wholeNumber(1000, 7 * DAY_MS, 'milliseconds', 2_700_000),
  CONTAINER_CHECK_INTERVAL_MS: wholeNumber(100, DAY_MS, 'milliseconds', 60_000),
  CONTAINER_GRACE_PERIOD_MS: wholeNumber(0, 7 * DAY_MS, 'milliseconds', 300_000),
  CONTAINER_EXTEND_MAX_MS: wholeNumber(1000, 7 * DAY_MS, 'milliseconds', 43_200_000),
  CONTAINER_MEMORY_BYTES: wholeNumber(64 * 2 ** 20, 2 ** 40, 'bytes', 2 * 2 ** 30),
  CONTAINER_CPUS: decimal(0.1, 512, 'processors', 1),
  CONTAINER_PIDS_LIMIT: wholeNumber(64, 100_000, 'processes', 512),
  CONTAINER_TMP_BYTES: wholeNumber(2 ** 20, 2 ** 40, 'bytes', 2 ** 30),
  CONTAINER_SHM_BYTES: wholeNumber(2 ** 20, 2 ** 40, 'bytes', 64 * 2 ** 20),
  CONTAINER_OPEN_FILES: wholeNumber(256, 1_000_000, 'files', 16_384),
  CONTAINER_RUNTIME: z
    .string()
    .regex(/^[a-z0-9][\w.-]*$/i, 'expected the name of a runtime, e.g. runsc')
    .optional(),
  CONTAINER_MAX_PER_USER: wholeNumber(1, 1000, 'containers', 5),
  HOST_MAX_CONTAINERS: wholeNumber(0, 100_000, 'containers', 0).transform((count) => count || null),
  SAVED_STATE_DAYS: wholeNumber(1, 365, 'days', 7),
  OUTPUT_KEPT_DAYS: wholeNumber(1, 36_500, 'days', 90),
  AUDIT_KEPT_DAYS: wholeNumber(1, 36_500, 'days', 365),
  SAVE_IGNORED_MAX_BYTES: wholeNumber(0, 2 ** 40, 'bytes', 64 * 2 ** 20),
  WORKSPACE_SIZE_BYTES: wholeNumber(32 * 2 ** 20, 2 ** 44, 'bytes', 10 * 2 ** 30),
  WORKSPACE_LIMIT: z.enum(workspaceLimits, `expected one of ${workspaceLimits.join(', ')}`).default('auto'),
  WORKSPACE_MIN_FREE_BYTES: wholeNumber(0, 2 ** 50, 'bytes', 5 * 2 ** 30),
  ADMIN_ADDRESSES: addresses,
  COMMAND_TIMEOUT_MS: wholeNumber(1000, 7 * DAY_MS, 'milliseconds', 1_800_000),
  COMMAND_TIMEOUT_MAX_MS: wholeNumber(1000, 7 * DAY_MS, 'milliseconds', 14_400_000),
  BACKGROUND_PROCESSES: z.enum(['keep', 'end'], 'expected keep or end').default('keep'),
  STILL_RUNNING_AFTER_MS: wholeNumber(0, 7 * DAY_MS, 'milliseconds', 60_000),
  COMMAND_CONCURRENCY: wholeNumber(1, 1000, 'commands', 4),
  THREAD_BY: z.enum(['repository', 'subject'], 'expected repository or subject').default('repository'),
  INBOX_FILE_MAX_BYTES: wholeNumber(0, 2 ** 30, 'bytes', 10 * 2 ** 20),
  INBOX_MAX_BYTES: wholeNumber(0, 2 ** 30, 'bytes', 20 * 2 ** 20),
  OUTBOX_FILE_MAX_BYTES: wholeNumber(0, 2 ** 27, 'bytes', 10 * 2 ** 20),
  OUTBOX_MAX_BYTES: wholeNumber(0, 2 ** 27, 'bytes', 15 * 2 ** 20),
  REPLY_ALL: z.enum(['yes', 'no'], 'expected yes or no').default('no'),
  ALLOWED_LISTS: listOf(/^[^\s<>,;@]+$/, 'List-Ids, e.g. dev.lists.example.com'),
  SQL_BY_MAIL: z.enum(['on', 'off'], 'expected on or off').default('on'),
  SQL_MAIL_BODIES: z.enum(['yes', 'no'], 'expected yes or no').default('no'),
  SQL_DATABASE_URL: url(
    ['postgres:', 'postgresql:'],
    'e.g. postgres://threadbox_sql:password@db.example.com:5432/threadbox',
  ),
  HTTP_LISTEN: listenAddress('127.0.0.1:8330'),
  PUBLIC_URL: origin('https://threadbox.example.com'),
  LOGIN_BY_MAIL: z.enum(['on', 'off'], 'expected on or off').default('on'),
  METRICS_OPEN: z.enum(['yes', 'no'], 'expected yes or no').default('no'),
  LOG_LEVEL: z.enum(logLevels, `expected one of ${logLevels.join(', ')}`).default('info'),
});

/** The names of all settings, for `.env.example` to be checked against. */
export const settingNames = [...Object.keys(schema.shape), ...secretFileSettings];
