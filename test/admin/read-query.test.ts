import assert from 'node:assert/strict';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { test } from 'node:test';
import { SQL_LIMITS } from '../../src/admin/run-query.ts';
import { isReaderAway, readQuery } from '../../src/store/read-query.ts';

/** In PostgreSQL's protocol: you are let in, and I am ready for a query. */
const READY = Buffer.from('5200000008000000005a0000000549', 'hex');

test('a server that lets one in and then says nothing is not waited for', async (t) => {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('data', () => socket.write(READY)).on('error', () => undefined);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const databaseUrl = `postgres://reader@127.0.0.1:${(server.address() as AddressInfo).port}/threadbox`;
  const startedAt = performance.now();
  await assert.rejects(
    readQuery({ databaseUrl, limits: SQL_LIMITS, limitMemory: null }, 'SELECT 1', []),
    isReaderAway,
  );
  // Its own limit, and what the machine takes besides.
  assert.ok(performance.now() - startedAt < SQL_LIMITS.timeoutMs + 30_000);
});
