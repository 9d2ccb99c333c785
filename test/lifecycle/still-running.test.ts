import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sendToBot } from '../../src/cli/write-to-bot.ts';
import { ALICE } from '../support/app.ts';
import { readMails } from '../support/mailbox.ts';
import { until } from '../support/until.ts';
import { openStage } from './stage.ts';

test('a command that runs for long is told of, over restarts of the bot, and once it is idle the bot looks by itself', async (t) => {
  const stage = await openStage({ STILL_RUNNING_AFTER_MS: '1500', CONTAINER_CHECK_INTERVAL_MS: '300' });
  t.after(() => stage.close());
  const { bot } = stage;
  const mails = async () =>
    (await readMails(bot.userAt(ALICE))).filter(({ text }) => text.startsWith('Still running after '));

  await stage.ask('echo short');
  const body = 'printf "\\033[32mgreen\\033[0m\\n"; while [ ! -e go ]; do sleep 0.05; done; echo done';
  const sent = await sendToBot(bot.userAt(ALICE), { to: bot.botAddress, subject: '[sample] Long', body });
  const first = await stage.mailLike(/^Still running after \d\.\d s\n/);
  assert.match(first.text, /\n {2}\$ printf [^]*\n\n {2}green\n[^]*\n {4}cancel\n/);
  assert.equal(first.inReplyTo, sent);
  assert.deepEqual(first.headers.get('auto-submitted'), ['auto-replied']);
  assert.deepEqual(first.headers.get('x-threadbox'), ['delay']);

  stage.forward(7);
  await bot.restart();
  await stage.mailLike(/^Still running after 7 min\n/);
  await bot.restart();
  stage.forward(21);
  await bot.restart();
  await stage.mailLike(/^Still running after 28 min; it will be stopped /);
  const told = await bot.app.db('commands').whereNot({ told_running_ms: 0 }).pluck('told_running_ms');
  assert.deepEqual(told, [1_620_000]);
  await stage.inside('touch /workspace/sample/go');
  const answer = await stage.mailLike(/^Exit code 0 [^]*\ngreen\ndone\n/);
  assert.equal(answer.inReplyTo, sent);
  await until(async () => (await bot.app.db('outbox').where({ state: 'waiting' })).length === 0);
  assert.ok((await mails()).length <= 4);
  const texts = (await mails()).map(({ text }) => text.split('\n')[0]);
  assert.equal(new Set(texts).size, texts.length);

  // Nobody calls for a sweep here.
  assert.equal(await stage.mailsLike(/^Your container goes/), 0);
  stage.forward(41);
  await stage.mailLike(/^Your container goes/);
  assert.equal((await stage.session())?.state, 'active');
  stage.forward(6);
  await until(async () => (await stage.session())?.state === 'ended');
  assert.equal(await stage.mailsLike(/^Your container goes/), 1);
});
