import assert from 'node:assert/strict';
import { readdir, stat } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { SquidProxy } from '../../src/embedded/proxy.ts';
import { readNetwork, allowedHosts } from '../../src/network-choice.ts';
import { atEnd, makeDataDir, silent } from './data-dir.ts';

/** The longest list that `threadbox repo set` takes, of the longest names. */
function longestList(): string[] {
  const label = (text: string, length: number): string => text.padEnd(length, 'x');
  const name = (index: number): string =>
    `*.${label(`h${index}-`, 63)}.${label('a', 63)}.${label('b', 63)}.${label('c', 55)}.com`;
  const read = readNetwork(`allow:${Array.from({ length: 100 }, (_, index) => name(index)).join(',')}`);
  assert.ok('network' in read, JSON.stringify(read));
  const hosts = allowedHosts(read.network) ?? [];
  assert.deepEqual([hosts.length, hosts[0]?.length], [100, 253]);
  return hosts;
}

/** What a client is told for a host: 403 where no list of its port has it. */
async function statusOf(port: number, host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const request = get(
      { host: '127.0.0.1', port, path: `http://${host}/`, headers: { host }, agent: false },
      (response) => {
        response.resume();
        resolve(response.statusCode);
      },
    );
    request.once('error', reject);
  });
}

test('the longest list is served; a configuration that Squid does not take never comes in the place of the one in use', async (t) => {
  const dir = await makeDataDir(t);
  // As careful operators have it; the proxy has to read its files all the same.
  const umask = process.umask(0o077);
  atEnd(t, () => void process.umask(umask));
  const proxy = new SquidProxy({ dir, nameservers: ['127.0.0.1'], mayReach: [], log: silent });
  atEnd(t, () => proxy.close());
  const list = { repositoryId: 1, hosts: longestList(), gateway: '127.0.0.1' };
  await proxy.serve([list], '127.0.0.1');
  const port = await proxy.port();
  assert.equal(await statusOf(port, 'elsewhere.example'), 403);

  const bad = { repositoryId: 2, hosts: ['x.example'], gateway: 'no address' };
  await assert.rejects(
    proxy.serve([list, bad], '127.0.0.1'),
    /^Error: the proxy does not take its configuration: http_port: missing Port/,
  );
  assert.ok(proxy.isServing());
  await proxy.serve([{ ...list, hosts: ['y.example'] }], '127.0.0.1');
  assert.equal(await statusOf(port, 'elsewhere.example'), 403);

  for (const name of ['.', ...(await readdir(dir))]) {
    const { uid, mode } = await stat(join(dir, name));
    assert.deepEqual([uid, mode & 0o022], [process.getuid?.(), 0], `${name} is for its reader to change`);
  }
});
