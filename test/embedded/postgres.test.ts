import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { chmod, mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Client } from 'pg';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { until } from '../support/until.ts';
import { atEnd, killAll, makeDataDir, processesOf, readableLog, silent } from './data-dir.ts';

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(sql)).rows as Record<string, unknown>[];
  } finally {
    await client.end();
  }
}

test('data, address and password are the same after a restart, which is quick', async (t) => {
  const dir = await makeDataDir(t);
  const started = async () => {
    const startedAt = performance.now();
    const postgres = await startPostgres({ dir, log: silent });
    return { ...postgres, tookMs: performance.now() - startedAt };
  };
  const first = await started();
  atEnd(t, first.close);
  await query(first.url, 'CREATE TABLE kept (text text)');
  await query(first.url, `INSERT INTO kept VALUES ('äöü')`);
  await first.close();
  assert.deepEqual(await processesOf(dir), []);

  const again = await started();
  atEnd(t, again.close);
  // A tenth of a first start, which makes its files.
  assert.ok(again.tookMs < first.tookMs, `${again.tookMs} ms of ${first.tookMs} ms`);
  assert.equal(again.url, first.url);
  assert.deepEqual(await query(again.url, 'SELECT upper(text) AS text FROM kept'), [{ text: 'ÄÖÜ' }]);
});

test('only the password opens it, only on this machine, and nobody else can read it', async (t) => {
  const dir = await makeDataDir(t);
  const { url, close } = await startPostgres({ dir, log: silent });
  atEnd(t, close);
  const wrong = new URL(url);
  wrong.password = 'wrong';
  await assert.rejects(query(wrong.href, 'SELECT 1'), { code: '28P01' });
  assert.deepEqual(await query(url, 'SHOW listen_addresses'), [{ listen_addresses: '127.0.0.1' }]);
  assert.equal((await stat(join(dir, 'access.json'))).mode & 0o777, 0o600);
  assert.equal((await stat(join(dir, 'data'))).mode & 0o777, 0o700);
});

test('it runs below a directory that only its owner may enter', async (t) => {
  const dir = join(await makeDataDir(t, 0o700), 'postgres');
  const first = await startPostgres({ dir, log: silent });
  atEnd(t, first.close);
  assert.deepEqual(await query(first.url, 'SELECT 1 AS one'), [{ one: 1 }]);
  await first.close();
});

test('a directory that was opened or closed to others meanwhile does no harm', async (t) => {
  const parent = await makeDataDir(t, 0o711);
  const dir = join(parent, 'postgres');
  for (const mode of [0o711, 0o700, 0o711]) {
    await chmod(parent, mode);
    const { url, close } = await startPostgres({ dir, log: silent });
    atEnd(t, close);
    await query(url, 'CREATE TABLE IF NOT EXISTS kept (number int)');
    await close();
  }
});

test('one that is killed is started again with its data, at the same address, and said once', async (t) => {
  const dir = await makeDataDir(t);
  const { log, lines } = readableLog();
  const { url, close } = await startPostgres({ dir, log });
  atEnd(t, close);
  await query(url, 'CREATE TABLE kept (number int)');
  await query(url, 'INSERT INTO kept VALUES (7)');
  const session = new Client({ connectionString: url });
  session.on('error', () => undefined);
  await session.connect();
  await killAll(dir);

  const rows = await until(() => query(url, 'SELECT number FROM kept').catch(() => null));
  assert.deepEqual(rows, [{ number: 7 }]);
  await until(() => lines.length >= 2);
  assert.deepEqual(
    lines.map(({ level, reason }) => ({ level, why: /SIGKILL/.exec(reason ?? '')?.[0] })),
    [
      { level: 40, why: 'SIGKILL' },
      { level: 30, why: undefined },
    ],
  );
});

test('a port that somebody else has by now is replaced by another', async (t) => {
  const dir = await makeDataDir(t);
  const first = await startPostgres({ dir, log: silent });
  atEnd(t, first.close);
  await first.close();
  const squatter = createServer().listen(Number(new URL(first.url).port), '127.0.0.1');
  await once(squatter, 'listening');
  atEnd(t, () => squatter.close());
  const again = await startPostgres({ dir, log: silent });
  atEnd(t, again.close);
  assert.notEqual(again.url, first.url);
  assert.equal(new URL(again.url).password, new URL(first.url).password);
  await query(again.url, 'SELECT 1');
});

test('a first start that was cut short is made good by the next', async (t) => {
  const dir = await makeDataDir(t);
  await mkdir(join(dir, 'data.new'));
  await writeFile(join(dir, 'data.new/PG_VERSION'), '18\n');
  const { url, close } = await startPostgres({ dir, log: silent });
  atEnd(t, close);
  assert.deepEqual(await query(url, 'SELECT 1 AS one'), [{ one: 1 }]);
});

test('one that cannot start says why', async (t) => {
  const dir = await makeDataDir(t);
  const first = await startPostgres({ dir, log: silent });
  atEnd(t, first.close);
  await first.close();
  await writeFile(join(dir, 'data/postgresql.conf'), 'shared_bufers = lots\n');
  await assert.rejects(
    startPostgres({ dir, log: silent }),
    /unrecognized configuration parameter "shared_bufers"/,
  );
});
