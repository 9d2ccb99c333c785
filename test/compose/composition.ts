import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Correspondent } from '../../src/cli/write-to-bot.ts';
import { closeAfter, closeAll } from '../support/close-all.ts';
import { engine } from '../support/engine.ts';
import { startPrivateEngine, type PrivateEngine } from '../support/private-engine.ts';
import { until } from '../support/until.ts';
import { fetchComposeV2 } from './compose-v2.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const images = fileURLToPath(new URL('images', import.meta.url));
export const PROJECT = 'threadbox';
const BASE = 'threadbox-test-base';
/** A build of an image, or what is pulled for it. */
const STEP_LIMIT_MS = 900_000;

/** What nobody may see who looks at the containers. */
export const passwords = { bot: 'bot/p@ss#w0rd', alice: 'alice-pass', mallory: 'mallory-pass' } as const;

/** One of the two programs that read docker-compose.yml. */
export type Compose = {
  compose: (...words: string[]) => Promise<string>;
  /** `threadbox ...` in the bot's container. */
  threadbox: (...words: string[]) => Promise<string>;
  /** What it has warned of until now. */
  warnings: string[];
};

/** docker-compose.yml on an engine of the test's own, with images built from Debian's packages, and nothing from a registry. */
export type Composition = {
  machine: PrivateEngine;
  dataDir: string;
  /** docker-compose 1.29. */
  first: Compose;
  /** `docker compose`. */
  second: Compose;
  /** All that have a health check say that they are well. */
  untilHealthy: () => Promise<void>;
  /** One of the people with a mailbox, who writes and reads from outside. */
  person: (name: 'alice' | 'mallory') => Correspondent;
  close: () => Promise<void>;
};

export async function openComposition(): Promise<Composition> {
  const closers: (() => unknown)[] = [];
  const close = (): Promise<void> => closeAll(closers);
  try {
    // First, as it is the one thing that may be missing, and takes seconds.
    const dockerConfig = await fetchComposeV2();
    const dir = await mkdtemp(join(tmpdir(), 'tb-compose-'));
    closers.push(() => rm(dir, { recursive: true, force: true }));
    const { holderId, address } = await leadOut(closers);
    const machine = await startPrivateEngine({ onNetworkOf: await processOf(holderId) });
    closers.push(machine.close);
    const dataDir = join(dir, 'data');
    const env = {
      ...process.env,
      DOCKER_HOST: machine.dockerHost,
      COMPOSE_PROJECT_NAME: PROJECT,
      DATA_DIR: dataDir,
      SECRETS_DIR: join(dir, 'secrets'),
      DOCKER_SOCKET: machine.dockerHost.slice('unix://'.length),
      CONTAINER_IMAGE: machine.image,
      NODE_IMAGE: BASE,
      DEBIAN_IMAGE: BASE,
      POSTGRES_IMAGE: 'threadbox-test-postgres',
      REDIS_IMAGE: 'threadbox-test-redis',
      // The engine's machine is reached by its address.
      MAIL_LISTEN: '0.0.0.0',
    };
    const on =
      (env: NodeJS.ProcessEnv) =>
      (command: string, ...args: string[]) =>
        run(command, args, { cwd: dir, env, timeout: STEP_LIMIT_MS, maxBuffer: 64 << 20 });
    // The engine's own builder, as docker-compose 1.29 has it; that of Compose v2 is BuildKit.
    const onFirst = on({ ...env, DOCKER_BUILDKIT: '0' });
    await buildImages(dir, onFirst);
    await layOut(dir, onFirst);
    return {
      machine,
      dataDir,
      first: composeBy((...words) => onFirst('docker-compose', ...words)),
      second: composeBy((...words) =>
        on({ ...env, DOCKER_CONFIG: dockerConfig })('docker', 'compose', ...words),
      ),
      untilHealthy: () => untilHealthy(machine),
      person: (who) => personAt(address, who),
      close,
    };
  } catch (error) {
    return await closeAfter(error, close);
  }
}

/** A container for its network: it leads out, as images are built of packages. An engine of npm's own has no other one. */
async function leadOut(closers: (() => unknown)[]): Promise<{ holderId: string; address: string }> {
  const name = `threadbox-compose-${randomUUID().slice(0, 8)}`;
  const network = await engine.createNetwork({ Name: name });
  closers.push(() => network.remove());
  const holder = await engine.createContainer({
    Image: process.env['CONTAINER_IMAGE'] ?? 'threadbox-workspace:1',
    Cmd: ['sleep', 'infinity'],
    HostConfig: { Init: true, NetworkMode: name },
  });
  closers.push(() => holder.remove({ force: true }));
  await holder.start();
  const { NetworkSettings } = await holder.inspect();
  return { holderId: holder.id, address: NetworkSettings.Networks[name]?.IPAddress ?? '' };
}

function composeBy(run: (...words: string[]) => Promise<{ stdout: string; stderr: string }>): Compose {
  const warnings: string[] = [];
  const compose = async (...words: string[]): Promise<string> => {
    const { stdout, stderr } = await run(...words);
    // Of the program itself: what its builds print is not meant.
    warnings.push(...stderr.split('\n').filter((line) => /^WARN|\blevel=(?:warning|error)\b/.test(line)));
    return stdout;
  };
  return {
    compose,
    threadbox: (...words) => compose('exec', '-T', 'bot', 'threadbox', ...words),
    warnings,
  };
}

/** One of a container's, by the number it has here: an engine of npm's own counts from 1. */
async function processOf(containerId: string): Promise<number> {
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const groups = await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '');
    if (groups.includes(containerId)) return Number(pid);
  }
  throw new Error(`Expected a process of ${containerId} on this machine`);
}

type Run = (command: string, ...args: string[]) => Promise<{ stdout: string }>;

/** In place of those of registries. */
async function buildImages(dir: string, on: Run): Promise<void> {
  const context = join(dir, 'images');
  await mkdir(context);
  await on('sh', '-c', 'cp "$0"/* images/ && cp "$1" images/certificates.pem', images, CERTIFICATES);
  const registry = (await on('npm', 'config', 'get', 'registry')).stdout.trim();
  const build = (name: string) => {
    const file = join(context, `${name}.Dockerfile`);
    return on(
      'docker',
      'build',
      '-t',
      `threadbox-test-${name}`,
      '-f',
      file,
      '--build-arg',
      `REGISTRY=${registry}`,
      context,
    );
  };
  for (const name of ['base', 'postgres', 'redis']) await build(name);
}

const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt';

/** The project as somebody has it who has cloned it, and done what the first lines of docker-compose.yml say. */
async function layOut(dir: string, on: Run): Promise<void> {
  const tracked = [
    'Dockerfile',
    '.dockerignore',
    '.npmrc',
    'package.json',
    'package-lock.json',
    'docker-compose.yml',
  ];
  for (const name of tracked) await copyFile(join(root, name), join(dir, name));
  await on('sh', '-c', 'cp -r "$0"bin "$0"src "$0"migrations "$0"templates "$0"docker .', root);
  await on('sh', 'docker/make-secrets');
  const lines = [
    'COMPOSE_PROFILES=mail',
    'MAIL_DOMAIN=example.com',
    'BOT_ADDRESS=bot@example.com',
    'IMAP_URL=imap://bot%40example.com@dovecot?insecure-skip-verify=yes',
    'SMTP_URL=smtp://bot%40example.com@postfix?insecure-skip-verify=yes',
    'SENDER_AUTH=authentication-results',
    'TRUSTED_AUTHSERV_IDS=threadbox-mail',
  ];
  await writeFile(join(dir, '.env'), `${lines.join('\n')}\n`);
  for (const name of ['imap_password', 'smtp_password'])
    await writeFile(join(dir, 'secrets', name), `${passwords.bot}\n`);
  const users = Object.entries(passwords).map(([name, word]) => `${name}@example.com:${word}\n`);
  await writeFile(join(dir, 'secrets/mail_users'), users.join(''));
}

async function untilHealthy({ docker }: PrivateEngine): Promise<void> {
  await until(async () => {
    const containers = await docker.listContainers({ all: true });
    const ofProject = containers.filter(({ Labels }) => Labels['com.docker.compose.project'] === PROJECT);
    return ofProject.length > 0 && ofProject.every(({ Status }) => Status.includes('(healthy)'));
  }, 240_000);
}

function personAt(host: string, name: 'alice' | 'mallory'): Correspondent {
  const address = `${name}@example.com`;
  const server = { host, user: address, verifyCertificate: false };
  const password = passwords[name];
  return {
    address,
    imap: { server: { ...server, port: 993, tls: 'implicit' }, password },
    smtp: { server: { ...server, port: 587, tls: 'required' }, password },
  };
}
