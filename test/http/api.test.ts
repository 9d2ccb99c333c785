import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { sendToBot } from '../../src/cli/write-to-bot.ts';
import { isMedia } from '../../src/http/openapi.ts';
import { askRemoval } from '../../src/store/session-ends.ts';
import { openStage, type Stage } from '../lifecycle/stage.ts';
import { ALICE, BOB } from '../support/app.ts';
import { until } from '../support/until.ts';
import { buttonTests } from './buttons.ts';
import { allRoutes, openClient, type Client, type Json } from './client.ts';
import { hostileTests } from './hostile.ts';

let stage: Stage;
let client: Client;
const ask: Client['ask'] = (...asked) => client.ask(...asked);

before(async () => {
  stage = await openStage({ HTTP_LISTEN: '127.0.0.1:0', ADMIN_ADDRESSES: BOB });
  client = await openClient(stage);
});
after(() => stage.close());

const inThread = (label: string) => ({ subject: `[sample#${label}] Work` });
const threadOf = (label: string) => `alice@example.com-sample#${label}`;
const send = (label: string, body: string) =>
  sendToBot(stage.bot.userAt(ALICE), { to: stage.bot.botAddress, ...inThread(label), body });

type Session = Json & { containerId: string; threadId: string; running: { commandId: number } | null };
async function sessionOf(label: string, query = ''): Promise<Session | undefined> {
  const { body } = await ask('GET', `/api/v1/containers/sessions?limit=200${query}`);
  return (body as { items: Session[] }).items.find(({ threadId }) => threadId === threadOf(label));
}

test('each route is in the document, and each path of the document is a route; both want a token', async () => {
  const { status, body } = await ask('GET', '/api/v1/openapi.json', { token: null });
  assert.equal(status, 200);
  const { openapi, paths } = body as { openapi: string; paths: Record<string, Record<string, Json>> };
  assert.equal(openapi, '3.1.0');
  const told = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method} ${path}`),
  );
  const served = allRoutes.map(({ method, path }) => `${method} /api/v1${path}`);
  assert.deepEqual(new Set(told), new Set(served));
  for (const guide of [
    'get /api/v1/containers/sessions',
    'post /api/v1/containers/{containerId}/extend',
    'post /api/v1/containers/{containerId}/cleanup',
    'get /api/v1/containers/stats',
  ]) {
    assert.ok(told.includes(guide), guide);
  }
  for (const { method, path, role } of allRoutes) {
    const url = `/api/v1${path.replaceAll(/\{\w+\}/g, '1')}`;
    const verb = method === 'get' ? 'GET' : 'POST';
    if (role === null) continue;
    assert.equal((await ask(verb, url, { token: null })).status, 401, url);
    if (role === 'admin') assert.equal((await ask(verb, url, { token: client.reader })).status, 403, url);
  }
});

test('health is told without a token on this machine alone, metrics with one; every answer has its headers', async () => {
  const live = await ask('GET', '/healthz', { token: null });
  assert.deepEqual([live.status, live.body], [200, 'alive\n']);
  const ready = await until(async () => {
    const answer = await ask('GET', '/readyz', { token: null });
    return answer.status === 200 && answer;
  });
  const { parts } = ready.body as { parts: Record<string, { isReady: boolean; lastHeardAt: string }> };
  assert.deepEqual(Object.keys(parts).toSorted(), [
    'clock',
    'disk',
    'docker',
    'imap',
    'lock',
    'postgresql',
    'redis',
    'smtp',
  ]);
  assert.match(String(parts['imap']?.lastHeardAt), /^\d{4}-\d\d-\d\dT.*Z$/);
  const proxied = { 'X-Forwarded-For': '203.0.113.9' };
  assert.equal((await ask('GET', '/readyz', { token: null, headers: proxied })).status, 401);
  assert.equal((await ask('GET', '/metrics', { token: null })).status, 401);
  const metrics = await ask('GET', '/metrics', { token: client.reader });
  assert.match(metrics.body, /^threadbox_part_up\{part="imap"\} 1$/m);
  for (const { headers } of [live, ready, metrics, await ask('GET', '/'), await ask('GET', '/nowhere')]) {
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    assert.match(headers.get('content-security-policy') ?? '', /default-src 'none'.*frame-ancestors 'none'/);
    assert.doesNotMatch(headers.get('content-security-policy') ?? '', /unsafe/);
    assert.equal(headers.get('access-control-allow-origin'), null);
  }
});

test('a command is seen as it runs, with its output, and is ended by cancel; its sender is told who did it', async () => {
  await send('run', 'echo first words; while :; do sleep 0.05; done');
  await stage.untilRuns('sleep 0.05', threadOf('run'));
  const session = await until(async () => (await sessionOf('run'))?.running && sessionOf('run'));
  assert.equal(session['isBusy'], true);
  assert.equal(session['cleanupAt'], null);
  const id = session.running?.commandId as number;
  await send('run', 'echo waits');
  const queued = await until(async () => {
    const thread = encodeURIComponent(threadOf('run'));
    const { body } = await ask('GET', `/api/v1/threads/${thread}/commands?state=queued`);
    return (body as { items: { id: number }[] }).items[0];
  });
  await until(async () => {
    const { body } = await ask('GET', `/api/v1/commands/${id}`);
    const { output } = body as { output: { tail: string; isLive: boolean } | null };
    return output?.isLive && output.tail.includes('first words');
  });
  // Cleanup waits for both, and the second asking changes nothing.
  const cleanup = `/api/v1/containers/${session.containerId}/cleanup`;
  assert.deepEqual(await ask('POST', cleanup).then(({ status, body }) => [status, body]), [
    202,
    { outcome: 'waiting', aheadCommands: 2 },
  ]);
  assert.equal((await ask('POST', cleanup)).status, 202);
  assert.ok((await sessionOf('run'))?.['cleanupRequestedAt']);

  assert.deepEqual((await ask('POST', `/api/v1/commands/${queued.id}/cancel`)).body, {
    outcome: 'cancelled',
  });
  await stage.mailLike(
    /^Cancelled before it began[^]*An operator of Threadbox has cancelled it\. Nothing was run\./,
  );
  const cancelled = await ask('POST', `/api/v1/commands/${id}/cancel`);
  assert.deepEqual([cancelled.status, cancelled.body], [202, { outcome: 'cancelling' }]);
  await stage.mailLike(/^Cancelled after[^]*first words[^]*An operator of Threadbox has ended it\./);
  const ended = (await ask('GET', `/api/v1/commands/${id}`)).body as Json;
  assert.deepEqual([ended['state'], ended['cancelledBy']], ['cancelled', 'boss']);
  assert.equal((await ask('POST', `/api/v1/commands/${id}/cancel`)).status, 200);
  // After them, in its turn.
  await until(async () => (await stage.session(threadOf('run')))?.is_active === false);
  assert.equal((await stage.session(threadOf('run')))?.end_reason, 'stopped');
  assert.deepEqual((await ask('POST', cleanup)).body, { outcome: 'removed' });
});

test('extend, save and cleanup do what the words do; a container that has gone cannot be extended', async () => {
  await stage.ask('echo work > work.txt', inThread('care'));
  const { containerId } = (await sessionOf('care')) as Session;
  // The save after the command has measured it.
  const used = await until(async () => (await sessionOf('care'))?.['workspaceUsedBytes'] as number | null);
  assert.ok(used > 10_000 && used < 1 << 30, String(used));
  assert.equal((await sessionOf('care'))?.['workspaceLimitBytes'], null);
  stage.forward(10);
  const extended = await ask('POST', `/api/v1/containers/${containerId}/extend`, { body: { minutes: 120 } });
  const { outcome, cleanupAt } = extended.body as { outcome: string; cleanupAt: string };
  assert.equal(outcome, 'extended');
  const minutes = (new Date(cleanupAt).getTime() - stage.now().getTime()) / 60_000;
  assert.ok(minutes > 118 && minutes <= 120, String(minutes));
  const shown = await sessionOf('care');
  assert.equal(shown?.['cleanupAt'], cleanupAt);
  assert.equal((await ask('POST', `/api/v1/containers/${containerId.slice(0, 12)}/extend`)).status, 200);
  const usage = (await ask('GET', `/api/v1/containers/${containerId}/usage`)).body as Json;
  assert.ok((usage['memoryBytes'] as number) > 0);
  const saved = (await ask('POST', `/api/v1/containers/${containerId}/save`)).body as Json;
  assert.equal(saved['outcome'], 'saved');
  assert.equal(saved['filesModified'], 1);
  assert.deepEqual((await ask('POST', `/api/v1/containers/${containerId}/cleanup`)).body, {
    outcome: 'removed',
  });
  assert.equal(await stage.isThere(containerId), false);
  assert.equal((await ask('POST', `/api/v1/containers/${containerId}/extend`)).status, 409);
  assert.equal((await ask('POST', `/api/v1/containers/${containerId}/save`)).status, 409);
  const { body } = await ask('GET', `/api/v1/saves?thread=${encodeURIComponent(threadOf('care'))}`);
  assert.equal((body as { items: Json[] }).items[0]?.['filesModified'], 1);
  assert.equal((await sessionOf('care')) ?? null, null);
  assert.equal((await sessionOf('care', '&active=false'))?.['endReason'], 'stopped');
});

test('output is there whole, in ranges, and as a log where its two ends do not have it', async () => {
  const { db } = stage.bot.app;
  await stage.ask('echo 0123456789; seq 30000', inThread('output'));
  const [{ id }] = (await db('commands').orderBy('id', 'desc').limit(1)) as [{ id: number }];
  const whole = await ask('GET', `/api/v1/commands/${id}/output`);
  assert.match(
    whole.body,
    /^0123456789\n1\n2\n[^]*\n\[threadbox: \d+ bytes are left out here\]\n[^]*\n30000\n$/,
  );
  assert.equal(whole.headers.get('content-type'), 'text/plain; charset=utf-8');
  const part = await ask('GET', `/api/v1/commands/${id}/output`, { headers: { Range: 'bytes=2-4' } });
  assert.deepEqual([part.status, part.body], [206, '234']);
  const behind = await ask('GET', `/api/v1/commands/${id}/output`, { headers: { Range: 'bytes=9999999-' } });
  assert.equal(behind.status, 416);
  const response = await fetch(`${client.base}/api/v1/commands/${id}/log`, {
    headers: { Authorization: `Bearer ${client.reader}` },
  });
  const log = gunzipSync(Buffer.from(await response.arrayBuffer())).toString();
  assert.equal(log.split('\n').length, 30_002);
});

test('events come as they happen, and from where one has left off', async () => {
  const heard: { id: string; event: string; data: Json }[] = [];
  const watch = async (token: string, lastId?: string): Promise<() => void> => {
    const closing = new AbortController();
    const response = await fetch(`${client.base}/api/v1/events`, {
      headers: { Authorization: `Bearer ${token}`, ...(lastId !== undefined && { 'Last-Event-ID': lastId }) },
      signal: closing.signal,
    });
    assert.equal(response.headers.get('content-type'), 'text/event-stream');
    void (async () => {
      let rest = '';
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
        const blocks = `${rest}${Buffer.from(chunk).toString()}`.split('\n\n');
        rest = blocks.pop() ?? '';
        for (const block of blocks) {
          const [, id, event, data] = /^id: (.*)\nevent: (.*)\ndata: (.*)$/.exec(block) ?? [];
          if (id && event && data) heard.push({ id, event, data: JSON.parse(data) as Json });
        }
      }
    })().catch(() => undefined);
    return () => closing.abort();
  };
  const end = await watch(client.reader);
  const first = await until(() => heard[0]);
  assert.equal(first.event, 'snapshot');
  await stage.ask('true', inThread('events'));
  const started = await until(() => heard.find(({ event }) => event === 'command:started'));
  assert.equal(started.data['threadId'], threadOf('events'));
  assert.ok(heard.some(({ event }) => event === 'container:created'));
  await until(() => heard.some(({ event }) => event === 'command:ended'));
  end();
  heard.length = 0;
  const again = await watch(client.reader, started.id);
  await until(() => heard.some(({ event }) => event === 'command:ended'));
  assert.ok(!heard.some(({ event }) => event === 'snapshot' || event === 'command:started'));
  again();
  heard.length = 0;
  const stale = await watch(client.reader, 'of-another-start-7');
  assert.equal((await until(() => heard[0])).event, 'snapshot');
  stale();
});

test('a cleanup that was written down and never done, as by a killed bot, is done by the next sweep', async () => {
  const { id } = (await stage.session(threadOf('events'))) as { id: number };
  await askRemoval(stage.bot.app.db, id, stage.now());
  // The wish stands: nothing is promised that it would break.
  assert.match(
    (await stage.ask('extend 2h', inThread('events'))).text,
    /^An operator is removing the container of sample\n/,
  );
  const { containerId } = (await sessionOf('events')) as Session;
  assert.equal((await ask('POST', `/api/v1/containers/${containerId}/extend`)).status, 409);
  await stage.sweep();
  await stage.mailLike(/^An operator has removed the container of sample\n/);
  assert.equal((await stage.session(threadOf('events')))?.end_reason, 'stopped');
  const asked = stage.bot.lines.filter(({ msg }) => msg === 'an operator has asked for cleanUpContainer');
  assert.ok(asked.some((line) => line['by'] === 'boss' && typeof line['containerId'] === 'string'));
});

test('pause and resume hold back commands, and may be said twice', async () => {
  const paused = (await ask('POST', '/api/v1/pause', { body: { reason: 'moving house' } })).body as Json;
  assert.equal(paused['isPaused'], true);
  assert.equal(((await ask('POST', '/api/v1/pause')).body as Json)['since'], paused['since']);
  await send('paused', 'echo late');
  await stage.mailLike(/moving house/);
  const stats = (await ask('GET', '/api/v1/containers/stats')).body as Record<
    'commands' | 'workspaces',
    Json
  > & { hours: Json[] };
  assert.deepEqual(stats.workspaces, { limit: 'off', sizeBytes: 10 * 2 ** 30 });
  assert.equal(stats.commands['queued'], 1);
  assert.equal(stats.hours.length, 24);
  assert.deepEqual((await ask('POST', '/api/v1/resume')).body, { wasPaused: true, waitingCommands: 1 });
  await stage.mailLike(/Exit code 0[^]*late/);
  assert.equal(((await ask('POST', '/api/v1/resume')).body as Json)['wasPaused'], false);
  assert.equal(((await ask('GET', '/api/v1/pause')).body as Json)['isPaused'], false);
});

buttonTests(() => ({ ...client, stage }));
hostileTests(() => ({ ...client, stage }), threadOf);

test('metrics count what has happened', async () => {
  const { body } = await ask('GET', '/metrics', { token: client.reader });
  const valueOf = (name: string) => Number(new RegExp(`^threadbox_${name} (\\S+)$`, 'm').exec(body)?.[1]);
  const finished = valueOf(String.raw`commands_total\{state="finished"\}`);
  assert.ok(finished >= 4, String(finished));
  assert.equal(
    valueOf(String.raw`command_duration_seconds_bucket\{le="\+Inf"\}`),
    valueOf('command_duration_seconds_count'),
  );
  assert.ok(valueOf('command_duration_seconds_count') >= finished);
  assert.ok(valueOf('answer_seconds_count') >= finished && valueOf('answer_seconds_sum') > 0);
  assert.ok(valueOf(String.raw`message_bytes_total\{direction="in"\}`) > 0);
  assert.ok(valueOf('output_bytes_total') > 100_000);
});

test('all routes that answer with JSON were seen to answer as their schemas say', async () => {
  await ask('GET', '/api/v1/threads');
  const json = allRoutes
    .filter(({ answers }) => !Object.values(answers).some(isMedia))
    .map(({ name }) => name);
  assert.deepEqual(
    json.filter((name) => !client.answered.has(name)),
    [],
  );
});
