import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import MailComposer from 'nodemailer/lib/mail-composer';
import { removeInstallation } from '../../src/containers/remove-installation.ts';
import { takeLock } from '../../src/lock.ts';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { parseMessage, type ParsedMessage } from '../../src/mail/parse.ts';
import { newMessageId } from '../../src/mail/compose.ts';
import { installationId, openDatabase, type Db } from '../../src/store/database.ts';
import { addRepository } from '../../src/store/repositories.ts';
import { ALICE } from '../support/app.ts';
import { spawnBot, type BotProcess } from '../support/bot-process.ts';
import { closeAll } from '../support/close-all.ts';
import { collectedLog } from '../support/collected-log.ts';
import { startDovecot } from '../support/dovecot.ts';
import { engine } from '../support/engine.ts';
import { startGitUpstream } from '../support/git-upstream.ts';
import { namesBelow } from '../support/names-below.ts';
import { layPostgres } from '../support/laid-postgres.ts';
import { SMTP_PASSWORD, startScriptedSmtp } from '../support/scripted-smtp.ts';
import { startStepProxy, type StepProxy } from '../support/step-proxy.ts';
import { until } from '../support/until.ts';
import { watchStates } from './stage.ts';

/** A bot in a process of its own that dies by kill -9 at the steps that are aimed at; all around it lives on. */
export type KillStage = {
  /** Not by the way that the bot takes. */
  db: Db;
  aim: StepProxy['aim'];
  /** Sends a command. @returns the answers to it that are not the first of them, once all is done and saved */
  tell: (
    thread: string,
    body: string,
    files?: Readonly<Record<string, string>>,
  ) => Promise<{ answer: ParsedMessage; messageIds: Set<string> }>;
  /** Where the bot was killed so far. */
  kills: string[];
  /** The names of the containers, and of the volumes, of a thread. */
  inEngine: (threadId: string) => Promise<{ containers: string[]; volumes: string[] }>;
  /** What no save leaves behind in the stores. */
  leftovers: () => Promise<string[]>;
  close: () => Promise<void>;
};

const BOT = 'bot@threadbox.test';

export async function startKillStage(): Promise<KillStage> {
  const closers: (() => Promise<unknown>)[] = [];
  let isClosed = false;
  const close = async (): Promise<void> => {
    isClosed = true;
    await closeAll(closers);
  };
  try {
    const dir = await mkdtemp(join(tmpdir(), 'threadbox-kills-'));
    closers.push(() => rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));
    const upstream = await startGitUpstream();
    closers.push(() => upstream.close());
    const dovecot = await startDovecot();
    closers.push(() => dovecot.close());
    const smtp = await startScriptedSmtp();
    closers.push(() => smtp.close());
    await layPostgres(join(dir, 'postgres'));
    const postgres = await startPostgres({ dir: join(dir, 'postgres'), log: collectedLog().log });
    closers.push(() => postgres.close());
    const databaseUrl = new URL(postgres.url);
    const proxy = await startStepProxy(Number(databaseUrl.port));
    closers.push(() => proxy.close());
    const db = openDatabase(postgres.url, { poolSize: 2 });
    closers.push(() => db.destroy());
    databaseUrl.port = String(proxy.databasePort);
    const dataDir = join(dir, 'data');
    const settings = {
      SENDER_AUTH: 'none',
      I_UNDERSTAND_ANYONE_CAN_RUN_COMMANDS: 'yes',
      IMAP_URL: `imap://${encodeURIComponent(BOT)}:${dovecot.password}@127.0.0.1:${dovecot.imapPort}?insecure-skip-verify=yes`,
      SMTP_URL: `smtp://bot:${encodeURIComponent(SMTP_PASSWORD)}@127.0.0.1:${smtp.server.port}`,
      BOT_ADDRESS: BOT,
      DATABASE_URL: databaseUrl.href,
      DOCKER_HOST: proxy.dockerHost,
      CONTAINER_IMAGE: process.env['CONTAINER_IMAGE'] ?? 'threadbox-workspace:1',
      ALLOWED_SENDERS: '*@example.com',
      DATA_DIR: dataDir,
      // Only the sweep that each start begins with.
      CONTAINER_CHECK_INTERVAL_MS: '86400000',
    };
    let bot: BotProcess = spawnBot(dir, settings);
    closers.push(() => bot.kill('SIGKILL'));
    await bot.ready();
    await watchStates(db);
    const instance = await installationId(db);
    closers.unshift(() => removeInstallation(engine, instance));
    await addRepository(db, { name: 'sample', url: upstream.url, branch: null, threadBy: null });
    const kills: string[] = [];

    /** Waits for the end of what a mail has begun, over as many deaths of the bot as it takes. */
    async function settled(isSettled: () => Promise<boolean>): Promise<void> {
      await until(async () => {
        const hit = proxy.hit();
        if (hit === null) return isSettled();
        await bot.kill('SIGKILL');
        // A test that has failed goes on for a while: a bot that is started now would outlive it, and hold it up.
        if (isClosed) throw new Error('the stage was closed meanwhile');
        kills.push(hit);
        proxy.goOn();
        bot = spawnBot(dir, settings);
        return false;
      }, 300_000);
    }
    return {
      db,
      aim: proxy.aim,
      kills,
      async tell(thread, body, files = {}) {
        const attachments = Object.entries(files).map(([filename, content]) => ({ filename, content }));
        const messageId = newMessageId(ALICE);
        const mail = { from: ALICE, to: BOT, subject: `[sample#${thread}] Work`, text: body, messageId };
        await dovecot.deliver(BOT, await new MailComposer({ ...mail, attachments }).compile().build());
        const answers = () => smtp.taken.filter(({ source }) => source.includes(`In-Reply-To: ${messageId}`));
        await settled(async () => answers().length > 0 && (await isAtRest(db)));
        const parsed = await Promise.all(answers().map(({ source }) => parseMessage(Buffer.from(source))));
        const [answer] = parsed;
        if (!answer) throw new Error('no answer');
        return { answer, messageIds: new Set(parsed.map((copy) => copy.messageId ?? '')) };
      },
      async inEngine(threadId) {
        const filters = JSON.stringify({
          label: [`threadbox.instance=${instance}`, `threadbox.thread=${threadId}`],
        });
        const containers = await engine.listContainers({ all: true, filters });
        const { Volumes: volumes } = await engine.listVolumes({ filters });
        return {
          containers: containers.map(({ Names }) => Names[0]?.slice(1) ?? ''),
          volumes: volumes.map(({ Name }) => Name),
        };
      },
      leftovers: () => leftovers(join(dataDir, 'saves', instance)),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The file that a store is locked by stays; only nobody holds it. */
async function leftovers(savesDir: string): Promise<string[]> {
  const names = await namesBelow(savesDir);
  const isLock = (name: string): boolean => /^[^/]+\.git\.lock$/.test(name);
  const found = names.filter((name) => !isLock(name) && /\.lock$|incoming-|export-|tmp_|\.tmp-/.test(name));
  for (const name of names.filter(isLock)) {
    // What comes after a save may hold it for a moment longer.
    const lock = await takeLock(join(savesDir, name), { kind: 'exclusive', waitMs: 20_000 });
    if (!lock) found.push(name);
    await lock?.release();
  }
  return found;
}

/** No command is open, and all work is saved. */
async function isAtRest(db: Db): Promise<boolean> {
  const open = await db('commands').whereIn('state', ['queued', 'running']).first();
  if (open) return false;
  const unsaved = await db('container_sessions').where({ is_active: true, is_saved: false }).first();
  return !unsaved;
}
