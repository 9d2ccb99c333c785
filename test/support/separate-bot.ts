import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { embeddedCorrespondent, sendToBot, type Correspondent } from '../../src/cli/write-to-bot.ts';
import type { Docker } from '../../src/containers/client.ts';
import { removeInstallation } from '../../src/containers/remove-installation.ts';
import { connectEmbedded, type EmbeddedAddresses, type EmbeddedMail } from '../../src/embedded/embedded.ts';
import type { ParsedMessage } from '../../src/mail/parse.ts';
import { installationId, openDatabase, type Db } from '../../src/store/database.ts';
import { addRepository } from '../../src/store/repositories.ts';
import { spawnBot, type BotProcess } from './bot-process.ts';
import { engine, engineHost } from './engine.ts';
import { startGitUpstream } from './git-upstream.ts';
import { layPostgres } from './laid-postgres.ts';
import { answerTo, readMails } from './mailbox.ts';
import { until } from './until.ts';

/** A bot in a process of its own, on embedded parts, that is killed and started again on the same data. */
export type SeparateBot = {
  /** The database of the bot that runs. */
  readonly db: Db;
  dataDir: string;
  /** Starts it (again) and waits until it waits for mail. */
  start: () => Promise<void>;
  /** Sends it a signal and waits for its end. */
  kill: (signal: NodeJS.Signals) => Promise<{ exitCode: number | null; tookMs: number }>;
  /** Its machine loses its power: bot and PostgreSQL are gone at once, in the middle of whatever they do. */
  crash: () => Promise<void>;
  /** @returns the Message-ID */
  send: (from: string, subject: string, body: string) => Promise<string>;
  /** Waits for an answer to each of these mails. @returns all that has come in answer to each, in their order */
  answersTo: (from: string, messageIds: readonly string[]) => Promise<ParsedMessage[][]>;
  /** Waits until the thread has a container. @returns its ID */
  containerOf: (threadId: string) => Promise<string>;
  close: () => Promise<void>;
};

const BOT_ADDRESS = 'bot@threadbox.test';

/** @param docker of the engine that `env` names */
export async function startSeparateBot(
  env: Readonly<Record<string, string>> = {},
  docker: Docker = engine,
): Promise<SeparateBot> {
  const dataDir = await mkdtemp(join(tmpdir(), 'threadbox-separate-'));
  const upstream = await startGitUpstream();
  const settings = {
    DOCKER_HOST: engineHost,
    CONTAINER_IMAGE: process.env['CONTAINER_IMAGE'] ?? 'threadbox-workspace:1',
    ALLOWED_SENDERS: '*@example.com',
    DATA_DIR: dataDir,
    ...env,
  };
  let bot: BotProcess | null = null;
  let instance: string | null = null;
  let addresses: EmbeddedAddresses = {};
  let db: Db | null = null;

  async function start(): Promise<void> {
    await forget();
    bot = spawnBot(dataDir, settings);
    await bot.ready();
    addresses = (await connectEmbedded(dataDir)) ?? {};
    db = openDatabase(addresses.databaseUrl as string, { poolSize: 2 });
  }
  async function kill(signal: NodeJS.Signals): Promise<{ exitCode: number | null; tookMs: number }> {
    if (!bot) throw new Error('the bot was not started');
    await forget();
    return bot.kill(signal);
  }
  async function forget(): Promise<void> {
    const known = db;
    db = null;
    await known?.destroy();
  }
  async function crash(): Promise<void> {
    if (!bot) throw new Error('the bot was not started');
    const pidFile = await readFile(join(dataDir, 'postgres', 'data', 'postmaster.pid'), 'utf8');
    const postmaster = Number(pidFile.split('\n')[0]);
    const backends = await readFile(`/proc/${postmaster}/task/${postmaster}/children`, 'utf8');
    process.kill(bot.pid, 'SIGKILL');
    process.kill(postmaster, 'SIGKILL');
    for (const pid of backends.trim().split(' ').map(Number)) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        // It has ended meanwhile, with its connection or its postmaster.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
    await bot.ended;
  }
  function database(): Db {
    if (!db) throw new Error('the bot was not started');
    return db;
  }
  const correspondent = (address: string): Correspondent =>
    embeddedCorrespondent(address, addresses.mail as EmbeddedMail);

  async function close(): Promise<void> {
    if (bot) await kill('SIGKILL');
    try {
      if (instance !== null) await removeInstallation(docker, instance);
    } finally {
      await upstream.close();
      await rm(dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    }
  }

  try {
    await layPostgres(join(dataDir, 'postgres'));
    await start();
    instance = await installationId(database());
    await addRepository(database(), { name: 'sample', url: upstream.url, branch: null, threadBy: null });
  } catch (error) {
    await close();
    throw error;
  }
  return {
    get db() {
      return database();
    },
    dataDir,
    start,
    kill,
    crash,
    send: (from, subject, body) => sendToBot(correspondent(from), { to: BOT_ADDRESS, subject, body }),
    async answersTo(from, messageIds) {
      const user = correspondent(from);
      for (const id of messageIds) await answerTo(user, id);
      const mails = await readMails(user);
      return messageIds.map((id) => mails.filter(({ inReplyTo }) => inReplyTo === id));
    },
    containerOf: (threadId) =>
      until(async () => {
        const session = await database()('container_sessions')
          .first<{ id: string } | undefined>({ id: 'container_id' })
          .where({ thread_id: threadId, is_active: true });
        return session?.id;
      }),
    close,
  };
}
