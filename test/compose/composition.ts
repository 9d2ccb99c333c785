import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Correspondent } from '../../src/cli/write-to-bot.ts';
import { engine } from '../support/engine.ts';
import { startPrivateEngine, type PrivateEngine } from '../support/private-engine.ts';
import { until } from '../support/until.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const images = fileURLToPath(new URL('images', import.meta.url));
const PROJECT = 'threadbox';
const BASE = 'threadbox-test-base';
/** A build of an image, or what is pulled for it. */
const STEP_LIMIT_MS = 900_000;

/** What nobody may see who looks at the containers. */
export const passwords = { bot: 'bot/p@ss#w0rd', alice: 'alice-pass', mallory: 'mallory-pass' } as const;

/** docker-compose.yml on an engine of the test's own, with images built from Debian's packages, and nothing from a registry. */
export type Composition = {
  machine: PrivateEngine;
  dataDir: string;
  compose: (...words: string[]) => Promise<string>;
  /** `threadbox ...` in the bot's container. */
  threadbox: (...words: string[]) => Promise<string>;
  /** The container of a service, as the engine knows it. */
  idOf: (service: string) => Promise<string>;
  /** All that have a health check say that they are well. */
  untilHealthy: () => Promise<void>;
  /** One of the people with a mailbox, who writes and reads from outside. */
  person: (name: 'alice' | 'mallory') => Correspondent;
  close: () => Promise<void>;
};

export async function openComposition(): Promise<Composition> {
  const dir = await mkdtemp(join(tmpdir(), 'tb-compose-'));
  // A container for its network: it leads out, as images are built of packages. An engine of npm's own has no other one.
  const name = `threadbox-compose-${randomUUID().slice(0, 8)}`;
  const network = await engine.createNetwork({ Name: name });
  const holder = await engine.createContainer({
    Image: process.env['CONTAINER_IMAGE'] ?? 'threadbox-workspace:1',
    Cmd: ['sleep', 'infinity'],
    HostConfig: { Init: true, NetworkMode: name },
  });
  const removals: (() => Promise<unknown>)[] = [
    () => rm(dir, { recursive: true, force: true }),
    () => network.remove(),
    () => holder.remove({ force: true }),
  ];
  const close = async (): Promise<void> => {
    for (const remove of removals.toReversed()) await remove();
  };
  try {
    await holder.start();
    const { NetworkSettings } = await holder.inspect();
    const machine = await startPrivateEngine({ onNetworkOf: await processOf(holder.id) });
    removals.push(machine.close);
    const dataDir = join(dir, 'data');
    const env = {
      ...process.env,
      DOCKER_HOST: machine.dockerHost,
      // BuildKit looks for images in registries first.
      DOCKER_BUILDKIT: '0',
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
    const on = async (command: string, ...args: string[]): Promise<string> => {
      const options = { cwd: dir, env, timeout: STEP_LIMIT_MS, maxBuffer: 64 << 20 };
      return (await run(command, args, options)).stdout;
    };
    await buildImages(dir, on);
    await layOut(dir, on);
    const compose = (...words: string[]) => on('docker-compose', ...words);
    return {
      machine,
      dataDir,
      compose,
      threadbox: (...words) => compose('exec', '-T', 'bot', 'threadbox', ...words),
      idOf: async (service) => (await compose('ps', '-q', service)).trim(),
      untilHealthy: () => untilHealthy(machine),
      person: (who) => personAt(NetworkSettings.Networks[name]?.IPAddress ?? '', who),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** One of a container's, by the number it has here: an engine of npm's own counts from 1. */
async function processOf(containerId: string): Promise<number> {
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const groups = await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '');
    if (groups.includes(containerId)) return Number(pid);
  }
  throw new Error(`Expected a process of ${containerId} on this machine`);
}

/** In place of those of registries. */
async function buildImages(dir: string, on: (...words: [string, ...string[]]) => Promise<string>) {
  const context = join(dir, 'images');
  await mkdir(context);
  await on('sh', '-c', 'cp "$0"/* images/ && cp "$1" images/certificates.pem', images, CERTIFICATES);
  const registry = (await on('npm', 'config', 'get', 'registry')).trim();
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
async function layOut(dir: string, on: (...words: [string, ...string[]]) => Promise<string>) {
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
