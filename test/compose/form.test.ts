import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { settingNames } from '../../src/config-schema.ts';

// How docker-compose.yml is read; `npm run test:compose` starts it.

const run = promisify(execFile);
const root = new URL('../../', import.meta.url);

type Service = {
  image: string;
  build?: { context: string; dockerfile?: string };
  environment?: Record<string, string>;
  ports?: string[];
  networks: Record<string, null>;
  secrets?: { source: string }[];
  healthcheck?: { test: string[] };
  profiles?: string[];
  restart: string;
  mem_limit: string;
  pids_limit: number;
  security_opt: string[];
  userns_mode?: string;
  logging: { options: Record<string, string> };
};
type Composition = {
  services: Record<string, Service>;
  secrets: Record<string, { file: string }>;
  networks: Record<string, { internal?: boolean }>;
};

let dir: string;
let all: Composition;
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'threadbox-form-'));
  await copyFile(new URL('docker-compose.yml', root), join(dir, 'docker-compose.yml'));
  await copyFile(new URL('.env.example', root), join(dir, '.env'));
  await mkdir(join(dir, 'docker/mail'), { recursive: true });
  // It prints YAML alone, which its own Python reads.
  const read = 'import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)';
  const script = 'docker-compose --profile mail config | python3 -c "$0"';
  const { stdout } = await run('bash', ['-o', 'pipefail', '-c', script, read], { cwd: dir });
  all = JSON.parse(stdout) as Composition;
});
after(() => rm(dir, { recursive: true, force: true }));

test('docker-compose 1.29 reads the composition, and each service is limited, watched and brought back', async () => {
  assert.deepEqual(Object.keys(all.services).toSorted(), ['bot', 'dovecot', 'postfix', 'postgres', 'redis']);
  for (const [name, service] of Object.entries(all.services)) {
    // Without that profile there is no mail server.
    assert.deepEqual(service.profiles ?? [], /^(?:dovecot|postfix)$/.test(name) ? ['mail'] : [], name);
    assert.equal(service.restart, 'unless-stopped', name);
    assert.ok(service.mem_limit && service.pids_limit, name);
    assert.deepEqual(service.security_opt, ['no-new-privileges:true'], name);
    // Remapped, it could not read its passwords.
    assert.equal(service.userns_mode, 'host', name);
    assert.equal(service.logging.options['max-size'], '10m', name);
    const { build } = service;
    const dockerfile = build && join(build.context.replace(dir, '/'), build.dockerfile ?? 'Dockerfile');
    const image = dockerfile ? await readFile(new URL(`.${dockerfile}`, root), 'utf8') : '';
    assert.ok(service.healthcheck ?? image.includes('\nHEALTHCHECK '), `${name} is not watched`);
  }
});

test('its passwords are in files, and what the bot is set by are settings', () => {
  const words = new Set([
    ...settingNames,
    'POSTGRES_USER',
    'POSTGRES_DB',
    'POSTGRES_PASSWORD_FILE',
    'MAIL_DOMAIN',
  ]);
  for (const { environment = {}, secrets = [] } of Object.values(all.services)) {
    for (const [name, value] of Object.entries(environment)) {
      assert.ok(words.has(name), name);
      assert.doesNotMatch(value, /:\/\/[^@/]*:[^@/]+@/);
      if (!name.endsWith('_PASSWORD_FILE')) continue;
      assert.ok(
        secrets.some(({ source }) => value === `/run/secrets/${source}`),
        name,
      );
    }
  }
  for (const { file } of Object.values(all.secrets)) assert.equal(join(file, '..'), join(dir, 'secrets'));
});

test('PostgreSQL and Redis are reached by the bot alone, and nothing beyond the machine unless it is said', () => {
  assert.equal(all.networks['internal']?.internal, true);
  const onInternal = Object.entries(all.services).filter(([, { networks }]) => 'internal' in networks);
  assert.deepEqual(onInternal.map(([name]) => name).toSorted(), ['bot', 'postgres', 'redis']);
  for (const name of ['postgres', 'redis'])
    assert.deepEqual(all.services[name]?.networks, { internal: null });
  const ports = Object.values(all.services).flatMap((service) => service.ports ?? []);
  assert.equal(ports.length, 3);
  assert.ok(
    ports.every((port) => port.startsWith('127.0.0.1:')),
    ports.join(),
  );
});

test('make-secrets makes what is missing, for its owner alone, and leaves what is there', async () => {
  const script = new URL('docker/make-secrets', root).pathname;
  const names = Object.keys(all.secrets);
  await run('sh', [script], { cwd: dir });
  const texts = () => Promise.all(names.map((name) => readFile(join(dir, 'secrets', name), 'utf8')));
  const made = await texts();
  assert.match(made[names.indexOf('postgres_password')] ?? '', /^[0-9a-f]{64}$/);
  await run('sh', [script], { cwd: dir });
  assert.deepEqual(await texts(), made);
  const { stdout } = await run('stat', ['-c', '%a', join(dir, 'secrets')]);
  assert.equal(stdout.trim(), '700');
});
