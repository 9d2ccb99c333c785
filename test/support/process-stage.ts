import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeInstallation } from '../../src/containers/remove-installation.ts';
import { startRedis } from '../../src/embedded/redis.ts';
import { parseMessage, type ParsedMessage } from '../../src/mail/parse.ts';
import { composeUserMail } from '../../src/mail/user-mail.ts';
import { installationId, migrate, openDatabase, type Db } from '../../src/store/database.ts';
import { addRepository } from '../../src/store/repositories.ts';
import { spawnBot, type BotProcess } from './bot-process.ts';
import { closeAll } from './close-all.ts';
import { collectedLog } from './collected-log.ts';
import { startDovecot, type Dovecot } from './dovecot.ts';
import { engine, engineHost } from './engine.ts';
import { stoppablePostgres, stoppableSmtp, type Away } from './fault-stage.ts';
import { freePort, startGitUpstream } from './git-upstream.ts';
import { SMTP_PASSWORD, type ScriptedSmtp } from './scripted-smtp.ts';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts';
import { until } from './until.ts';

/** Bots as processes of their own, amid parts that outlive them and can each be taken away. */
export type ProcessStage = {
  db: Db;
  dir: string;
  /** Its id. */
  installation: string;
  dovecot: Dovecot;
  postgres: Away;
  redis: Away | null;
  smtp: Away & { taken: () => ScriptedSmtp['taken'] };
  /** All that bots and mail servers say to each other passes here. */
  wires: { imap: TcpProxy; smtp: TcpProxy };
  /** A bot's settings. @param name of its data directory */
  settings: (name: string) => Record<string, string>;
  /** Starts a bot, without waiting for anything. */
  spawn: (name: string, env?: Readonly<Record<string, string>>) => BotProcess;
  /** Puts a mail as a user's client writes it into the bot's mailbox. @returns its Message-ID */
  send: (from: string, subject: string, body: string) => Promise<string>;
  deliver: (raw: string | Buffer) => Promise<void>;
  /** Everything the SMTP server has taken in answer to a mail. */
  answersTo: (messageId: string) => Promise<ParsedMessage[]>;
  answerTo: (messageId: string) => Promise<ParsedMessage>;
  close: () => Promise<void>;
};

export const BOT = 'bot@threadbox.test';

/** @param hasRedis otherwise it never answers */
export async function startProcessStage({ hasRedis = false } = {}): Promise<ProcessStage> {
  const closers: (() => Promise<unknown>)[] = [];
  const close = (): Promise<void> => closeAll(closers);
  try {
    const dir = await mkdtemp(join(tmpdir(), 'threadbox-processes-'));
    closers.push(() => rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));
    const upstream = await startGitUpstream();
    closers.push(() => upstream.close());
    const dovecot = await startDovecot();
    closers.push(() => dovecot.close());
    const postgres = await stoppablePostgres(join(dir, 'postgres'), collectedLog().log);
    closers.push(() => postgres.stop());
    const redis = hasRedis ? await stoppableRedis(join(dir, 'redis')) : null;
    closers.push(async () => redis?.stop());
    const smtp = await stoppableSmtp();
    closers.push(() => smtp.stop());
    const wires = { imap: await startTcpProxy(dovecot.imapPort), smtp: await startTcpProxy(smtp.port) };
    closers.push(() => wires.imap.close());
    closers.push(() => wires.smtp.close());

    const db = openDatabase(postgres.url, { poolSize: 3 });
    closers.push(() => db.destroy());
    await migrate(db);
    const installation = await installationId(db);
    await addRepository(db, { name: 'sample', url: upstream.url, branch: null, threadBy: null });
    const bots: BotProcess[] = [];
    closers.push(() => removeInstallation(engine, installation));
    closers.push(() => Promise.all(bots.map((bot) => bot.kill('SIGKILL'))));

    const local = '127.0.0.1';
    const noRedis = `redis://${local}:${await freePort()}`;
    const settings = (name: string): Record<string, string> => ({
      SENDER_AUTH: 'none',
      I_UNDERSTAND_ANYONE_CAN_RUN_COMMANDS: 'yes',
      IMAP_URL: `imap://${encodeURIComponent(BOT)}:${dovecot.password}@${local}:${wires.imap.port}?insecure-skip-verify=yes`,
      SMTP_URL: `smtp://bot:${encodeURIComponent(SMTP_PASSWORD)}@${local}:${wires.smtp.port}`,
      BOT_ADDRESS: BOT,
      DATABASE_URL: postgres.url,
      REDIS_URL: redis?.url ?? noRedis,
      DOCKER_HOST: engineHost,
      CONTAINER_IMAGE: process.env['CONTAINER_IMAGE'] ?? 'threadbox-workspace:1',
      ALLOWED_SENDERS: '*@example.com',
      DATA_DIR: join(dir, name),
    });
    const answersTo = async (messageId: string): Promise<ParsedMessage[]> => {
      const answers = smtp.taken().filter(({ source }) => source.includes(`In-Reply-To: ${messageId}`));
      return Promise.all(answers.map(({ source }) => parseMessage(Buffer.from(source))));
    };
    const deliver = (raw: string | Buffer): Promise<void> => dovecot.deliver(BOT, raw);
    return {
      db,
      dir,
      installation,
      dovecot,
      postgres,
      redis,
      smtp,
      wires,
      settings,
      spawn(name, env = {}) {
        const bot = spawnBot(dir, { ...settings(name), ...env });
        bots.push(bot);
        return bot;
      },
      async send(from, subject, body) {
        const { raw, messageId } = await composeUserMail({ from, to: BOT, subject, body });
        await deliver(raw);
        return messageId;
      },
      deliver,
      answersTo,
      answerTo: (messageId) => until(async () => (await answersTo(messageId))[0]),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function stoppableRedis(dir: string): Promise<Away & { url: string }> {
  const { log } = collectedLog();
  let running = await startRedis({ dir, log });
  return {
    url: running.url,
    stop: () => running.close(),
    async start() {
      running = await startRedis({ dir, log });
    },
  };
}
