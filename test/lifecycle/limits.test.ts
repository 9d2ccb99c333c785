import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { sendToBot } from '../../src/cli/write-to-bot.ts';
import { ALICE, BOB } from '../support/app.ts';
import { engine } from '../support/engine.ts';
import { ranWith } from '../support/ran-with.ts';
import { until } from '../support/until.ts';
import { openStage, type Stage } from './stage.ts';

const CAROL = 'carol@example.com';
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
  // Until then it is at work.
  await until(async () => (await stage.session(threadOf('one')))?.is_saved);
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

test('where all are busy the command waits, its sender is told whose limit it is, and it runs when one is idle', async () => {
  const busy = 'while [ ! -e go ]; do sleep 0.05; done';
  const to = stage.bot.botAddress;
  const send = (label: string, body: string, from = ALICE) =>
    sendToBot(stage.bot.userAt(from), { to, subject: `[sample#${label}] Work`, body });
  const busyWith = async (label: string, from = ALICE): Promise<void> => {
    await send(label, busy, from);
    await stage.untilRuns('sleep 0.05', threadOf(label, from.split('@')[0]));
  };
  for (const label of ['one', 'busy']) await busyWith(label);
  await busyWith('more', BOB);
  await send('late', 'echo $((6*7)) at last');
  await send('first', 'echo $((6*8)) at last', CAROL);
  const waiting = await stage.mailLike(/^Your command is waiting for room/);
  assert.match(waiting.text, /You can have 2 containers at the same time, and all of them are at work/);
  const onHost = await stage.mailLike(/^Your command is waiting for room/, CAROL);
  assert.match(
    onHost.text,
    /^This machine can have 3 containers at the same time, and all of them are at work/m,
  );
  assert.match(onHost.text, /It runs by itself as soon as there is room/);

  // Another user's: that is room on the host, and none for her own third.
  await stage.inside('touch /workspace/sample/go', threadOf('more', 'bob'));
  await stage.mailLike(/^48 at last$/m, CAROL);
  assert.equal((await stage.session(threadOf('more', 'bob')))?.end_reason, 'evicted');
  assert.equal(await stage.mailsLike(/^42 at last$/m), 0);
  await stage.inside('touch /workspace/sample/go', threadOf('busy'));
  await stage.mailLike(/^42 at last$/m);
  assert.equal(await isActive('busy'), false);
  for (const who of [ALICE, CAROL]) assert.equal(await stage.mailsLike(/^Your command is waiting/, who), 1);
  await stage.inside('touch /workspace/sample/go', threadOf('one'));
});
