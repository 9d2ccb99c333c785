import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startApp, type App, type Overrides } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import { removeInstallation } from '../../src/containers/remove-installation.ts';
import { startPostgres } from '../../src/embedded/postgres.ts';
import type { Log } from '../../src/log.ts';
import { parseMessage, type ParsedMessage } from '../../src/mail/parse.ts';
import { composeUserMail } from '../../src/mail/user-mail.ts';
import { addRepository } from '../../src/store/repositories.ts';
import { closeAll } from './close-all.ts';
import { collectedLog, type LogLine } from './collected-log.ts';
import { startDovecot, type Dovecot } from './dovecot.ts';
import { engine } from './engine.ts';
import { startEngineProxy, type EngineProxy } from './engine-proxy.ts';
import { freePort, startGitUpstream, type GitUpstream } from './git-upstream.ts';
import { layPostgres } from './laid-postgres.ts';
import { SMTP_PASSWORD, startScriptedSmtp, type ScriptedSmtp } from './scripted-smtp.ts';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts';
import { until } from './until.ts';

/** The bot amid parts that can each be taken away; its Redis never answers at all. */
export type FaultStage = {
  app: App;
  lines: LogLine[];
  dovecot: Dovecot;
  smtp: Away & { behave: ScriptedSmtp['behave'] };
  postgres: Away;
  /** All that the bot and its PostgreSQL say to each other passes here. */
  wire: TcpProxy;
  engine: EngineProxy;
  upstream: GitUpstream;
  /** Puts a mail as a user's client writes it into the bot's mailbox. @returns its Message-ID */
  send: (
    from: string,
    subject: string,
    body: string,
    headers?: Readonly<Record<string, string>>,
  ) => Promise<string>;
  deliver: (raw: string | Buffer) => Promise<void>;
  /** Everything the SMTP server has taken in answer to a mail. */
  answersTo: (messageId: string) => Promise<ParsedMessage[]>;
  /** Waits for the first of them. */
  answerTo: (messageId: string) => Promise<ParsedMessage>;
  close: () => Promise<void>;
};

export type Away = { stop: () => Promise<void>; start: () => Promise<void> };

const BOT = 'bot@threadbox.test';

export async function startFaultStage({
  env = {},
  overrides = {},
}: { env?: Readonly<Record<string, string>>; overrides?: Overrides } = {}): Promise<FaultStage> {
  const closers: (() => Promise<unknown>)[] = [];
  const close = (): Promise<void> => closeAll(closers);
  const { log, lines } = collectedLog();
  try {
    const dir = await mkdtemp(join(tmpdir(), 'threadbox-faults-'));
    closers.push(() => rm(dir, { recursive: true, force: true }));
    const upstream = await startGitUpstream();
    closers.push(() => upstream.close());
    const dovecot = await startDovecot();
    closers.push(() => dovecot.close());
    const postgres = await stoppablePostgres(join(dir, 'postgres'), log);
    closers.push(() => postgres.stop());
    const databaseUrl = new URL(postgres.url);
    const wire = await startTcpProxy(Number(databaseUrl.port));
    closers.push(() => wire.close());
    databaseUrl.port = String(wire.port);
    const smtp = await stoppableSmtp();
    closers.push(() => smtp.stop());
    const engineProxy = await startEngineProxy();
    closers.push(() => engineProxy.close());

    const local = '127.0.0.1';
    const { config, secrets } = loadConfig({
      IMAP_URL: `imap://${encodeURIComponent(BOT)}:${dovecot.password}@${local}:${dovecot.imapPort}?insecure-skip-verify=yes`,
      SMTP_URL: `smtp://bot:${encodeURIComponent(SMTP_PASSWORD)}@${local}:${smtp.port}`,
      BOT_ADDRESS: BOT,
      // Who sent it is not what these tests are about.
      SENDER_AUTH: 'none',
      I_UNDERSTAND_ANYONE_CAN_RUN_COMMANDS: 'yes',
      DATABASE_URL: databaseUrl.href,
      REDIS_URL: `redis://${local}:${await freePort()}`,
      DOCKER_HOST: engineProxy.dockerHost,
      CONTAINER_IMAGE: process.env['CONTAINER_IMAGE'],
      WORKSPACE_LIMIT: 'off',
      // No thread has to wait for another's container to be saved and removed, while the engine is away of all times.
      CONTAINER_MAX_PER_USER: '50',
      HOST_MAX_CONTAINERS: '50',
      ALLOWED_SENDERS: '*@example.com',
      DATA_DIR: join(dir, 'data'),
      HTTP_LISTEN: 'off',
      ...env,
    });
    const app = await startApp({
      config,
      secrets,
      log,
      signal: new AbortController().signal,
      overrides: {
        smtpLimits: { connectTimeoutMs: 30_000, sendTimeoutMs: 30_000, lastWordTimeoutMs: 6_000 },
        ...overrides,
      },
    });
    closers.push(() => removeInstallation(engine, app.installation));
    closers.push(() => app.close());
    await addRepository(app.db, { name: 'sample', url: upstream.url, branch: null, threadBy: null });

    const answersTo = async (messageId: string): Promise<ParsedMessage[]> => {
      const answers = smtp.taken().filter(({ source }) => source.includes(`In-Reply-To: ${messageId}`));
      return Promise.all(answers.map(({ source }) => parseMessage(Buffer.from(source))));
    };
    const deliver = (raw: string | Buffer): Promise<void> => dovecot.deliver(BOT, raw);
    return {
      app,
      lines,
      dovecot,
      smtp,
      postgres,
      wire,
      engine: engineProxy,
      upstream,
      deliver,
      async send(from, subject, body, headers = {}) {
        const { raw, messageId } = await composeUserMail({ from, to: BOT, subject, body });
        const more = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
        await deliver(Buffer.concat([Buffer.from(more.join('')), raw]));
        return messageId;
      },
      answersTo,
      answerTo: (messageId) => until(async () => (await answersTo(messageId))[0]),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

export async function stoppablePostgres(dir: string, log: Log): Promise<Away & { url: string }> {
  await layPostgres(dir);
  let running = await startPostgres({ dir, log });
  return {
    url: running.url,
    stop: () => running.close(),
    async start() {
      running = await startPostgres({ dir, log });
    },
  };
}

export async function stoppableSmtp() {
  const port = await freePort();
  let running = await startScriptedSmtp(port);
  const takenBefore: ScriptedSmtp['taken'] = [];
  return {
    port,
    taken: () => [...takenBefore, ...running.taken],
    behave: (...next: Parameters<ScriptedSmtp['behave']>) => running.behave(...next),
    stop: () => running.close(),
    async start() {
      takenBefore.push(...running.taken);
      running = await startScriptedSmtp(port);
    },
  };
}
