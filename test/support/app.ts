import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startApp, type App, type Overrides } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import { embeddedCorrespondent, type Correspondent } from '../../src/cli/write-to-bot.ts';
import { removeInstallation } from '../../src/containers/remove-installation.ts';
import { addRepository } from '../../src/store/repositories.ts';
import { collectedLog, type LogLine } from './collected-log.ts';
import { startGitUpstream, type GitUpstream } from './git-upstream.ts';
import { layPostgres } from './laid-postgres.ts';

export const ALICE = 'alice@example.com';
export const BOB = 'bob@example.com';

export type TestApp = {
  /** The running bot; a new one after `restart`. */
  readonly app: App;
  upstream: GitUpstream;
  botAddress: string;
  dataDir: string;
  /** What the bot has logged so far. */
  lines: LogLine[];
  userAt: (address: string) => Correspondent;
  /** Stops the bot as SIGTERM would, and starts it again on the same data. */
  restart: () => Promise<void>;
  stop: () => Promise<void>;
  start: () => Promise<void>;
  close: () => Promise<void>;
};

/** The whole bot on private embedded parts, with the repository `sample` of a private git server; gone after `close`. */
export async function startTestApp({
  env = {},
  overrides = {},
}: { env?: Readonly<Record<string, string>>; overrides?: Overrides } = {}): Promise<TestApp> {
  const dataDir = await mkdtemp(join(tmpdir(), 'threadbox-app-'));
  const upstream = await startGitUpstream();
  const { config, secrets } = loadConfig({
    DOCKER_HOST: process.env['DOCKER_HOST'],
    CONTAINER_IMAGE: process.env['CONTAINER_IMAGE'],
    CONTAINER_RUNTIME: process.env['CONTAINER_RUNTIME'],
    ALLOWED_SENDERS: '*@example.com',
    DATA_DIR: dataDir,
    HTTP_LISTEN: 'off',
    // Workspaces are disks of their own where a test is about that: test/sandbox/workspace-size.test.ts.
    WORKSPACE_LIMIT: 'off',
    ...env,
  });
  const { log, lines } = collectedLog();
  let app: App | null = null;
  /** What is on the engine goes whatever becomes of the bot: the room for networks there is small. */
  let remove = async (): Promise<void> => {};

  async function start(): Promise<void> {
    const started = await startApp({ config, secrets, log, signal: new AbortController().signal, overrides });
    app = started;
    remove = () => removeInstallation(started.docker, started.installation);
  }
  async function stop(): Promise<void> {
    const stopped = running();
    app = null;
    await stopped.close();
  }
  function running(): App {
    if (!app) throw new Error('the bot is stopped');
    return app;
  }

  async function close(): Promise<void> {
    try {
      if (app) await stop();
    } finally {
      try {
        await remove();
      } finally {
        await upstream.close();
        await rm(dataDir, { recursive: true, force: true });
      }
    }
  }

  try {
    if (config.usesEmbeddedPostgres) await layPostgres(join(dataDir, 'postgres'));
    await start();
    await addRepository(running().db, { name: 'sample', url: upstream.url, branch: null, threadBy: null });
  } catch (error) {
    await close();
    throw error;
  }
  return {
    get app() {
      return running();
    },
    upstream,
    botAddress: config.botAddress,
    dataDir,
    lines,
    userAt: (address) => {
      const { mail } = running();
      if (!mail) throw new Error('no embedded mail server');
      return embeddedCorrespondent(address, mail);
    },
    async restart() {
      await stop();
      await start();
    },
    stop,
    start,
    close,
  };
}
