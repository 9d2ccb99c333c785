import { setTimeout as pause } from 'node:timers/promises';
import { text as readAll } from 'node:stream/consumers';
import { loadConfig, readEnvironment, type Config, type Secrets } from '../config.ts';
import { connectEmbedded } from '../embedded/embedded.ts';
import { visibleLine, visibleText } from '../mail/visible-text.ts';
import { openDatabase, type Db } from '../store/database.ts';
import { messageFate, type MessageFate } from '../store/message-fate.ts';
import { listUsers } from '../store/users.ts';
import { CliError, interrupted, usageError, type Options } from './command.ts';
import { withCauses } from './explain.ts';
import { untilSignal } from './signals.ts';
import { printJson } from './table.ts';
import type { WantedMail } from './mail.ts';
import {
  awaitReply,
  embeddedCorrespondent,
  sendToBot,
  type Correspondent,
  type Exchange,
} from './write-to-bot.ts';

const LOOK_EVERY_MS = 1_000;

/**
 * Sends the mail, and shows the answer.
 *
 * @throws {CliError} when no bot can be written to, or no answer comes
 */
export async function writeMail(mail: WantedMail, options: Options): Promise<void> {
  const bot = await findBot();
  const db = bot.databaseUrl === null ? null : openDatabase(bot.databaseUrl, { poolSize: 2 });
  try {
    const from = mail.from ?? (await onlyUser(bot.config, db));
    const body = mail.body === '-' ? await readBody() : mail.body;
    const you = bot.correspondentOf(from);
    const messageId = await sendToBot(you, { to: bot.address, subject: mail.subject, body });
    if (mail.waitMs === 0) {
      if (options['json']) printJson({ sent: messageId });
      else console.log(`Sent to ${bot.address}. The answer will come to the mailbox of ${from}.`);
      return;
    }
    say(`Sent to ${bot.address}. Waiting for the answer ...`);
    printAnswer(await waitFor(you, messageId, { waitMs: mail.waitMs, db }), messageId, options);
  } finally {
    await db?.destroy();
  }
}

type Bot = {
  address: string;
  config: Config;
  /** Null where only the bot itself knows it. */
  databaseUrl: string | null;
  correspondentOf: (from: string) => Correspondent;
};

/** @throws {CliError} when no bot can be written to */
async function findBot(): Promise<Bot> {
  const { config, secrets } = loadConfig(readEnvironment(), { isForBot: false });
  const running = await connectEmbedded(config.dataDir);
  const databaseUrl = secrets.databaseUrl ?? running?.databaseUrl ?? null;
  if (config.imap) {
    const correspondentOf = realCorrespondent(config, secrets);
    return { address: config.botAddress, config, databaseUrl, correspondentOf };
  }
  if (!running) {
    throw new CliError(
      `no bot runs on ${config.dataDir} (DATA_DIR). Start one in another terminal: threadbox start`,
    );
  }
  const { mail } = running;
  if (!mail) {
    throw new CliError(
      `the bot on ${config.dataDir} uses a real mail server, and IMAP_URL is not set here.\n` +
        'Run this with the settings of the bot: in the directory of its .env.',
    );
  }
  const correspondentOf = (from: string): Correspondent => embeddedCorrespondent(from, mail);
  return { address: config.botAddress, config, databaseUrl, correspondentOf };
}

function realCorrespondent(
  { clientImap, clientSmtp }: Config,
  secrets: Secrets,
): (address: string) => Correspondent {
  if (!clientImap || !clientSmtp) {
    throw new CliError(
      'CLIENT_IMAP_URL and CLIENT_SMTP_URL are not set: the mailbox that the mail is sent from and answered to.\n' +
        'IMAP_URL and SMTP_URL are the mailbox of the bot, which does not answer itself.',
      2,
    );
  }
  const imap = { server: clientImap, password: secrets.clientImapPassword as string };
  const smtp = { server: clientSmtp, password: secrets.clientSmtpPassword as string };
  return (address) => ({ address, imap, smtp });
}

async function onlyUser({ allowedSenders }: Config, db: Db | null): Promise<string> {
  const users = db ? await addressesOf(db) : [];
  const all = [...new Set([...users, ...allowedSenders])];
  const [only] = all;
  if (only !== undefined && all.length === 1 && !only.startsWith('*')) return only;
  throw usageError(
    all.length === 0
      ? '--from is missing, and there is no user yet. To add one: threadbox user add ADDRESS'
      : `--from is missing, and there is more than one to choose from: ${all.slice(0, 5).join(', ')}${all.length > 5 ? ', ...' : ''}`,
  );
}

async function addressesOf(db: Db): Promise<string[]> {
  try {
    return (await listUsers(db)).map(({ address }) => address);
  } catch (error) {
    const trouble = `--from is missing, and the database does not tell who there is: ${withCauses(error)}`;
    throw new CliError(trouble, 1, { cause: error });
  }
}

async function readBody(): Promise<string> {
  if (process.stdin.isTTY) say('Type the command; Ctrl-D on a line of its own sends it.');
  return readAll(process.stdin);
}

/** The answer; or as soon as it is known that none will come, why. */
async function waitFor(
  you: Correspondent,
  messageId: string,
  { waitMs, db }: { waitMs: number; db: Db | null },
): Promise<Exchange> {
  const stop = untilSignal();
  const done = new AbortController();
  const signal = AbortSignal.any([stop.signal, done.signal]);
  try {
    const answer = awaitReply(you, messageId, { timeoutMs: waitMs, signal });
    return await Promise.race([answer, ...(db ? [refusal(db, messageId, you.address, signal)] : [])]);
  } catch (error) {
    if (stop.signal.aborted) {
      throw interrupted(`no longer waiting. The answer will come to the mailbox of ${you.address}.`);
    }
    if ((error as { code?: string }).code !== 'NO_ANSWER') throw error;
    const fate = db ? await fateOf(db, messageId) : null;
    throw new CliError(noAnswer(waitMs, fate, (error as Error).cause), 1, { cause: error });
  } finally {
    done.abort();
  }
}

/** Rejects when the bot drops the mail; until then, and if it takes it, never settles. */
async function refusal(db: Db, messageId: string, from: string, signal: AbortSignal): Promise<never> {
  const never = new Promise<never>(() => {});
  for (;;) {
    const waited = await pause(LOOK_EVERY_MS, true, { signal }).catch(() => false);
    if (!waited) return never;
    const fate = await fateOf(db, messageId);
    if (fate?.outcome !== 'dropped' && fate?.outcome !== 'failed') continue;
    const toDo = /not allowed/.test(fate.reason ?? '') ? `\nTo let them in: threadbox user add ${from}` : '';
    throw new CliError(`the bot got the mail and does not answer it: ${fate.reason ?? 'no reason'}.${toDo}`);
  }
}

/** The answer is what counts: a database that is away keeps nobody from waiting for it. */
async function fateOf(db: Db, messageId: string): Promise<MessageFate | null> {
  return messageFate(db, messageId).catch(() => null);
}

function noAnswer(waitMs: number, fate: MessageFate | null, cause: unknown): string {
  const told = `no answer within ${waitMs / 1000} s`;
  if (fate?.commandState === 'running')
    return `${told}: the command still runs. It is answered when it ends.`;
  if (fate?.commandState === 'queued') return `${told}: the command waits for its turn.`;
  if (fate) return `${told}, though the bot has taken the mail. Its log tells more.`;
  const trouble = cause instanceof Error ? `\nThe mailbox: ${cause.message}` : '';
  return `${told}, and the bot has not recorded the mail. Does it run, and what does its log say?${trouble}`;
}

function printAnswer({ answer, tookMs }: Exchange, sent: string, options: Options): void {
  const { messageId, subject, text, attachments } = answer;
  if (options['json']) {
    printJson({ sent, messageId, subject, text, attachments, tookMs: Math.round(tookMs) });
    return;
  }
  console.log(`Subject: ${visibleLine(subject)}\n\n${visibleText(text).trimEnd()}`);
  for (const { fileName, sizeBytes } of attachments) {
    console.log(`\nAttached: ${visibleLine(fileName)}, ${sizeBytes} bytes`);
  }
}

/** For somebody who watches; what reads our output is not bothered. */
function say(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`${text}\n`);
}
