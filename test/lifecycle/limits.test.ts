import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { sendToBot } from '../../src/cli/write-to-bot.ts';
import { ALICE, BOB } from '../support/app.ts';
import { engine } from '../support/engine.ts';
import { ranWith } from '../support/ran-with.ts';
import { openStage, type Stage } from './stage.ts';

let stage: Stage;
before(async () => {
  stage = await openStage({
    CONTAINER_MAX_PER_USER: '2',
    HOST_MAX_CONTAINERS: '3',
    COMMAND_CONCURRENCY: '8',
  });
});
after(() => stage.close());

const threadOf = (label: string, from = 'alice') => `${from}@example.com-sample#${label}`;
const isActive = async (label: string, from?: string) =>
  (await stage.session(threadOf(label, from)))?.is_active ?? false;

test("one container too many makes the user's longest idle one go, with its work kept; its next answer says so", async () => {
  await stage.bot.app.db('repositories').update({ memory_bytes: 2 ** 29, cpus: 0.5 });
  await stage.ask('echo one > one.txt', { subject: '[sample#one] Work' });
  await stage.ask('true', { subject: '[sample#two] Work' });
  await stage.ask('true', { subject: '[sample#three] Work' });
  assert.deepEqual(
    [await isActive('one'), await isActive('two'), await isActive('three')],
    [false, true, true],
  );
  assert.equal((await stage.session(threadOf('one')))?.end_reason, 'evicted');

  const three = await stage.session(threadOf('three'));
  const { HostConfig } = await engine.getContainer(three?.container_id ?? '').inspect();
  assert.deepEqual([HostConfig.Memory, HostConfig.NanoCpus, HostConfig.PidsLimit], [2 ** 29, 5e8, 512]);

  const again = await stage.ask('cat one.txt', { subject: '[sample#one] Work' });
  ranWith(again.text, /^one$/m);
  assert.match(again.text, /was restored: 1 file\. Its container had made room for another one\.$/m);
  assert.equal(await isActive('two'), false);
});

test('the limit of the host takes the oldest idle of all users', async () => {
  await stage.ask('true', { subject: '[sample#bob] Work', from: BOB });
  await stage.ask('true', { subject: '[sample#more] Work', from: BOB });
  const active = await stage.bot.app.db('container_sessions').where({ is_active: true });
  assert.deepEqual(
    active.map(({ thread_id: id }) => id as string).toSorted(),
    [threadOf('bob', 'bob'), threadOf('more', 'bob'), threadOf('one')].toSorted(),
  );
  // Of another user than the newcomer's.
  assert.equal((await stage.session(threadOf('three')))?.end_reason, 'evicted');
});

test('where all are busy the command waits, its sender is told, and it runs when one is idle', async () => {
  const busy = 'while [ ! -e go ]; do sleep 0.05; done';
  const to = stage.bot.botAddress;
  const user = stage.bot.userAt(ALICE);
  for (const label of ['one', 'busy']) {
    await sendToBot(user, { to, subject: `[sample#${label}] Work`, body: busy });
    await stage.untilRuns('sleep 0.05', threadOf(label));
  }
  await sendToBot(user, { to, subject: '[sample#late] Work', body: 'echo $((6*7)) at last' });
  const waiting = await stage.mailLike(/^Your command is waiting for room/);
  assert.match(waiting.text, /You can have 2 containers at the same time, and all of them are at work/);
  await stage.inside('touch /workspace/sample/go', threadOf('busy'));
  await stage.mailLike(/^42 at last$/m);
  assert.equal(await isActive('busy'), false);
  await stage.inside('touch /workspace/sample/go', threadOf('one'));
});
