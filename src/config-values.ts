import { join } from 'node:path';
import type { z } from 'zod';
import type { MailServer } from './config-mail-url.ts';
import type { OauthConfig } from './config-oauth.ts';
import { EMBEDDED_BOT_ADDRESS, type LogLevel, type schema, type workspaceLimits } from './config-schema.ts';
import type { SenderAuth } from './config-sender.ts';

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
  /** What they reach all the same: `10.1.2.3:4873`, `10.1.2.0/24:443`. */
  containerMayReach: string[];
  /** Whom containers ask for names, instead of whom the engine's host asks. */
  containerDns: string[];
  /** What a helper container that changes the firewall of the engine's host runs of. */
  guardImage: string;
  containerIdleTimeoutMs: number;
  containerCheckIntervalMs: number;
  containerGracePeriodMs: number;
  /** How far from the last command `extend` can keep a container. */
  containerExtendMaxMs: number;
  /** A repository may have its own memory and CPUs. */
  containerLimits: {
    memoryBytes: number;
    cpus: number;
    pidsLimit: number;
    tmpBytes: number;
    shmBytes: number;
    openFiles: number;
  };
  /** One of the engine's, such as runsc; `null`: its usual one. */
  containerRuntime: string | null;
  containerMaxPerUser: number;
  /** `null`: as many as the memory of the engine's host allows. */
  hostMaxContainers: number | null;
  savedStateDays: number;
  /** How long outputs of commands can be looked at, and how long it is recorded what admins have asked by SQL. */
  outputKeptDays: number;
  auditKeptDays: number;
  /** Of the files that git ignores, how much a save carries; `.env*` always. */
  saveIgnoredMaxBytes: number;
  /** What a thread's workspace may hold, and how it is kept to that. A repository may have its own. */
  workspaceSizeBytes: number;
  workspaceLimit: (typeof workspaceLimits)[number];
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
  /** Whether admins may mail queries, and whether they see whole mails by them. */
  sqlByMail: boolean;
  sqlShowsBodies: boolean;
  /** Whether admins may open the Container Monitor by a link that is mailed to them. */
  loginByMail: boolean;
  /** Where the API and the Container Monitor are served; `null`: nowhere. */
  http: { host: string; port: number } | null;
  /** Under which address people reach them, as in `https://threadbox.example.com`; `null`: it is not said. */
  publicUrl: string | null;
  /** /metrics asks for no token. */
  hasOpenMetrics: boolean;
  logLevel: LogLevel;
};

type Values = z.infer<typeof schema>;

export function configOf(values: Values): Omit<Config, 'oauth'> {
  return {
    ...mailConfigOf(values),
    ...containerConfigOf(values),
    usesEmbeddedPostgres: values.DATABASE_URL === null,
    usesEmbeddedRedis: values.REDIS_URL === null,
    dockerHost: values.DOCKER_HOST,
    dataDir: values.DATA_DIR,
    secretsKeyFile: values.SECRETS_KEY_FILE ?? join(values.DATA_DIR, 'secrets.key'),
    savedStateDays: values.SAVED_STATE_DAYS,
    outputKeptDays: values.OUTPUT_KEPT_DAYS,
    auditKeptDays: values.AUDIT_KEPT_DAYS,
    saveIgnoredMaxBytes: values.SAVE_IGNORED_MAX_BYTES,
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
    sqlByMail: values.SQL_BY_MAIL === 'on',
    sqlShowsBodies: values.SQL_MAIL_BODIES === 'yes',
    loginByMail: values.LOGIN_BY_MAIL === 'on',
    http: values.HTTP_LISTEN,
    publicUrl: values.PUBLIC_URL,
    hasOpenMetrics: values.METRICS_OPEN === 'yes',
    logLevel: values.LOG_LEVEL,
  };
}

function mailConfigOf(values: Values) {
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
  } satisfies Partial<Config>;
}

function containerConfigOf(values: Values) {
  return {
    containerImage: values.CONTAINER_IMAGE,
    guardsNetwork: values.CONTAINER_NETWORK_GUARD === 'on',
    containerMayReach: values.CONTAINER_MAY_REACH,
    containerDns: values.CONTAINER_DNS,
    guardImage: values.GUARD_IMAGE ?? values.CONTAINER_IMAGE,
    containerIdleTimeoutMs: values.CONTAINER_IDLE_TIMEOUT_MS,
    containerCheckIntervalMs: values.CONTAINER_CHECK_INTERVAL_MS,
    containerGracePeriodMs: values.CONTAINER_GRACE_PERIOD_MS,
    containerExtendMaxMs: values.CONTAINER_EXTEND_MAX_MS,
    containerLimits: {
      memoryBytes: values.CONTAINER_MEMORY_BYTES,
      cpus: values.CONTAINER_CPUS,
      pidsLimit: values.CONTAINER_PIDS_LIMIT,
      tmpBytes: values.CONTAINER_TMP_BYTES,
      shmBytes: values.CONTAINER_SHM_BYTES,
      openFiles: values.CONTAINER_OPEN_FILES,
    },
    containerRuntime: values.CONTAINER_RUNTIME ?? null,
    containerMaxPerUser: values.CONTAINER_MAX_PER_USER,
    hostMaxContainers: values.HOST_MAX_CONTAINERS,
    workspaceSizeBytes: values.WORKSPACE_SIZE_BYTES,
    workspaceLimit: values.WORKSPACE_LIMIT,
    workspaceMinFreeBytes: values.WORKSPACE_MIN_FREE_BYTES,
  } satisfies Partial<Config>;
}
