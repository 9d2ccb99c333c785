import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { startEmbedded, type Embedded } from '../../src/embedded/embedded.ts';
import { until } from '../support/until.ts';
import { holdBefore, openStage, type Stage } from './stage.ts';

type Told = { event: string } & Record<string, unknown>;

let redisDir: string;
let embedded: Embedded;
let redis: Redis;
let subscriber: Redis;
let stage: Stage;
const heard: Told[] = [];
before(async () => {
  redisDir = await mkdtemp(join(tmpdir(), 'threadbox-events-'));
  const want = { postgres: false, redis: true, mail: false };
  embedded = await startEmbedded({ dataDir: redisDir, want, log: pino({ level: 'silent' }) });
  const REDIS_URL = embedded.redisUrl as string;
  redis = new Redis(REDIS_URL);
  stage = await openStage({ REDIS_URL, CONTAINER_MAX_PER_USER: '1' });
  subscriber = redis.duplicate();
  await subscriber.subscribe('threadbox:events');
  subscriber.on('message', (_channel, message) => heard.push(JSON.parse(message) as Told));
});
after(async () => {
  await stage.close();
  redis.disconnect();
  subscriber.disconnect();
  await embedded.close();
  await rm(redisDir, { recursive: true, force: true });
});

const at = (label: string) => ({ subject: `[sample#${label}] Work` });
const threadOf = (label: string) => `alice@example.com-sample#${label}`;

type State = { isActive?: boolean; lastActivityAt?: string; expiresAt?: string };
const stateOf = async (label: string) =>
  JSON.parse((await redis.get(`container:state:${threadOf(label)}`)) ?? '{}') as State;

const NAMES = [
  'container:created',
  'container:restored',
  'container:idle-warning',
  'container:extended',
  'container:saved',
  'container:cleaned',
  'container:evicted',
  'container:save-failed',
] as const;

test('each event tells its facts, in the process and on Redis', async () => {
  const inProcess: Told[] = [];
  const { events } = stage.bot.app.lifecycle;
  for (const name of NAMES) events.on(name, (data: object) => inProcess.push({ event: name, ...data }));
  const told = (event: string, label = 'one') =>
    until(() => inProcess.findLast((one) => one.event === event && one['threadId'] === threadOf(label)));

  await stage.ask('echo one > one.txt', at('one'));
  const { container_id: containerId } = (await stage.session(threadOf('one'))) ?? {};
  const of = { threadId: threadOf('one'), containerId };
  assert.deepEqual(await told('container:created'), { event: 'container:created', ...of });
  const { commit, ...saved } = await told('container:saved');
  assert.match(commit as string, /^[0-9a-f]{40}$/);
  assert.deepEqual(saved, { event: 'container:saved', ...of, filesModified: 1 });

  stage.forward(40.2);
  await stage.sweep();
  assert.deepEqual(await told('container:idle-warning'), {
    ...of,
    event: 'container:idle-warning',
    minutesRemaining: 5,
  });
  await stage.ask('extend 2h', at('one'));
  const { until: keptUntil, ...extended } = await told('container:extended');
  assert.deepEqual(extended, { event: 'container:extended', ...of });
  const inMinutes = (new Date(keptUntil as string).getTime() - stage.now().getTime()) / 60_000;
  assert.ok(inMinutes > 118 && inMinutes <= 120, `${inMinutes}`);

  // Room for another one.
  await stage.ask('true', at('two'));
  const { idleMinutes, ...evicted } = await told('container:evicted');
  assert.deepEqual(evicted, { event: 'container:evicted', ...of });
  assert.ok((idleMinutes as number) >= 40 && (idleMinutes as number) <= 42, String(idleMinutes));
  assert.deepEqual(await told('container:cleaned'), { event: 'container:cleaned', ...of, idleMinutes });

  await stage.ask('echo two > two.txt', at('one'));
  const { container_id: second } = (await stage.session(threadOf('one'))) ?? {};
  const { savedAt, ...restored } = await told('container:restored');
  assert.deepEqual(restored, { ...of, event: 'container:restored', containerId: second, from: 'volume' });
  assert.equal(new Date(savedAt as string).toISOString(), savedAt);
  await until(async () => (await stage.session(threadOf('one')))?.is_saved);

  const saves = join(stage.bot.dataDir, 'saves', stage.bot.app.installation);
  await rename(saves, `${saves}.away`);
  await writeFile(saves, 'in the way');
  await stage.ask('stop', at('one'));
  const { reason, ...failed } = await told('container:save-failed');
  assert.deepEqual(failed, { ...of, event: 'container:save-failed', containerId: second });
  assert.equal(typeof reason, 'string');
  await rm(saves);
  await rename(`${saves}.away`, saves);

  await until(() => heard.length >= inProcess.length);
  assert.deepEqual(heard, inProcess);
  assert.deepEqual(new Set(inProcess.map(({ event }) => event)), new Set(NAMES));
});

test('the queries of the guide find the sessions, and Redis what is to be restored', async () => {
  const { db } = stage.bot.app;
  const rowsOf = async (query: string, values: number[] = []) =>
    (await db.raw<{ rows: { thread_id: string; user_id: number }[] }>(query, values)).rows;
  await stage.ask('true', at('guide'));
  const active = await rowsOf('SELECT * FROM container_sessions WHERE is_active = true;');
  const mine = active.find((row) => row.thread_id === threadOf('guide'));
  assert.ok(mine);
  await db('container_sessions')
    .where({ thread_id: threadOf('guide') })
    .update({ last_activity_at: new Date(Date.now() - 31 * 60_000) });
  const idle = await rowsOf(
    `SELECT * FROM container_sessions
     WHERE last_activity_at < NOW() - INTERVAL '30 minutes'
     AND is_active = true;`,
  );
  assert.deepEqual(
    idle.map((row) => row.thread_id),
    [threadOf('guide')],
  );
  const history = await rowsOf(
    `SELECT * FROM container_sessions
     WHERE user_id = ?
     ORDER BY created_at DESC;`,
    [mine.user_id],
  );
  assert.equal(history[0]?.thread_id, threadOf('guide'));
  assert.ok(history.length > active.length);
});

test('a container goes only when Redis has what is kept of it, for as long as that is kept', async () => {
  const key = `container:state:${threadOf('order')}`;
  await stage.ask('echo work > work.txt', at('order'));
  const { container_id: container = '' } = (await stage.session(threadOf('order'))) ?? {};
  const hold = await holdBefore(stage.bot.app.db, 'removing');
  const stopped = stage.ask('stop', at('order'));
  await until(() => hold.isHolding());
  // Well within the two seconds that a write may take.
  await redis.call('CLIENT', 'PAUSE', '700', 'WRITE');
  await hold.letGo();
  await until(async () => !(await stage.isThere(container)));
  const [state, leftSeconds] = await Promise.all([redis.get(key), redis.ttl(key)]);
  assert.match((JSON.parse(state ?? '{}') as { commit: string }).commit, /^[0-9a-f]{40}$/);
  assert.equal(typeof (JSON.parse(state ?? '{}') as { expiresAt: unknown }).expiresAt, 'string');
  assert.ok(leftSeconds > 6.9 * 86_400 && leftSeconds <= 7 * 86_400, `${leftSeconds} s`);
  await stopped;

  // It is kept for longer.
  stage.forward(60);
  await stage.ask('keep', at('order'));
  await stage.sweep();
  const kept = await stage.bot.app
    .db('saved_states')
    .where({ thread_id: threadOf('order') })
    .first();
  await until(async () => (await stateOf('order')).expiresAt === (kept.expires_at as Date).toISOString());
  assert.notEqual((JSON.parse(state ?? '{}') as State).expiresAt, (await stateOf('order')).expiresAt);
  // Used again, by what leaves nothing to be saved.
  await stage.ask('true', at('order'));
  await stage.sweep();
  const used = (await stage.session(threadOf('order')))?.last_activity_at.toISOString();
  await until(async () => (await stateOf('order')).lastActivityAt === used);
});

test('what Redis did not take is written when it takes it again', async () => {
  const state = () => stateOf('away');
  await stage.ask('echo work > work.txt', at('away'));
  await until(async () => (await state()).isActive);
  await redis.config('SET', 'maxmemory-policy', 'noeviction');
  await redis.config('SET', 'maxmemory', '1');
  await stage.ask('stop', at('away'));
  await until(() => stage.bot.lines.some(({ msg }) => msg.startsWith('Redis does not answer')));
  await redis.config('SET', 'maxmemory', '0');
  assert.equal((await state()).isActive, true);
  await stage.sweep();
  await until(async () => (await state()).isActive === false);
});
