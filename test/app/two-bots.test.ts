import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ALICE } from '../support/app.ts';
import type { BotProcess } from '../support/bot-process.ts';
import { inContainer, untilInside } from '../support/engine.ts';
import { startProcessStage, type ProcessStage } from '../support/process-stage.ts';
import { ranWith } from '../support/ran-with.ts';
import { until } from '../support/until.ts';

let stage: ProcessStage;
before(async () => {
  stage = await startProcessStage();
});
after(() => stage.close());

/** Those on the first database that still run. */
const bots: BotProcess[] = [];

const count = (bot: BotProcess, words: RegExp): number =>
  bot.lines.filter(({ msg }) => words.test(msg)).length;
const NOT_OURS = /^the mailbox is another Threadbox's/;
const WAITS = /^another Threadbox works on this database/;

test('of two bots on one mailbox the second waits, says so once, and takes over when the first is killed', async () => {
  const first = stage.spawn('one');
  await first.ready();
  const second = stage.spawn('two');
  bots.push(second);
  await until(() => count(second, WAITS) === 1);

  const slow =
    'echo run >> /workspace/runs; until [ -e /workspace/go ]; do sleep 0.1; done; cat /workspace/runs';
  const sent = [
    await stage.send(ALICE, '[sample] Both', 'echo run >> /workspace/runs; cat /workspace/runs'),
    await stage.send(ALICE, '[sample#slow] Both', slow),
  ];
  ranWith((await stage.answerTo(sent[0] as string)).text, 'run');
  await until(() => stage.db('commands').where({ state: 'running' }).first());
  const container = await until(async () => {
    const session = await stage
      .db('container_sessions')
      .where({ thread_id: `${ALICE}-sample#slow` })
      .first();
    return session?.container_id as string | undefined;
  });
  await untilInside(container, '[ -s /workspace/runs ]');
  assert.equal(second.isReady(), false);

  await first.kill('SIGKILL');
  await second.ready();
  await inContainer(container, 'touch /workspace/go');
  sent.push(await stage.send(ALICE, '[sample] After', 'echo run >> /workspace/runs; cat /workspace/runs'));
  ranWith((await stage.answerTo(sent[1] as string)).text, 'run');
  ranWith((await stage.answerTo(sent[2] as string)).text, 'run\nrun');
  for (const id of sent) assert.equal((await stage.answersTo(id)).length, 1);
  assert.deepEqual([count(second, WAITS), count(second, /^the other Threadbox has gone/)], [1, 1]);
});

test('after PostgreSQL was away one of two bots works on, and the other waits again', async () => {
  const third = stage.spawn('one');
  bots.push(third);
  await until(() => count(third, WAITS) === 1);
  await stage.postgres.stop();
  const sent = await stage.send(ALICE, '[sample] Away', 'echo $((6*7)) after the outage');
  await stage.postgres.start();
  ranWith((await stage.answerTo(sent)).text, '42 after the outage');
  // Of the lock on the mailbox: who starts, or has the database back, takes others for a moment.
  const { rows } = await stage.db.raw<{ rows: { held: boolean }[] }>(
    `select granted as held from pg_locks where locktype = 'advisory' and objid = 7482332`,
  );
  assert.deepEqual(rows, [{ held: true }]);
  assert.equal((await stage.answersTo(sent)).length, 1);
});

test('whoever waits stops politely', async () => {
  const waiting = stage.spawn('three');
  await until(() => count(waiting, WAITS) === 1);
  const { exitCode, tookMs } = await waiting.kill('SIGTERM');
  assert.equal(exitCode, 0);
  assert.ok(tookMs < 20_000, `took ${Math.round(tookMs)} ms`);
  assert.equal(waiting.complaints(), '');
});

test('of two bots with two databases on one mailbox only the one that has claimed it reads, also after a crash', async () => {
  await stage.db.raw('create database other');
  const url = new URL(stage.settings('other')['DATABASE_URL'] ?? '');
  url.pathname = '/other';
  // With a guard it would have a network of its own, which nobody takes away.
  const other = stage.spawn('other', { DATABASE_URL: url.href, CONTAINER_NETWORK_GUARD: 'off' });
  await until(() => count(other, NOT_OURS) === 1);
  const sent = await stage.send(ALICE, '[sample#claim] Once', 'echo $((6*7)) by the owner');
  ranWith((await stage.answerTo(sent)).text, '42 by the owner');

  await Promise.all(bots.map((bot) => bot.kill('SIGKILL')));
  const waiting = await stage.send(ALICE, '[sample#claim] Waits', 'echo $((6*7)) by the owner again');
  const owner = stage.spawn('one');
  ranWith((await stage.answerTo(waiting)).text, '42 by the owner again');
  assert.equal(count(owner, NOT_OURS), 0);
  assert.equal(other.isReady(), false, 'it says that it waits for mail only where it does');
  for (const id of [sent, waiting]) assert.equal((await stage.answersTo(id)).length, 1);
  assert.equal(count(other, NOT_OURS), 1);
});
