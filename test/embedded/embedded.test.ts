import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ImapFlow } from 'imapflow';
import { connectEmbedded, startEmbedded, type EmbeddedAddresses } from '../../src/embedded/embedded.ts';
import { until } from '../support/until.ts';
import { atEnd, makeDataDir, makeUsedDataDir, processesOf, readableLog, silent } from './data-dir.ts';

const ALL = { postgres: true, redis: true, mail: true };
const NONE = { postgres: false, redis: false, mail: false };

type Told = EmbeddedAddresses & { fault?: string };

/** Another process that starts what it is told to. Resolves when it has said how that went. */
async function startElsewhere(
  test: TestContext,
  ...args: string[]
): Promise<{ child: ChildProcess; told: Told }> {
  return await startWith(test, [], args);
}

async function startWith(
  test: TestContext,
  prefix: readonly string[],
  args: readonly string[],
): Promise<{ child: ChildProcess; told: Told }> {
  const starter = fileURLToPath(new URL('starter.ts', import.meta.url));
  const [file = '', ...rest] = [...prefix, process.execPath, starter, ...args];
  const child = spawn(file, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  atEnd(test, async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  });
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return { child, told: JSON.parse(line) as Told };
}

test('what is wanted is started, what is not is left out, and closing leaves nothing running', async (t) => {
  const dataDir = await makeDataDir(t);
  const all = await startEmbedded({ dataDir, want: ALL, log: silent });
  const { close, ...addresses } = all;
  atEnd(t, close);
  assert.deepEqual(Object.keys(addresses).toSorted(), ['databaseUrl', 'mail', 'redisUrl']);
  assert.equal(addresses.mail?.botAddress, 'bot@threadbox.test');
  await close();
  assert.deepEqual(await processesOf(dataDir), []);

  const { close: closeNothing, ...nothing } = await startEmbedded({ dataDir, want: NONE, log: silent });
  assert.deepEqual(nothing, {});
  atEnd(t, closeNothing);
});

test('a bot that is killed leaves nothing running, and the next one has everything as it was', async (t) => {
  const dataDir = await makeUsedDataDir(t);
  const { child, told } = await startElsewhere(t, dataDir, 'bot', 'postgres', 'redis', 'mail');
  assert.ok((await processesOf(dataDir)).length > 10);
  // Dovecot's sessions would like to outlive it.
  const reader = new ImapFlow({
    host: '127.0.0.1',
    port: told.mail?.imapPort ?? 0,
    secure: false,
    auth: { user: 'you@threadbox.test', pass: told.mail?.password ?? '' },
    logger: false,
  });
  reader.on('error', () => undefined);
  atEnd(t, () => reader.close());
  await reader.connect();
  await reader.mailboxOpen('INBOX');
  void reader.idle();
  child.kill('SIGKILL');
  await until(async () => (await processesOf(dataDir)).length === 0);

  const { close, ...addresses } = await startEmbedded({ dataDir, want: ALL, log: silent });
  atEnd(t, close);
  assert.deepEqual(addresses, told);
});

test('a bot that starts in the moment the one before was killed has everything as it was', async (t) => {
  const dataDir = await makeUsedDataDir(t);
  const { child, told } = await startElsewhere(t, dataDir, 'bot', 'postgres', 'redis', 'mail');
  child.kill('SIGKILL');
  await once(child, 'exit');
  const { close, ...addresses } = await startEmbedded({ dataDir, want: ALL, log: silent });
  atEnd(t, close);
  assert.deepEqual(addresses, told);
});

test('another process finds what a bot runs, and nothing when the bot is gone, however it went', async (t) => {
  const dataDir = await makeUsedDataDir(t);
  assert.equal(await connectEmbedded(dataDir), null);
  assert.equal(await connectEmbedded(join(dataDir, 'never-made')), null);
  const { child, told } = await startElsewhere(t, dataDir, 'bot', 'redis');
  assert.deepEqual(await connectEmbedded(dataDir), told);
  assert.deepEqual(Object.keys(told), ['redisUrl']);
  assert.equal((await stat(join(dataDir, 'running.json'))).mode & 0o777, 0o600);
  child.kill('SIGKILL');
  await once(child, 'exit');
  await until(async () => (await connectEmbedded(dataDir)) === null);
});

test('a second bot on one data directory is refused in plain words, also where it would start nothing', async (t) => {
  const dataDir = await makeUsedDataDir(t);
  const { child } = await startElsewhere(t, dataDir, 'bot', 'redis');
  for (const want of [ALL, NONE]) {
    await assert.rejects(
      startEmbedded({ dataDir, want, log: silent }),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, 'DATA_DIR_BUSY');
        assert.match(error.message, new RegExp(`process ${child.pid}\\b.*${dataDir}.*DATA_DIR`));
        return true;
      },
    );
  }
});

test('a bot waits for a command to be done with the directory, and is what others find then', async (t) => {
  const dataDir = await makeUsedDataDir(t);
  const { child, told } = await startElsewhere(t, dataDir, 'command', 'redis');
  const { log, lines } = readableLog();
  const starting = startEmbedded({ dataDir, want: { ...NONE, redis: true }, log });
  await until(() => lines.some(({ msg }) => msg.startsWith('waiting for another threadbox command')));
  // What a command runs is not for others: it will be gone before they are done.
  const found = connectEmbedded(dataDir);
  child.kill('SIGTERM');
  const { close, ...addresses } = await starting;
  atEnd(t, close);
  assert.deepEqual(addresses, told);
  assert.deepEqual(await found, addresses);
});

/** Root cannot count on another user being able to reach the project, but can look like one, without its powers. */
const asOrdinaryUser =
  process.getuid?.() === 0 ? ['unshare', '--user', '--map-user=65534', '--map-group=65534'] : [];

test('an ordinary user needs no root for any of it', async (t) => {
  const dataDir = await makeDataDir(t);
  const { child, told } = await startWith(t, asOrdinaryUser, [dataDir, 'bot', 'postgres', 'redis', 'mail']);
  assert.equal(told.fault, undefined);
  assert.deepEqual(await connectEmbedded(dataDir), told);
  child.kill('SIGTERM');
  await once(child, 'exit');
  assert.deepEqual(await processesOf(dataDir), []);
});

test('a data directory of another user is refused in plain words', async (t) => {
  const isRoot = process.getuid?.() === 0;
  const dataDir = isRoot ? await makeDataDir(t) : '/usr/lib/threadbox-data';
  if (isRoot) await chown(dataDir, 12_345, 12_345);
  const { told } = await startWith(t, asOrdinaryUser, [dataDir, 'bot', 'redis']);
  assert.match(told.fault ?? '', new RegExp(`Expected ${dataDir} to belong to the user .* set DATA_DIR`));
});

test('many at the same time, each in its own directory, do not disturb each other', async (t) => {
  const dirs = await Promise.all(Array.from({ length: 3 }, () => makeDataDir(t)));
  const all = await Promise.all(dirs.map((dataDir) => startEmbedded({ dataDir, want: ALL, log: silent })));
  atEnd(t, () => Promise.all(all.map(({ close }) => close())));
  const ports = all.flatMap(({ databaseUrl = '', redisUrl = '', mail }) => [
    new URL(databaseUrl).port,
    new URL(redisUrl).port,
    mail?.imapPort,
    mail?.smtpPort,
  ]);
  assert.equal(new Set(ports).size, 12);
});

test('when one part cannot start, the others are stopped and the reason is told', async (t) => {
  const dataDir = await makeUsedDataDir(t);
  await mkdir(join(dataDir, 'redis'));
  await writeFile(join(dataDir, 'redis/access.json'), '{ "port": ');
  await assert.rejects(
    startEmbedded({ dataDir, want: ALL, log: silent }),
    /Expected JSON in .*redis\/access\.json/,
  );
  assert.deepEqual(await processesOf(dataDir), []);
  const { close } = await startEmbedded({ dataDir, want: { ...NONE, mail: true }, log: silent });
  atEnd(t, close);
});
