import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startPostgres } from '../../src/embedded/postgres.ts';
import { ALICE, BOB } from '../support/app.ts';
import { spawnBot } from '../support/bot-process.ts';
import { collectedLog } from '../support/collected-log.ts';
import { engineHost, inContainer, untilInside } from '../support/engine.ts';
import { layPostgres } from '../support/laid-postgres.ts';
import { isAnswer } from '../support/mailbox.ts';
import { ranWith } from '../support/ran-with.ts';
import { startSeparateBot, type SeparateBot } from '../support/separate-bot.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

/** As promised. It gives its parts seven seconds of them. */
const STOPPED_WITHIN_MS = 10_000;

let bot: SeparateBot;
before(async () => {
  bot = await startSeparateBot();
});
after(() => bot.close());

const thread = (address: string, label = ''): string => `${address}-sample${label}`;

/** Runs until the file `go` is made in the workspace, and says what there is to say only then. */
const waitingCommand = (name: string): string =>
  [
    `echo ${name} >> /workspace/ran`,
    `echo ${name} begins`,
    `while [ ! -e /workspace/go-${name} ]; do sleep 0.05; done`,
    'seq 1 200',
    `echo ${name} ends`,
  ].join('\n');

/** @returns the container, once the command runs there */
async function begun(threadId: string, name: string): Promise<string> {
  const container = await bot.containerOf(threadId);
  await untilInside(container, `grep -qsx ${name} /workspace/ran`);
  return container;
}

const numbers = Array.from({ length: 200 }, (_, index) => `${index + 1}\n`).join('');

const assertWhole = (text: string, name: string): void =>
  ranWith(text, `${name} begins\n${numbers}${name} ends`);

test('a bot killed with kill -9 goes on where it was: what ran is answered once, what was queued runs in order', async () => {
  const endsMeanwhile = await bot.send(ALICE, '[sample] Long', waitingCommand('meanwhile'));
  const endsAfterwards = await bot.send(BOB, '[sample] Long', waitingCommand('afterwards'));
  const alices = await begun(thread(ALICE), 'meanwhile');
  const bobs = await begun(thread(BOB), 'afterwards');
  const queued = [];
  for (const index of [1, 2, 3])
    queued.push(await bot.send(ALICE, `[sample] ${index}`, `echo queued-${index} | tee -a /workspace/ran`));
  await until(async () => (await bot.db('commands').where({ state: 'queued' })).length === queued.length);

  await bot.kill('SIGKILL');
  assert.equal(await inContainer(alices, 'touch /workspace/go-meanwhile; cat /workspace/ran'), 'meanwhile\n');
  await bot.start();
  assert.equal(await inContainer(bobs, 'touch /workspace/go-afterwards; cat /workspace/ran'), 'afterwards\n');

  const answersTo = async (from: string, ids: readonly string[]) =>
    (await bot.answersTo(from, ids)).map((mails) => mails.filter(isAnswer));
  const [long = [], ...rest] = await answersTo(ALICE, [endsMeanwhile, ...queued]);
  assert.deepEqual([long.length, ...rest.map(({ length }) => length)], [1, 1, 1, 1]);
  assertWhole(long[0]?.text ?? '', 'meanwhile');
  for (const [index, copies] of rest.entries()) ranWith(copies[0]?.text ?? '', `queued-${index + 1}`);
  const [other = []] = await answersTo(BOB, [endsAfterwards]);
  assert.equal(other.length, 1, other.map(({ messageId, text }) => `${messageId}\n${text}`).join('\n\n'));
  assertWhole(other[0]?.text ?? '', 'afterwards');
  const ran = await inContainer(alices, 'cat /workspace/ran');
  assert.equal(ran, 'meanwhile\nqueued-1\nqueued-2\nqueued-3\n');
});

/** What is seen in the database just before each kill. */
const MOMENTS: readonly { table: string; where: Record<string, string> }[] = [
  { table: 'messages', where: { direction: 'in', state: 'received' } },
  // While commands are queued and run, it is killed in the test before this.
  { table: 'outbox', where: { state: 'waiting' } },
];

test('killed again and again at any moment, it runs each command once and in order, and answers all', async () => {
  const sent: string[] = [];
  for (const { table, where } of MOMENTS) {
    for (const _ of [1, 2]) {
      const body = `echo ${sent.length} | tee -a /workspace/ran; sleep 0.2`;
      sent.push(await bot.send(ALICE, '[sample#storm] Round', body));
    }
    // Some of them last for milliseconds: then any other moment will do.
    await until(() => bot.db(table).where(where).first(), 3_000).catch(() => null);
    await bot.kill('SIGKILL');
    await bot.start();
  }
  const answers = await bot.answersTo(ALICE, sent);
  for (const [index, copies] of answers.entries()) {
    assert.equal(new Set(copies.map(({ messageId }) => messageId)).size, 1);
    ranWith(copies[0]?.text ?? '', String(index));
  }
  const ran = await inContainer(await bot.containerOf(thread(ALICE, '#storm')), 'cat /workspace/ran');
  assert.equal(ran, sent.map((_, index) => `${index}\n`).join(''));
});

test('a polite stop ends within ten seconds with exit code 0, and the running command goes on', async () => {
  const sent = await bot.send(ALICE, '[sample#polite] Long', waitingCommand('polite'));
  const container = await begun(thread(ALICE, '#polite'), 'polite');
  const queued = await bot.send(ALICE, '[sample#polite] Queued', 'echo $((6*7)) after it');
  await until(() => bot.db('commands').where({ state: 'queued' }).first());

  const { exitCode, tookMs } = await bot.kill('SIGTERM');
  assert.equal(exitCode, 0);
  assert.ok(tookMs < STOPPED_WITHIN_MS, `took ${Math.round(tookMs)} ms`);
  assert.match(await inContainer(container, 'pgrep -fc "go-polit[e]"; touch /workspace/go-polite'), /^[1-9]/);
  await bot.start();
  const [answers = [], later = []] = await bot.answersTo(ALICE, [sent, queued]);
  assert.deepEqual([answers.length, later.length], [1, 1]);
  assertWhole(answers[0]?.text ?? '', 'polite');
  ranWith(later[0]?.text ?? '', '42 after it');
});

test('a bot killed between a cancel and its effect ends the command after the next start', async () => {
  const deaf = 'trap "" TERM; echo deaf; echo deaf >> /workspace/ran; while :; do sleep 0.1; done';
  const sent = await bot.send(ALICE, '[sample#cancel] Long', deaf);
  await begun(thread(ALICE, '#cancel'), 'deaf');
  await bot.send(ALICE, '[sample#cancel] Enough', 'cancel');
  await until(() => bot.db('commands').whereNotNull('cancel_requested_at').first());
  await bot.kill('SIGKILL');
  await bot.start();
  const [answers = []] = await bot.answersTo(ALICE, [sent]);
  assert.equal(answers.length, 1);
  assert.match(answers[0]?.text ?? '', /^Cancelled after [^]*\ndeaf\n/);
});

test('a bot that still waits for a part, or has lost one, stops as politely', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'threadbox-stop-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  await layPostgres(join(dir, 'postgres'));
  const postgres = await startPostgres({ dir: join(dir, 'postgres'), log: collectedLog().log });
  t.after(() => postgres.close());
  const proxy = await startTcpProxy(Number(new URL(postgres.url).port));
  t.after(() => proxy.close());
  const url = new URL(postgres.url);
  url.port = String(proxy.port);
  const settings = {
    DOCKER_HOST: engineHost,
    DATA_DIR: join(dir, 'data'),
    DATABASE_URL: url.href,
    // With a guard it would have a network of its own, which nobody takes away.
    CONTAINER_NETWORK_GUARD: 'off',
  };

  proxy.hold();
  const waiting = spawnBot(dir, settings);
  await until(() => waiting.lines.some(({ part }) => part === 'PostgreSQL'));
  const early = await waiting.kill('SIGTERM');
  assert.equal(early.exitCode, 0, waiting.complaints());
  assert.ok(early.tookMs < STOPPED_WITHIN_MS, `took ${Math.round(early.tookMs)} ms`);
  assert.equal(waiting.complaints(), '');

  proxy.release();
  const running = spawnBot(dir, settings);
  await running.ready();
  proxy.hold();
  const late = await running.kill('SIGTERM');
  assert.equal(late.exitCode, 0, running.complaints());
  assert.ok(late.tookMs < STOPPED_WITHIN_MS, `took ${Math.round(late.tookMs)} ms`);
});

test('wrong settings are all told at once, and nothing is started', async () => {
  const bot = spawnBot(tmpdir(), {
    IMAP_URL: 'http://mail.example.com',
    BOT_ADDRESS: 'bot',
    COMMAND_TIMEOUT_MS: 'soon',
    LOG_LEVEL: 'loud',
    DATABASE_URL: 'mysql://db',
  });
  assert.equal((await bot.ended).exitCode, 2);
  const told = new Set(bot.complaints().match(/\b[A-Z]+_[A-Z_]+(?=: )/g));
  assert.deepEqual([...told].toSorted(), [
    'BOT_ADDRESS',
    'COMMAND_TIMEOUT_MS',
    'DATABASE_URL',
    'IMAP_URL',
    'LOG_LEVEL',
    'SENDER_AUTH',
    'SMTP_URL',
  ]);
  assert.deepEqual(bot.lines, []);
});
