import { once } from 'node:events';
import { join, relative } from 'node:path';
import { startApp, type App } from '../app.ts';
import { loadConfig, readEnvironment } from '../config.ts';
import { removeInstallation } from '../containers/remove-installation.ts';
import { createLog } from '../log.ts';
import { latestMessage } from '../store/messages.ts';
import { addRepository, setRepository } from '../store/repositories.ts';
import { registerUser } from '../store/users.ts';
import { CliError, interrupted, type Options } from './command.ts';
import { demoEngine } from './demo-engine.ts';
import { defaultDemoDir, takeDemoDir, type DemoDir } from './demo-dir.ts';
import { FIRST_ACT, listen, play, SECOND_ACT, WARNING, type Played } from './demo-play.ts';
import { makeSampleRepository } from './demo-sample.ts';
import { screenOn, type Screen } from './demo-screen.ts';
import { unlessStopped, untilSignal, type Stop } from './signals.ts';
import { embeddedCorrespondent } from './write-to-bot.ts';

const YOU = 'you@threadbox.test';
const REPOSITORY = 'my-react-app';

/** @returns the exit code */
export async function runDemo(options: Options): Promise<number> {
  const screen = screenOn(process.stdout);
  const stop = untilSignal(() => screen.line('\nStopping ... (Ctrl-C once more leaves everything as it is)'));
  const dir = await takeDemoDir((options['dir'] as string | undefined) ?? defaultDemoDir);
  try {
    return await demonstrate(dir, screen, { stop, isOnce: options['once'] === true });
  } catch (error) {
    if (stop.signal.aborted) throw interrupted('the demo was stopped before its end');
    throw error;
  } finally {
    await dir.release();
  }
}

async function demonstrate(
  dir: DemoDir,
  screen: Screen,
  { stop, isOnce }: { stop: Stop; isOnce: boolean },
): Promise<number> {
  const { DOCKER_HOST, CONTAINER_IMAGE, LOG_LEVEL = 'warn', ...environment } = readEnvironment();
  const { config, secrets } = loadConfig({
    DATA_DIR: dir.path,
    DOCKER_HOST,
    CONTAINER_IMAGE,
    LOG_LEVEL,
    CONTAINER_NETWORK_GUARD: environment['CONTAINER_NETWORK_GUARD'],
    GUARD_IMAGE: environment['GUARD_IMAGE'],
    CONTAINER_MAY_REACH: environment['CONTAINER_MAY_REACH'],
    CONTAINER_DNS: environment['CONTAINER_DNS'],
    CONTAINER_CHECK_INTERVAL_MS: '500',
    HTTP_LISTEN: 'off',
  });
  const log = createLog(config.logLevel);
  const { signal } = stop;
  const onProgress = (line: string): void => screen.line(line);
  screen.line('Making sure of a Docker Engine and of the image that commands run in ...');
  const engine = await demoEngine(config, { log, signal, onProgress });
  try {
    screen.line('Starting PostgreSQL, Redis, a mail server and the bot, all for this demo alone ...');
    const overrides = { engineLingerMs: 0, onImageProgress: onProgress };
    const app = await startApp({ config, secrets, log, signal, overrides });
    try {
      return await converse(app, dir, screen, { stop, isOnce });
    } finally {
      await app.close();
      // Only now that the bot can make no more of them.
      await removeInstallation(engine.docker, app.installation, config.guardImage);
    }
  } finally {
    await engine.close();
  }
}

async function converse(
  app: App,
  dir: DemoDir,
  screen: Screen,
  { stop, isOnce }: { stop: Stop; isOnce: boolean },
): Promise<number> {
  await prepare(app, dir);
  await unlessStopped(app.imageReady(), stop.signal);
  if (!app.mail) throw new CliError('the embedded mail server did not start');
  const you = embeddedCorrespondent(YOU, app.mail);
  const stage = { you, botAddress: app.mail.botAddress, screen, signal: stop.signal };
  const played: Played = { last: undefined, count: 0, faults: [] };
  await play(FIRST_ACT, played, stage);
  await playSilence(app, played, stage);
  const { faults, count } = played;
  if (faults.length > 0) throw new CliError(`not all was as it should be:\n  ${faults.join('\n  ')}`);
  screen.line(`\n${count} scenes, each as it should be.`);
  if (isOnce) return 0;
  screen.line(howToGoOn(app, dir.path));
  await stop.signalled;
  return 0;
}

/** In the second act a container is idle for so long, instead of the usual 45 minutes. */
const SHORT_IDLE_MS = 10_000;

/** The second act: nobody writes. A warning, `extend`, silence, the removal, and a command that finds its files again. */
async function playSilence(app: App, played: Played, stage: Parameters<typeof play>[2]): Promise<void> {
  const { screen, signal } = stage;
  screen.line(
    `\nFor what comes now, the idle time of the repository is set to ${SHORT_IDLE_MS / 1000} seconds.`,
  );
  await setRepository(app.db, REPOSITORY, { idleTimeoutMs: SHORT_IDLE_MS });
  const cleaned = once(app.lifecycle.events, 'container:cleaned', { signal });
  const thread = `${YOU}-${REPOSITORY}`;
  await listen(WARNING, (await latestMessage(app.db, thread))?.messageId ?? '', played, stage);
  await play([SECOND_ACT.extend], played, stage);
  const stopWaiting = screen.waiting('nobody writes, and nobody answers the next warning');
  try {
    await cleaned;
  } finally {
    stopWaiting();
  }
  screen.line('\nThe container is saved and removed.');
  await play([SECOND_ACT.again], played, stage);
  await setRepository(app.db, REPOSITORY, { idleTimeoutMs: null });
}

/** A user, a repository, and nothing left of a demo that was killed. */
async function prepare(app: App, dir: DemoDir): Promise<void> {
  const { leftInstallation, path } = dir;
  if (leftInstallation !== null) await removeInstallation(app.docker, leftInstallation);
  await dir.remember(app.installation);
  const sample = await makeSampleRepository(join(path, 'upstream'));
  await registerUser(app.db, YOU, 'You');
  await addRepository(app.db, {
    name: REPOSITORY,
    url: `file://${sample}`,
    branch: null,
    threadBy: null,
  });
}

function howToGoOn({ mail }: App, dir: string): string {
  if (!mail) return '';
  const fromHere = relative(process.cwd(), dir);
  return `
The bot goes on. Write to it from another terminal in this directory:

   export DATA_DIR=${fromHere.startsWith('..') ? dir : fromHere}
   npx threadbox mail --subject "[${REPOSITORY}] My turn" --body "ls -la"

or with an ordinary mail client on this machine:

   IMAP       127.0.0.1, port ${mail.imapPort}, no TLS
   SMTP       127.0.0.1, port ${mail.smtpPort}, no TLS
   user name  ${YOU}
   password   ${mail.password}
   write to   ${mail.botAddress}, with [${REPOSITORY}] in the subject

Ctrl-C stops all of it.`;
}
