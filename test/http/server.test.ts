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
