import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Closers } from '../src/closers.ts';
import { DEFAULT_IMAGE } from '../src/config-schema.ts';
import { connectDocker, type Docker } from '../src/containers/client.ts';
import { removeInstallation } from '../src/containers/remove-installation.ts';
import { startEmbedded, type EmbeddedMail } from '../src/embedded/embedded.ts';
import { createLog } from '../src/log.ts';
import { installationId, migrate, openDatabase, type Db } from '../src/store/database.ts';
import { addRepository } from '../src/store/repositories.ts';
import { startGitUpstream } from '../test/support/git-upstream.ts';
import { startBot, type BotProcess } from './bot-process.ts';
import { sampleFiles } from './command.ts';
import { openPost, type Post } from './post.ts';
import { openRawDocker, type RawDocker } from './raw-docker.ts';
import { startSink, type Sink } from './sink.ts';

/** All that is measured and measured with. */
export type Rig = {
  bot: BotProcess;
  mail: EmbeddedMail;
  post: Post;
  sink: Sink;
  raw: RawDocker;
  docker: Docker;
  db: Db;
  installation: string;
  upstreamUrl: string;
  /** Ends when the bench is to end, or the bot has died. */
  signal: AbortSignal;
};

/**
 * The embedded parts here, the bot as a process of its own that is pointed at them, and the sink for its answers.
 *
 * @param repositories names to register, all of one upstream
 * @param closers what was started, also when this throws
 * @param more settings of the bot
 */
export async function startRig(
  repositories: readonly string[],
  closers: Closers,
  signal: AbortSignal,
  more: Readonly<Record<string, string>> = {},
): Promise<Rig> {
  const dir = await mkdtemp(join(tmpdir(), 'threadbox-bench-'));
  closers.add('the data', () => rm(dir, { recursive: true, force: true }));
  const mirrorsDir = join(dir, 'mirrors');
  await mkdir(mirrorsDir);
  const upstream = await startGitUpstream(sampleFiles());
  closers.add('the git server', () => upstream.close());
  const embedded = await startEmbedded({
    dataDir: join(dir, 'parts'),
    want: { postgres: true, redis: true, mail: true },
    log: createLog('warn'),
  });
  closers.add('the embedded parts', () => embedded.close());
  const mail = embedded.mail as EmbeddedMail;

  const dockerHost = process.env['DOCKER_HOST'] ?? 'unix:///var/run/docker.sock';
  const image = process.env['CONTAINER_IMAGE'] ?? DEFAULT_IMAGE;
  const docker = connectDocker(dockerHost);
  const db = openDatabase(embedded.databaseUrl as string);
  closers.add('PostgreSQL', () => db.destroy());
  await migrate(db);
  const installation = await installationId(db);
  for (const name of repositories) {
    await addRepository(db, { name, url: upstream.url, branch: null, threadBy: null });
  }

  const sink = await startSink();
  closers.add('the sink', () => sink.close());
  const post = await openPost(mail);
  closers.add('the post', () => post.close());
  const instance = `raw-${installation}`;
  closers.add('the containers', () => removeInstallation(docker, instance));
  const raw = await openRawDocker(docker, { image, mirrorsDir, instance, url: upstream.url });
  // Added first, so that it comes after the bot's end.
  closers.add('the containers of the bot', () => removeInstallation(docker, installation));
  const bot = await startBot(
    {
      IMAP_URL: `imap://${encodeURIComponent(mail.botAddress)}:${mail.password}@127.0.0.1:${mail.imapPort}`,
      SMTP_URL: sink.url,
      BOT_ADDRESS: mail.botAddress,
      // The embedded mail server has checked it.
      SENDER_AUTH: 'none',
      I_UNDERSTAND_ANYONE_CAN_RUN_COMMANDS: 'yes',
      ALLOWED_SENDERS: '*@example.com',
      DATABASE_URL: embedded.databaseUrl as string,
      REDIS_URL: embedded.redisUrl as string,
      DOCKER_HOST: dockerHost,
      CONTAINER_IMAGE: image,
      // All its threads keep their containers.
      CONTAINER_MAX_PER_USER: '1000',
      HOST_MAX_CONTAINERS: '1000',
      // And send what they like.
      MAX_COMMANDS_PER_HOUR: '1000000',
      MAX_COMMANDS_PER_HOUR_PER_SENDER: '1000000',
      MAX_COMMANDS_PER_HOUR_PER_THREAD: '1000000',
      MAX_MAILS_PER_HOUR_PER_ADDRESS: '1000000',
      DATA_DIR: join(dir, 'bot'),
      ...more,
    },
    join(dir, 'bot.log'),
  );
  closers.add('the bot', () => bot.close());
  return {
    bot,
    mail,
    post,
    sink,
    raw,
    docker,
    db,
    installation,
    upstreamUrl: upstream.url,
    signal: AbortSignal.any([signal, bot.died]),
  };
}
