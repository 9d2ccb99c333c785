import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test, type TestContext } from 'node:test';
import type { Overrides } from '../../src/app.ts';
import { sendToBot } from '../../src/cli/write-to-bot.ts';
import { awaitAnswer } from '../../src/mail/inbox/await-answer.ts';
import { parseMessage } from '../../src/mail/parse.ts';
import { ALICE, BOB, startTestApp, type TestApp } from '../support/app.ts';
import { startEngineProxy } from '../support/engine-proxy.ts';
import { engine, inContainer } from '../support/engine.ts';
import { LONGEST_WAIT_MS, until } from '../support/until.ts';

const DELAY_MS = 300;
const MB = 2 ** 20;

/** Goes on when there is a file `go`. */
const GO_ON = 'echo begins; while [ ! -e go ]; do sleep 0.05; done; echo $((6*7)) is the answer';

async function containerOf(bot: TestApp, address: string): Promise<string> {
  const session = await until(() =>
    bot.app
      .db('container_sessions')
      .where({ is_active: true })
      .where('thread_id', 'like', `${address}-%`)
      .first(),
  );
  return session.container_id as string;
}

async function isInLoop(container: string): Promise<boolean> {
  const { Processes: processes } = await engine.getContainer(container).top();
  return processes.some((words: string[]) => words.join(' ').includes('sleep 0.05'));
}

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
  const raw = await awaitAnswer({ ...bot.userAt(ALICE).imap, inReplyTo, timeoutMs: LONGEST_WAIT_MS });
  return (await parseMessage(raw)).text;
}

async function startBot(t: TestContext, env: Record<string, string>, overrides: Overrides): Promise<TestApp> {
  const bot = await startTestApp({ env, overrides });
  t.after(() => bot.close());
  return bot;
}

test('who waits for an image that was removed, or for others whose commands run, is told once, and then gets the answer', async (t) => {
  const repo = `threadbox-test-${randomUUID()}`;
  const image = `${repo}:1`;
  const tag = () => engine.getImage(process.env['CONTAINER_IMAGE'] ?? '').tag({ repo, tag: '1' });
  await tag();
  t.after(() => engine.getImage(image).remove());
  const env = { CONTAINER_IMAGE: image, COMMAND_CONCURRENCY: '1' };
  const bot = await startBot(t, env, { delayToldAfterMs: DELAY_MS });
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

  const long = { to: bot.botAddress, subject: '[sample] Long', body: GO_ON };
  const running = await sendToBot(bot.userAt(BOB), long);
  const container = await containerOf(bot, BOB);
  await until(() => isInLoop(container));
  const next = await sendToBot(bot.userAt(ALICE), { ...mail, subject: '[sample] Next' });
  await until(async () => (await answersTo(bot, next)).length === 1);
  await inContainer(container, 'touch /workspace/sample/go');
  assert.match(await answerText(bot, next), /^Exit code 0[^]*\n42 is the answer\n/);
  const [waiting, ...answers] = await answersTo(bot, next);
  assert.match(
    waiting ?? '',
    /^Your command is waiting[^]*another command is running, and one runs at a time here/,
  );
  assert.equal(answers.length, 1);
  assert.match((await answersTo(bot, running)).at(-1) ?? '', /^Exit code 0/);
});

test('a command that runs on over a restart of the bot is never said to wait; without an engine it is, and why', async (t) => {
  const overrides: Overrides = {};
  const proxy = await startEngineProxy();
  const limit = { WORKSPACE_LIMIT: 'image', WORKSPACE_SIZE_BYTES: String(64 * MB) };
  const bot = await startBot(t, { DOCKER_HOST: proxy.dockerHost, ...limit }, overrides);
  t.after(() => proxy.close());
  const mail = { to: bot.botAddress, subject: '[sample#go] Run', body: GO_ON };
  const sent = await sendToBot(bot.userAt(ALICE), mail);
  const container = await containerOf(bot, ALICE);
  await until(() => isInLoop(container));
  overrides.delayToldAfterMs = DELAY_MS;
  await bot.restart();
  // Longer than the delay that is told.
  const restartedAt = performance.now();
  await until(() => performance.now() - restartedAt > 3 * DELAY_MS);
  await inContainer(container, 'touch /workspace/sample/go');
  assert.match(await answerText(bot, sent), /^Exit code 0[^]*begins\n42 is the answer\n/);
  assert.equal((await answersTo(bot, sent)).length, 1);

  // Started while its engine is away, it reads mail all the same.
  await bot.stop();
  await proxy.cut();
  await bot.start();
  const count = 'echo run >> ../runs; cat ../runs; stat -f -c "%b * %S" /workspace';
  const late = { to: bot.botAddress, subject: '[sample#away] Run', body: count };
  const waits = await sendToBot(bot.userAt(ALICE), late);
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
