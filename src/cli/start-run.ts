import { join } from 'node:path';
import { startApp, type App } from '../app.ts';
import { loadConfig, readEnvironment, type Config } from '../config.ts';
import { createLog, type Log } from '../log.ts';
import { readPause } from '../store/pause.ts';
import { listRepositories } from '../store/repositories.ts';
import { listUsers } from '../store/users.ts';
import { startWatchdog } from '../watchdog.ts';
import { untilSignal } from './signals.ts';

/** Runs the bot until a signal ends it. @param takesMailbox from another installation that has claimed it */
export async function runBot(takesMailbox: boolean): Promise<void> {
  const { config, secrets } = loadConfig(readEnvironment());
  const log = createLog(config.logLevel);
  for (const line of embeddedParts(config)) log.info(line);
  sayWhoIsTrusted(config, log);
  const watchdog = startWatchdog(log);
  const stop = untilSignal((name) => log.info(`stopping (${name})`));
  let app: App;
  try {
    app = await startApp({ config, secrets, log, signal: stop.signal, takesMailbox });
  } catch (error) {
    watchdog.close();
    if (!stop.signal.aborted) throw error;
    log.info('stopped before it had started');
    return;
  }
  try {
    await sayWhatIsReady(app, config, log);
    // Until then it is told what it waits for: the mail server, or whoever has claimed the mailbox.
    void app.listening.then(() =>
      log.info({ address: config.botAddress }, `Threadbox waits for mail to ${config.botAddress}`),
    );
    await stop.signalled;
  } finally {
    await app.close();
    watchdog.close();
  }
  log.info('stopped');
}

async function sayWhatIsReady({ mail, db }: App, config: Config, log: Log): Promise<void> {
  if (mail) {
    const { imapPort, smtpPort } = mail;
    log.info(
      { imapPort, smtpPort, passwordIn: join(config.dataDir, 'mail', 'access.json') },
      'the embedded mail server listens on 127.0.0.1; every address has a mailbox there',
    );
  }
  try {
    if (config.allowedSenders.length === 0 && (await listUsers(db)).length === 0) {
      log.warn('nobody may have commands run yet: threadbox user add ADDRESS, or set ALLOWED_SENDERS');
    }
    if ((await listRepositories(db)).length === 0) {
      log.warn('there is no repository to run commands in yet: threadbox repo add NAME URL');
    }
    const paused = await readPause(db);
    if (paused) log.warn({ ...paused }, 'Threadbox is paused: no command is started until threadbox resume');
  } catch (error) {
    // Only hints: a database that is away again is waited for where it is needed.
    log.debug({ err: error }, 'it could not be looked up what there is to say at the start');
  }
}

function sayWhoIsTrusted({ imap, senderAuth, trustedAuthservIds }: Config, log: Log): void {
  if (!imap) return;
  if (senderAuth === 'none') {
    log.warn('SENDER_AUTH is none: whoever can forge the From of an allowed sender runs commands');
  } else {
    log.info({ trustedAuthservIds }, `senders are verified: SENDER_AUTH=${senderAuth}`);
  }
}

/** Which parts nobody configured, and what takes their place. */
function embeddedParts(config: Config): string[] {
  return [
    ...(config.imap
      ? []
      : [
          'IMAP_URL and SMTP_URL are not set: using the embedded mail server, reachable from this machine only',
        ]),
    ...(config.usesEmbeddedPostgres ? ['DATABASE_URL is not set: using the embedded PostgreSQL'] : []),
    ...(config.usesEmbeddedRedis ? ['REDIS_URL is not set: using the embedded Redis'] : []),
    ...(config.dockerHost
      ? []
      : ['DOCKER_HOST is not set: using the local Docker Engine, or one of our own where there is none']),
  ];
}
