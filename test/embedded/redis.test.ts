import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { Redis } from 'ioredis';
import { startRedis } from '../../src/embedded/redis.ts';
import { until } from '../support/until.ts';
import { atEnd, killAll, makeDataDir, processesOf, readableLog, silent } from './data-dir.ts';

function connect(test: TestContext, url: string): Redis {
  const client = new Redis(url);
  client.on('error', () => undefined);
  atEnd(test, () => client.disconnect());
  return client;
}

test('data, address and password are the same after a restart', async (t) => {
  const dir = await makeDataDir(t);
  const first = await startRedis({ dir, log: silent });
  atEnd(t, first.close);
  await connect(t, first.url).set('container:state:x', 'saved');
  await first.close();
  assert.deepEqual(await processesOf(dir), []);
  const again = await startRedis({ dir, log: silent });
  atEnd(t, again.close);
  assert.equal(again.url, first.url);
  assert.equal(await connect(t, again.url).get('container:state:x'), 'saved');
});

test('only the password opens it, and the password is not on its command line', async (t) => {
  const dir = await makeDataDir(t);
  const { url, close } = await startRedis({ dir, log: silent });
  atEnd(t, close);
  const { port, password } = new URL(url);
  await assert.rejects(connect(t, `redis://127.0.0.1:${port}`).get('x'), /NOAUTH/);
  for (const pid of await processesOf(dir)) {
    assert.ok(!(await readFile(`/proc/${pid}/cmdline`, 'utf8')).includes(password));
  }
});

test('it runs below a directory that only its owner may enter', async (t) => {
  const dir = join(await makeDataDir(t, 0o700), 'a "quoted" name', 'redis');
  const { url, close } = await startRedis({ dir, log: silent });
  atEnd(t, close);
  assert.equal(await connect(t, url).ping(), 'PONG');
});

test('one that is killed is started again with its data, at the same address', async (t) => {
  const dir = await makeDataDir(t);
  const { log, lines } = readableLog();
  const { url, close } = await startRedis({ dir, log });
  atEnd(t, close);
  const client = connect(t, url);
  await client.set('key', 'value');
  await killAll(dir);
  assert.equal(await client.get('key'), 'value');
  await until(() => lines.length >= 2);
  assert.deepEqual(
    lines.map(({ level }) => level),
    [40, 30],
  );
});

test('while its port is taken after a crash it is tried again, and closing does not wait for that', async (t) => {
  const dir = await makeDataDir(t);
  const { url, close } = await startRedis({ dir, log: silent });
  atEnd(t, close);
  const port = Number(new URL(url).port);
  const squatter = createServer();
  atEnd(t, () => squatter.close());
  await until(async () => {
    // Where it was quicker, it is killed again.
    await killAll(dir);
    squatter.listen(port, '127.0.0.1');
    return await once(squatter, 'listening').catch(() => null);
  });
  // Whoever waited for that would wait for ever.
  await close();
  assert.deepEqual(await processesOf(dir), []);
});
