import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Activity } from './activity.ts';
import { Closers } from './closers.ts';
import { Cancellations } from './commands/cancellations.ts';
import { ThreadQueues } from './commands/queues.ts';
import type { ImageReady } from './commands/open-container.ts';
import { masksByName, secretsFrom } from './commands/repository-secrets.ts';
import { AllowLists, type AllowListParts } from './containers/allow-lists.ts';
import type { Config, Secrets } from './config.ts';
import type { Docker } from './containers/client.ts';
import { NetworkGuard, type GuardSettings } from './containers/network-guard.ts';
import { closeRunners } from './containers/runner.ts';
import { openWorkspaceLimit } from './open-workspace-limit.ts';
import { startEmbedded, type EmbeddedMail } from './embedded/embedded.ts';
import { SquidProxy } from './embedded/proxy.ts';
import { chooseEngine } from './engine-choice.ts';
import { startHttp, type HttpParts, type HttpServer } from './http/server.ts';
import { LifecycleEvents } from './lifecycle/events.ts';
import { startLifecycle, type Lifecycle } from './lifecycle/lifecycle.ts';
import { createOperator, type OperateParts } from './lifecycle/operate.ts';
import type { Log } from './log.ts';
import { mailAccounts } from './mail-accounts.ts';
import { startMailLoop, type MailLoopOverrides } from './mail-loop.ts';
import type { TransportLimits } from './mail/transport.ts';
import { wantsSentCopies } from './mail/sent-copies-wanted.ts';
import { startOutgoing } from './outgoing.ts';
import { PartBook } from './part-book.ts';
import { watchPart, type PartState } from './part-state.ts';
import { prepareImage } from './prepare-image.ts';
import { createReadiness, type ListenedPart, type ReadinessParts } from './readiness.ts';
import { retryForEver } from './retry.ts';
import { sqlReader } from './sql-reader.ts';
import { installationId, isSchemaTooNew, migrate, openDatabase, type Db } from './store/database.ts';
import { takeMailboxLock } from './store/mailbox-lock.ts';
import { repositoriesWithList } from './store/repositories.ts';
import { SharedState } from './store/shared-state.ts';

/** What the demo and the tests do otherwise. */
export type Overrides = MailLoopOverrides & {
  now?: () => Date;
  smtpLimits?: TransportLimits;
  engineLingerMs?: number;
  delayToldAfterMs?: number;
  guardLookAgainMs?: number;
  /** Gets the lines that tell how the making of the workspace image goes on. */
  onImageProgress?: (line: string) => void;
};

export type AppSettings = {
  config: Config;
  secrets: Secrets;
  log: Log;
  /** Ends the start while it still waits for a part. */
  signal: AbortSignal;
  overrides?: Overrides;
  /** The installation that has claimed the mailbox is gone for good. */
  takesMailbox?: boolean;
};

export type App = {
  /** How to reach the embedded mail server; null where a real one is configured. */
  mail: EmbeddedMail | null;
  db: Db;
  docker: Docker;
  installation: string;
  /** Resolves when the workspace image is there: from then on commands run at once. */
  imageReady: ImageReady;
  /** Resolves when the mailbox is listened to: it is there then, and ours. */
  listening: Promise<void>;
  lifecycle: Lifecycle;
  /** null where it is off. */
  http: HttpServer | null;
  close: () => Promise<void>;
};

/** A private engine outlives the bot this long, so that a quick restart finds its running commands. */
const ENGINE_LINGER_MS = 120_000;
/** Shorter than a query may take: what is tried again after that finds nothing locked. */
const IDLE_IN_TRANSACTION_MS = 60_000;
/** Service managers give a program ten seconds or more. */
const CLOSE_DEADLINE_MS = 7_000;

/**
 * Builds the bot from its settings and starts it. Parts that are away are waited for; `close` stops all in the
 * opposite order, while running commands go on in their containers.
 */
export async function startApp(settings: AppSettings): Promise<App> {
  const closers = new Closers();
  const stopping = new AbortController();
  const signal = AbortSignal.any([settings.signal, stopping.signal]);
  const close = async (): Promise<void> => {
    stopping.abort(new Error('Threadbox stops'));
    await closers.close(CLOSE_DEADLINE_MS, settings.log);
  };
  try {
    return { ...(await build({ ...settings, signal }, closers)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function build(settings: AppSettings, closers: Closers): Promise<Omit<App, 'close'>> {
  const { config, secrets, log, signal, overrides = {}, takesMailbox = false } = settings;
  const now = overrides.now ?? (() => new Date());
  const http = config.http && startHttp({ listen: config.http, log, now, signal });
  // Also when the bot is stopped while it still waits for a part.
  if (http) closers.add('the API', () => http.close());
  await mkdir(config.dataDir, { recursive: true, mode: 0o711 });
  const { usesEmbeddedPostgres: postgres, usesEmbeddedRedis: redis, dataDir, imap } = config;
  const want = { postgres, redis, mail: imap === null };
  const embedded = await startEmbedded({ dataDir, want, log });
  closers.add('the embedded parts', () => embedded.close());

  const dockerPart = watchPart('Docker', log);
  const docker = await openEngine(settings, dockerPart, closers);
  const imageMade = prepareImage(docker, config.containerImage, progressOf(settings), log, signal);

  const databaseUrl = secrets.databaseUrl ?? (embedded.databaseUrl as string);
  const databasePart = watchPart('PostgreSQL', log);
  const { db, installation } = await openStore(databaseUrl, databasePart, signal, closers);

  const changed = { wake: (): void => {} };
  const lockParts = { databaseUrl, database: databasePart, log, signal };
  const lock = takeMailboxLock({ ...lockParts, onChange: () => changed.wake() });
  closers.add('the mailbox lock', () => lock.close());
  await lock.held();

  const sharedState = new SharedState(secrets.redisUrl ?? (embedded.redisUrl as string), log);
  closers.add('Redis', () => sharedState.close());

  const book = new PartBook<ListenedPart>(now);
  const accounts = mailAccounts(config, secrets, embedded.mail, { now, log });
  const outbox = startOutgoing({
    db,
    lock,
    accounts,
    botAddress: config.botAddress,
    mailbox: config.mailbox,
    makesCopies: wantsSentCopies(config.sentCopies, config.imap?.host ?? null),
    log,
    smtpLimits: overrides.smtpLimits,
    onServer: (error) => noteIn(book, 'smtp', error),
  });
  closers.add('the outbox', () => outbox.close());

  const on = { docker, installation, imageMade, now };
  const { workspaceLimit, imageReady, fault } = await openWorkspaceLimit(settings, on, dockerPart);
  const guard = startGuard(settings, { docker, instance: installation, imageReady }, closers);
  const allowLists = startAllowLists(settings, { docker, instance: installation, guard, db }, closers);
  const activity = new Activity(randomBytes(6).toString('hex'));
  const queues = new ThreadQueues(config.commandConcurrency);
  closers.add('the queues', () => queues.close());
  const parts = {
    db,
    docker,
    sharedState,
    events: new LifecycleEvents(sharedState, (name, data) => activity.tell(name, data)),
    activity,
    onMailbox: (error: Error | null) => noteIn(book, 'imap', error),
    queues,
    lock,
    cancellations: new Cancellations(),
    imageReady,
    secretsOf: secretsFrom(db, { given: secrets.secretsKey, file: config.secretsKeyFile }),
    guard,
    workspaceLimit,
    allowLists,
    installation,
    mirrorsDir: join(dataDir, 'mirrors', installation),
    savesDir: join(dataDir, 'saves', installation),
    config,
    signal,
    log,
    wakeOutbox: (): void => outbox.wake(),
    noteBounce: outbox.noteBounce,
    now,
    states: { docker: dockerPart, database: databasePart },
    delayToldAfterMs: overrides.delayToldAfterMs,
    reader: sqlReader(settings, { db, databaseUrl, now }),
  };
  const lifecycle = startLifecycle(parts);
  closers.add('the sweep', () => lifecycle.close());
  const around = { account: accounts.imap, lifecycle, closers, overrides, takesMailbox };
  const { wake, listening } = startMailLoop(parts, around);
  changed.wake = wake;
  if (http) serve(http, { ...parts, book, dataDir, engineFault: fault }, closers);
  return { mail: embedded.mail ?? null, db, docker, installation, imageReady, listening, lifecycle, http };
}

const progressOf = ({ overrides, log }: AppSettings): ((line: string) => void) =>
  overrides?.onImageProgress ?? ((line) => log.info({ part: 'image' }, line));

function serve(
  http: HttpServer,
  parts: OperateParts &
    Pick<HttpParts, 'config' | 'activity'> &
    Pick<ReadinessParts, 'sharedState' | 'book' | 'dataDir' | 'workspaceLimit' | 'engineFault'>,
  closers: Closers,
): void {
  const { book } = parts;
  http.attach({
    ...parts,
    operator: createOperator(parts),
    masksOf: (name) => masksByName(parts, name),
    readiness: createReadiness(parts),
    losses: () => ({ imap: book.of('imap').losses, smtp: book.of('smtp').losses }),
  });
  // Before all that it speaks of.
  closers.add('the API', () => http.close());
}

function noteIn(book: PartBook<ListenedPart>, part: ListenedPart, error: Error | null): void {
  if (error) book.lost(part, error);
  else book.heard(part);
}

async function openEngine(
  { config, log, signal, overrides }: AppSettings,
  part: PartState,
  closers: Closers,
): Promise<Docker> {
  const { dockerHost, dataDir } = config;
  const lingerMs = overrides?.engineLingerMs ?? ENGINE_LINGER_MS;
  const onFailure = (error: Error): void => part.isDown(error);
  const engine = await retryForEver(() => chooseEngine({ dockerHost, dataDir, lingerMs, log }), {
    signal,
    onFailure,
  });
  closers.add('the Docker Engine', () => engine.close());
  closers.add('the runners', () => closeRunners(engine.docker));
  return engine.docker;
}

async function openStore(
  databaseUrl: string,
  part: PartState,
  signal: AbortSignal,
  closers: Closers,
): Promise<{ db: Db; installation: string }> {
  const db = openDatabase(databaseUrl, { idleInTransactionMs: IDLE_IN_TRANSACTION_MS });
  closers.add('PostgreSQL', () => db.destroy());
  const installation = await retryForEver(
    async () => {
      await migrate(db);
      return installationId(db);
    },
    { signal, onFailure: (error) => part.isDown(error), isFinal: isSchemaTooNew },
  );
  part.isUp();
  return { db, installation };
}

/** @returns null where the operator does without */
function startGuard(
  { config, log, overrides }: AppSettings,
  on: Pick<GuardSettings, 'docker' | 'instance' | 'imageReady'>,
  closers: Closers,
): NetworkGuard | null {
  const { guardsNetwork, guardImage: image, containerDns, containerMayReach: mayReach } = config;
  if (!guardsNetwork) {
    log.warn(
      'CONTAINER_NETWORK_GUARD=off: commands reach this machine, its networks and cloud metadata. See docs/security.md',
    );
    return null;
  }
  const nameservers = containerDns.length > 0 ? containerDns : null;
  const lookAgainMs = overrides?.guardLookAgainMs;
  const guard = new NetworkGuard({ ...on, image, nameservers, mayReach, log, lookAgainMs });
  guard.begin();
  closers.add('the network guard', () => guard.close());
  return guard;
}

function startAllowLists(
  { config, log }: AppSettings,
  { db, ...on }: Pick<AllowListParts, 'docker' | 'instance' | 'guard'> & { db: Db },
  closers: Closers,
): AllowLists {
  const { containerDns: nameservers, containerMayReach: mayReach, dataDir } = config;
  const proxy = new SquidProxy({ dir: resolve(dataDir, 'proxy'), nameservers, mayReach, log });
  const allowLists = new AllowLists({ ...on, proxy, repositories: () => repositoriesWithList(db), log });
  allowLists.begin();
  closers.add('the proxy', () => allowLists.close());
  return allowLists;
}
