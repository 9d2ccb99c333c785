import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startHttp, type HttpServer } from '../../src/http/server.ts';
import { collectedLog } from '../support/collected-log.ts';
import { until } from '../support/until.ts';

const { log, lines } = collectedLog();
const start = (port: number, host = '127.0.0.1'): HttpServer =>
  startHttp({ listen: { host, port }, log, now: () => new Date(), signal: new AbortController().signal });

test('while the bot waits for its parts it is alive and not ready; a port that is taken is waited for', async () => {
  const first = start(0);
  const { port } = await first.address;
  const get = async (path: string) => fetch(`http://127.0.0.1:${port}${path}`);
  assert.equal((await get('/healthz')).status, 200);
  for (const path of ['/readyz', '/', '/api/v1/containers/stats']) {
    const answer = await get(path);
    assert.equal(answer.status, 503, path);
    assert.match(
      ((await answer.json()) as { detail: string }).detail,
      /^The bot starts: it waits for its parts/,
    );
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
  }
  const second = start(port);
  await until(() => lines.some(({ msg }) => msg.startsWith('the API cannot listen; trying again')));
  await first.close();
  assert.equal((await second.address).port, port);
  assert.equal((await get('/healthz')).status, 200);
  await second.close();
  await first.close();
});

test('whoever asks too much waits; that it lives is told all the same', async () => {
  // Its clock stands still: nothing grows back.
  const at = new Date();
  const signal = new AbortController().signal;
  const server = startHttp({ listen: { host: '127.0.0.1', port: 0 }, log, now: () => at, signal });
  const { port } = await server.address;
  const get = async (path: string) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`);
    await answer.text();
    return answer;
  };
  for (let batch = 0; batch < 50; batch += 1) {
    const answers = await Promise.all(Array.from({ length: 10 }, () => get('/nowhere')));
    assert.ok(answers.every(({ status }) => status === 503));
  }
  const refused = await get('/metrics');
  assert.deepEqual([refused.status, refused.headers.get('retry-after')], [429, '1']);
  assert.equal((await get('/healthz')).status, 200);
  await server.close();
});

test('one whose parts are not all well is alive and not ready, and says of each how it is', async () => {
  const server = start(0);
  const { port } = await server.address;
  const parts = { imap: { isReady: false, detail: 'nothing was heard for 151 s', lastHeardAt: null } };
  const readiness = () => Promise.resolve({ isReady: false, at: new Date(), parts });
  server.attach({ config: { adminAddresses: [] }, readiness } as never);
  const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
  assert.equal(answer.status, 503);
  const told = (await answer.json()) as { isReady: boolean; parts: unknown };
  assert.deepEqual([told.isReady, told.parts], [false, parts]);
  assert.equal((await fetch(`http://127.0.0.1:${port}/healthz`)).status, 200);
  await server.close();
});

test('whoever opens it beyond this machine is told what that means', async () => {
  const isWarned = () => lines.some(({ msg }) => /open beyond this machine.*whoever reads along/.test(msg));
  assert.equal(isWarned(), false);
  const server = start(0, '0.0.0.0');
  await server.address;
  assert.equal(isWarned(), true);
  await server.close();
});

test('one that never could listen is closed at once', async () => {
  const first = start(0);
  const second = start((await first.address).port);
  await second.close();
  await assert.rejects(second.address);
  await first.close();
});
