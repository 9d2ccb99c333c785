import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
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
import { startPostfix, type Postfix } from './postfix.ts';
import { SMTP_PASSWORD, type ScriptedSmtp } from './scripted-smtp.ts';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts';
import { until } from './until.ts';

const run = promisify(execFile);

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
  /** In the place of `smtp`: it brings what it takes to Dovecot. */
  postfix: Postfix | null;
  /** Only with a disk of its own for PostgreSQL. */
  fillDisk: (isFull: boolean) => Promise<void>;
  /** All that bots and their servers say to each other passes here. */
  wires: { imap: TcpProxy; smtp: TcpProxy; postgres: TcpProxy };
  /** A bot's settings. @param name of its data directory */
  settings: (name: string) => Record<string, string>;
  /** Starts a bot, without waiting for anything. */
  spawn: (name: string, env?: Readonly<Record<string, string>>) => BotProcess;
  /** Puts a mail as a user's client writes it into the bot's mailbox. @returns its Message-ID */
  send: (from: string, subject: string, body: string) => Promise<string>;
  deliver: (raw: string | Buffer) => Promise<void>;
  /** All mails that have come to those who write to the bot: as the SMTP server took them, or into their mailboxes. */
  received: (users: readonly string[]) => Promise<string[]>;
  /** Everything the SMTP server has taken in answer to a mail. */
  answersTo: (messageId: string) => Promise<ParsedMessage[]>;
  answerTo: (messageId: string) => Promise<ParsedMessage>;
  close: () => Promise<void>;
};

export const BOT = 'bot@threadbox.test';

/** @param hasRedis otherwise it never answers @param diskMb size of a disk of their own for PostgreSQL, and for Postfix */
export async function startProcessStage({
  hasRedis = false,
  hasPostfix = false,
  diskMb = null,
}: { hasRedis?: boolean; hasPostfix?: boolean; diskMb?: number | null } = {}): Promise<ProcessStage> {
  const closers: (() => Promise<unknown>)[] = [];
  const close = (): Promise<void> => closeAll(closers);
  try {
    const dir = await mkdtemp(join(tmpdir(), 'threadbox-processes-'));
    closers.push(() => rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));
    const upstream = await startGitUpstream();
    closers.push(() => upstream.close());
    const dovecot = await startDovecot();
    closers.push(() => dovecot.close());
    const disk = join(dir, 'disk');
    await mkdir(disk);
    if (diskMb !== null) {
      await run('mount', ['-t', 'tmpfs', '-o', `size=${diskMb}m,mode=755`, 'tmpfs', disk]);
      closers.push(() => run('umount', ['--lazy', disk]));
    }
    const postgres = await stoppablePostgres(join(disk, 'postgres'), collectedLog().log);
    closers.push(() => postgres.stop());
    const redis = hasRedis ? await stoppableRedis(join(dir, 'redis')) : null;
    closers.push(async () => redis?.stop());
    const smtp = await stoppableSmtp();
    closers.push(() => smtp.stop());
    const postfix = hasPostfix
      ? await startPostfix(dovecot, ['threadbox.test', 'example.com'], { diskMb })
      : null;
    closers.push(async () => postfix?.close());
    const databaseUrl = new URL(postgres.url);
    const wires = {
      imap: await startTcpProxy(dovecot.imapPort),
      smtp: await startTcpProxy(postfix?.port ?? smtp.port),
      postgres: await startTcpProxy(Number(databaseUrl.port)),
    };
    for (const wire of Object.values(wires)) closers.push(() => wire.close());
    databaseUrl.port = String(wires.postgres.port);

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
      SMTP_URL: postfix
        ? `smtp://${encodeURIComponent(BOT)}:${dovecot.password}@${local}:${wires.smtp.port}?insecure-skip-verify=yes`
        : `smtp://bot:${encodeURIComponent(SMTP_PASSWORD)}@${local}:${wires.smtp.port}`,
      BOT_ADDRESS: BOT,
      DATABASE_URL: databaseUrl.href,
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
      postfix,
      wires,
      async fillDisk(isFull) {
        const filler = join(disk, 'filler');
        // It ends when there is no room left.
        if (isFull) await run('dd', ['if=/dev/zero', `of=${filler}`, 'bs=64k']).catch(() => {});
        else await rm(filler);
      },
      async received(users) {
        if (!postfix) return smtp.taken().map(({ source }) => source);
        // Who has got none yet has no mailbox.
        const files = await Promise.all(users.map((user) => dovecot.files(user).catch(() => [])));
        return Promise.all(files.flat().map(({ path }) => readFile(path, 'utf8')));
      },
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
