import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test, type TestContext } from 'node:test';
import type { Overrides } from '../../src/app.ts';
import { sendToBot } from '../../src/cli/write-to-bot.ts';
import { awaitAnswer } from '../../src/mail/inbox/await-answer.ts';
import { parseMessage } from '../../src/mail/parse.ts';
import { ALICE, startTestApp, type TestApp } from '../support/app.ts';
import { startEngineProxy } from '../support/engine-proxy.ts';
import { engine, inContainer } from '../support/engine.ts';
import { until } from '../support/until.ts';

const DELAY_MS = 300;
const MB = 2 ** 20;

async function answersTo(bot: TestApp, messageId: string): Promise<string[]> {
  const rows = await bot.app
    .db('messages as sent')
    .join('messages as received', 'received.id', 'sent.in_reply_to_message')
    .where('received.message_id', messageId)
    .orderBy('sent.id')
    .select<{ raw: Buffer }[]>('sent.raw');
  return Promise.all(rows.map(async ({ raw }) => (await parseMessage(raw)).text));
}

async function answerText(bot: TestApp, inReplyTo: string): Promise<string> {
  const raw = await awaitAnswer({ ...bot.userAt(ALICE).imap, inReplyTo, timeoutMs: 60_000 });
  return (await parseMessage(raw)).text;
}

async function startBot(t: TestContext, env: Record<string, string>, overrides: Overrides): Promise<TestApp> {
  const bot = await startTestApp({ env, overrides });
  t.after(() => bot.close());
  return bot;
}

test('an image removed while the bot runs is waited for; the sender is told once, and then gets the answer', async (t) => {
  const repo = `threadbox-test-${randomUUID()}`;
  const image = `${repo}:1`;
  const tag = () => engine.getImage(process.env['CONTAINER_IMAGE'] ?? '').tag({ repo, tag: '1' });
  await tag();
  t.after(() => engine.getImage(image).remove());
  const bot = await startBot(t, { CONTAINER_IMAGE: image }, { delayToldAfterMs: DELAY_MS });
  await bot.app.imageReady();
  await engine.getImage(image).remove();

  const mail = { to: bot.botAddress, subject: '[sample] Run', body: 'echo $((6*7)) is the answer' };
  const sent = await sendToBot(bot.userAt(ALICE), mail);
  await until(async () => (await answersTo(bot, sent)).length === 1);
  await until(() => bot.lines.some(({ msg }) => msg.startsWith('the workspace image cannot be had')));
  await tag();
  assert.match(await answerText(bot, sent), /^Exit code 0[^]*\n42 is the answer\n/);
  const [delay, answer, ...more] = await answersTo(bot, sent);
  assert.match(delay ?? '', /^Your command is waiting[^]*has not been started yet/);
  assert.match(answer ?? '', /^Exit code 0/);
  assert.deepEqual(more, []);
});

test('a command that runs on over a restart of the bot is never said to wait; without an engine it is, and why', async (t) => {
  const overrides: Overrides = {};
  const proxy = await startEngineProxy();
  const limit = { WORKSPACE_LIMIT: 'image', WORKSPACE_SIZE_BYTES: String(64 * MB) };
  const bot = await startBot(t, { DOCKER_HOST: proxy.dockerHost, ...limit }, overrides);
  t.after(() => proxy.close());
  const body = 'echo begins; while [ ! -e go ]; do sleep 0.05; done; echo $((6*7)) is the answer';
  const sent = await sendToBot(bot.userAt(ALICE), { to: bot.botAddress, subject: '[sample#go] Run', body });
  const session = await until(() => bot.app.db('container_sessions').where({ is_active: true }).first());
  await until(async () => (await bot.app.db('commands').where({ state: 'running' })).length === 1);
  const container = engine.getContainer(session.container_id as string);
  await until(async () =>
    (await container.top()).Processes.some((words: string[]) => words.join(' ').includes('sleep 0.05')),
  );
  overrides.delayToldAfterMs = DELAY_MS;
  await bot.restart();
  // Longer than the delay that is told.
  const restartedAt = performance.now();
  await until(() => performance.now() - restartedAt > 3 * DELAY_MS);
  await inContainer(container.id, 'touch /workspace/sample/go');
  assert.match(await answerText(bot, sent), /^Exit code 0[^]*begins\n42 is the answer\n/);
  assert.equal((await answersTo(bot, sent)).length, 1);

  // Started while its engine is away, it reads mail all the same.
  await bot.stop();
  await proxy.cut();
  await bot.start();
  const count = 'echo run >> ../runs; cat ../runs; stat -f -c "%b * %S" /workspace';
  const mail = { to: bot.botAddress, subject: '[sample#away] Run', body: count };
  const waits = await sendToBot(bot.userAt(ALICE), mail);
  await until(async () => (await answersTo(bot, waits)).length === 1);
  await proxy.mend();
  const [, totalBlocks = '0'] =
    /^Exit code 0[^]*\nrun\n(\d+) \* 4096\n/.exec(await answerText(bot, waits)) ?? [];
  const [delay, ...answers] = await answersTo(bot, waits);
  assert.match(delay ?? '', /^Your command is waiting[^]*has not been started yet[^]*Docker does not answer/);
  assert.equal(answers.length, 1);
  // The limit is found out when the engine is there, and before anything is started.
  const totalMb = (Number(totalBlocks) * 4096) / MB;
  assert.ok(totalMb > 48 && totalMb < 64, `${totalMb} MB`);
});
