import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { expireNow } from '../../src/store/expiring-saves.ts';
import { engine } from '../support/engine.ts';
import { ranWith } from '../support/ran-with.ts';
import { until } from '../support/until.ts';
import { openStage, type Stage } from './stage.ts';

const DAY = 24 * 60;
let stage: Stage;
before(async () => {
  stage = await openStage({ CONTAINER_MAX_PER_USER: '20', HOST_MAX_CONTAINERS: '20' });
});
after(() => stage.close());

const at = (label: string) => ({ subject: `[sample#${label}] Work` });
const threadOf = (label: string) => `alice@example.com-sample#${label}`;

async function stopped(label: string, on = stage): Promise<string> {
  await on.ask(`echo ${label} > work.txt`, at(label));
  await on.ask('stop', at(label));
  return (await on.session(threadOf(label)))?.volume_name as string;
}

const isThere = (volume: string): Promise<boolean> =>
  engine
    .getVolume(volume)
    .inspect()
    .then(
      () => true,
      () => false,
    );

test('a bot that was off for the last days announces the end first, and keeps the work for one more day', async () => {
  const volume = await stopped('off');
  stage.forward(8 * DAY);
  await stage.sweep();
  const announced = await stage.mailLike(/^Your saved work in sample expires/);
  assert.doesNotMatch(announced.text, /expires (at|1970)/);
  stage.forward(DAY - 2);
  await stage.sweep();
  assert.equal(await isThere(volume), true);
  assert.match((await stage.ask('keep', { ...at('off'), inReplyTo: announced })).text, /^Kept until /);
  stage.forward(6 * DAY + 10);
  await stage.sweep();
  await until(async () => (await stage.mailsLike(/^Your saved work in sample expires/)) === 2);
  stage.forward(DAY + 10);
  await stage.sweep();
  assert.equal(await isThere(volume), false);
  assert.equal(await stage.mailsLike(/^Your saved work in sample expires/), 2);
});

test('a command that comes after the time, and before any announcement, finds the work', async () => {
  await stopped('late');
  stage.forward(9 * DAY);
  ranWith((await stage.ask('cat work.txt', at('late'))).text, 'late');
  await stage.ask('stop', at('late'));
});

test('the end of what fresh has put aside is announced too', async () => {
  await stage.ask('echo aside > work.txt', at('aside'));
  await stage.ask('fresh', at('aside'));
  stage.forward(8 * DAY);
  await stage.sweep();
  const announced = await stage.mailLike(/^The work you put aside in sample expires/);
  assert.match(announced.text, /^ *restore$/m);
  await stage.ask('restore', at('aside'));
  ranWith((await stage.ask('cat work.txt', at('aside'))).text, 'aside');
  await stage.ask('stop', at('aside'));
});

test('a state that cannot be removed stops none of the others, and goes when it can', async () => {
  const volume = await stopped('stuck');
  const other = await stopped('free');
  const Image = process.env['CONTAINER_IMAGE'] ?? 'threadbox-workspace:1';
  const Mounts = [{ Type: 'volume' as const, Source: volume, Target: '/v' }];
  const holder = await engine.createContainer({ Image, HostConfig: { Mounts } });
  try {
    stage.forward(8 * DAY);
    await stage.sweep();
    stage.forward(DAY + 1);
    await stage.sweep();
    assert.deepEqual([await isThere(volume), await isThere(other)], [true, false]);
    const faults = stage.bot.lines.filter(({ level, thread }) => level >= 50 && thread === threadOf('stuck'));
    assert.equal(faults.length, 1);
    // It is nobody's stray either.
    assert.equal((await stage.session(threadOf('stuck')))?.is_active, false);
  } finally {
    await holder.remove({ force: true });
  }
  await stage.sweep();
  assert.equal(await isThere(volume), false);
});

test('what is deleted by hand goes with the next sweep, with a container that a crash left; its owner hears nothing', async () => {
  const volume = await stopped('deleted');
  const name = (await stage.session(threadOf('deleted')))?.container_name as string;
  const Image = process.env['CONTAINER_IMAGE'] ?? 'threadbox-workspace:1';
  const Mounts = [{ Type: 'volume' as const, Source: volume, Target: '/v' }];
  await engine.createContainer({ name, Image, HostConfig: { Mounts } });
  // Those of the tests before this one have come.
  await until(async () => !(await stage.bot.app.db('outbox').where({ state: 'waiting' }).first()));
  const before = await stage.mailsLike(/expire/);
  assert.equal(await expireNow(stage.bot.app.db, threadOf('deleted')), 1);
  await stage.sweep();
  assert.equal(await isThere(volume), false);
  assert.equal(await stage.isThere(name), false);
  const again = await stage.ask('ls', at('deleted'));
  ranWith(again.text, /^README\.md$/m);
  assert.doesNotMatch(again.text, /work\.txt|expired/);
  assert.equal(await stage.mailsLike(/expire/), before);
});

test('without room on the disk kept workspaces go, the oldest first, none without a verified save, and no work', async (t) => {
  const full = await openStage({ WORKSPACE_MIN_FREE_BYTES: String(2 ** 50) });
  t.after(() => full.close());
  const { db } = full.bot.app;
  const dropped = () =>
    full.bot.lines.filter(({ msg }) => msg.includes('want of disk room')).map(({ thread }) => thread);
  const volumes: string[] = [];
  for (const label of ['second', 'first', 'third', 'unsaved']) volumes.push(await stopped(label, full));
  const savedAt = (label: string, minute: number) =>
    db('saved_states')
      .where({ thread_id: threadOf(label) })
      .update({ saved_at: new Date(Date.UTC(2026, 0, 1, 0, minute)) });
  for (const [minute, label] of ['first', 'second', 'third'].entries()) await savedAt(label, minute);
  await db('saved_states')
    .where({ thread_id: threadOf('unsaved') })
    .update({ snapshot: null });
  await full.sweep();
  assert.deepEqual(dropped(), ['first', 'second', 'third'].map(threadOf));
  assert.deepEqual(await Promise.all(volumes.map(isThere)), [false, false, false, true]);
  ranWith((await full.ask('cat work.txt', at('first'))).text, 'first');
});
