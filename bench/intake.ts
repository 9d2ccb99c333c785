import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ImapFlow } from 'imapflow';
import { simpleParser } from 'mailparser';
import type { Closers } from '../src/closers.ts';
import { startEmbedded, type EmbeddedMail } from '../src/embedded/embedded.ts';
import { createLog } from '../src/log.ts';
import { migrate, openDatabase, type Db } from '../src/store/database.ts';
import { addRepository } from '../src/store/repositories.ts';
import { residentMegabytes, startBot, type BotProcess } from './bot-process.ts';
import { backlogMail } from './backlog-mail.ts';
import type { Progress } from './measures.ts';
import { processorTime } from './processor-time.ts';

/** As many as the bot asks for at once. */
const AT_ONCE = 32;
const LOOK_EVERY_MS = 20;
const CONNECTIONS = 4;

/** `memory`: of the bot while it takes the mails, in MB. `used`: milliseconds of one core for each mail. */
type IntakeSeries = Record<'values' | 'floors' | 'memory', number[]> & {
  used: Record<'bot' | 'postgres' | 'mail' | 'raw', number[]>;
};

/**
 * A bot that starts and finds so many mails: how many it takes a second, until each is a command in its thread's queue
 * in the database. Beside that, fetching the same mails in the same portions and giving each to mailparser. Nothing is
 * run: there is no Docker Engine where the bot looks for it.
 */
export async function intake(
  closers: Closers,
  { mails, rounds, signal }: { mails: number; rounds: number; signal: AbortSignal },
  progress: Progress,
): Promise<IntakeSeries> {
  const dir = await mkdtemp(join(tmpdir(), 'threadbox-bench-'));
  closers.add('the data', () => rm(dir, { recursive: true, force: true }));
  const embedded = await startEmbedded({
    dataDir: join(dir, 'parts'),
    want: { postgres: true, redis: true, mail: true },
    log: createLog('warn'),
  });
  closers.add('the embedded parts', () => embedded.close());
  const mail = embedded.mail as EmbeddedMail;
  const used = { bot: [], postgres: [], mail: [], raw: [] };
  const series: IntakeSeries = { values: [], floors: [], memory: [], used };
  await deliver(mail, mails, signal);
  progress('mails delivered', mails, mails);
  for (let round = 0; round < rounds; round += 1) {
    const [databaseUrl, drop] = await newDatabase(embedded.databaseUrl as string, `round_${round}`);
    const db = openDatabase(databaseUrl);
    const dataDir = join(dir, `bot-${round}`);
    await mkdir(dataDir);
    try {
      await migrate(db);
      await addRepository(db, {
        name: 'sample',
        url: 'https://git.example.com/x.git',
        branch: null,
        threadBy: null,
      });
      const bot = await startBot(
        botSettings(mail, { databaseUrl, redisUrl: embedded.redisUrl as string, dataDir }),
        join(dir, 'bot.log'),
      );
      try {
        series.values.push(
          await untilTaken(db, bot, {
            mails,
            series,
            signal: AbortSignal.any([signal, bot.died]),
          }),
        );
      } catch (error) {
        if (!signal.aborted) console.error(await bot.lastWords());
        throw error;
      } finally {
        await bot.close();
      }
    } finally {
      await db.destroy();
      await drop();
    }
    const before = process.cpuUsage();
    series.floors.push(await rawIntake(mail, mails, signal));
    const { user, system } = process.cpuUsage(before);
    series.used.raw.push((user + system) / 1000 / mails);
    progress(`${mails} mails taken`, round + 1, rounds);
  }
  return series;
}

function botSettings(
  mail: EmbeddedMail,
  { databaseUrl, redisUrl, dataDir }: { databaseUrl: string; redisUrl: string; dataDir: string },
): Record<string, string> {
  const account = `${encodeURIComponent(mail.botAddress)}:${mail.password}@127.0.0.1`;
  return {
    IMAP_URL: `imap://${account}:${mail.imapPort}`,
    SMTP_URL: `smtp://${account}:${mail.smtpPort}`,
    BOT_ADDRESS: mail.botAddress,
    ALLOWED_SENDERS: '*@example.com',
    SENDER_AUTH: 'none',
    I_UNDERSTAND_ANYONE_CAN_RUN_COMMANDS: 'yes',
    FILE_MAIL: 'no',
    MAX_COMMANDS_PER_HOUR: '1000000',
    MAX_COMMANDS_PER_HOUR_PER_SENDER: '1000000',
    MAX_COMMANDS_PER_HOUR_PER_THREAD: '1000000',
    DATABASE_URL: databaseUrl,
    REDIS_URL: redisUrl,
    DOCKER_HOST: `unix://${join(dataDir, 'no-engine.sock')}`,
    DATA_DIR: dataDir,
  };
}

/** @returns mails a second, from the first batch that is recorded to the last command that is stored */
async function untilTaken(
  db: Db,
  bot: BotProcess,
  { mails, series, signal }: { mails: number; series: IntakeSeries; signal: AbortSignal },
): Promise<number> {
  const [first, startedAt] = await firstBatch(db, signal);
  const before = await processorTime(bot.pid);
  while (!(await isAllTaken(db, mails))) {
    signal.throwIfAborted();
    series.memory.push(await residentMegabytes(bot.pid));
    await pause(LOOK_EVERY_MS * 5, undefined, { signal });
  }
  const tookMs = performance.now() - startedAt;
  const after = await processorTime(bot.pid);
  for (const whose of ['bot', 'postgres', 'mail'] as const) {
    series.used[whose].push((after[whose] - before[whose]) / (mails - first));
  }
  const [row] = await db('commands').count<{ count: string }[]>();
  if (Number(row?.count) !== mails) throw new Error(`Expected ${mails} commands, got ${row?.count}`);
  return ((mails - first) / tookMs) * 1000;
}

async function firstBatch(db: Db, signal: AbortSignal): Promise<[number, number]> {
  for (;;) {
    const recorded = await recordedUpTo(db);
    if (recorded > 0) return [recorded, performance.now()];
    await pause(LOOK_EVERY_MS, undefined, { signal });
  }
}

/** Each mail of the mailbox has its place in it for a UID. Counting the rows would take longer the more there are. */
async function recordedUpTo(db: Db): Promise<number> {
  const row = await db('mailboxes').first<{ uid: number } | undefined>({ uid: 'last_uid' });
  return row?.uid ?? 0;
}

async function isAllTaken(db: Db, mails: number): Promise<boolean> {
  if ((await recordedUpTo(db)) < mails) return false;
  return (await db('messages').first('id').where({ state: 'received' })) === undefined;
}

async function connect(mail: EmbeddedMail, user: string): Promise<ImapFlow> {
  const auth = { user, pass: mail.password };
  const client = new ImapFlow({ host: '127.0.0.1', port: mail.imapPort, secure: false, auth, logger: false });
  await client.connect();
  return client;
}

async function deliver(mail: EmbeddedMail, mails: number, signal: AbortSignal): Promise<void> {
  const to = mail.botAddress;
  let next = 0;
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      const client = await connect(mail, to);
      try {
        while (next < mails) {
          signal.throwIfAborted();
          const index = next;
          next += 1;
          await client.append('INBOX', backlogMail(index, to));
        }
      } finally {
        await client.logout();
      }
    }),
  );
}

/** Fetched and parsed, and no more. @returns mails a second */
async function rawIntake(mail: EmbeddedMail, mails: number, signal: AbortSignal): Promise<number> {
  const client = await connect(mail, mail.botAddress);
  try {
    await client.mailboxOpen('INBOX', { readOnly: true });
    const startedAt = performance.now();
    for (let uid = 1; uid <= mails; uid += AT_ONCE) {
      signal.throwIfAborted();
      const range = `${uid}:${Math.min(uid + AT_ONCE - 1, mails)}`;
      for (const { source } of await client.fetchAll(range, { uid: true, source: true }, { uid: true })) {
        const { text } = await simpleParser(source as Buffer);
        if (!text?.includes('npm test')) throw new Error('A mail of the backlog lost its command');
      }
    }
    return (mails / (performance.now() - startedAt)) * 1000;
  } finally {
    await client.logout();
  }
}

async function newDatabase(url: string, name: string): Promise<[string, () => Promise<void>]> {
  const admin = openDatabase(url, { poolSize: 1 });
  await admin.raw('create database ??', [name]);
  const own = new URL(url);
  own.pathname = `/${name}`;
  const drop = async (): Promise<void> => {
    await admin.raw('drop database ?? with (force)', [name]);
    await admin.destroy();
  };
  return [own.toString(), drop];
}
