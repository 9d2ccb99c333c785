import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { after, before, test } from 'node:test';
import { connectEmbedded } from '../../src/embedded/embedded.ts';
import { sendToBot } from '../../src/cli/write-to-bot.ts';
import { askRemoval, isRemovalAsked } from '../../src/store/session-ends.ts';
import { ALICE } from '../support/app.ts';
import { engine } from '../support/engine.ts';
import { ranWith } from '../support/ran-with.ts';
import { until } from '../support/until.ts';
import { holdBefore, openStage, type Stage } from './stage.ts';

const run = promisify(execFile);
/** The saves lie on a disk of their own, which can be filled. */
const SAVES_DISK_BYTES = 64_000_000;
const ADMIN = 'admin@example.com';
let stage: Stage;
before(async () => {
  stage = await openStage({ ADMIN_ADDRESSES: ADMIN });
  await mkdir(savesDir(), { recursive: true });
  await run('mount', ['-t', 'tmpfs', '-o', `size=${SAVES_DISK_BYTES}`, 'tmpfs', savesDir()]);
});
after(async () => {
  // The save after the last command may still be under way there.
  await run('umount', ['--lazy', savesDir()]);
  await stage.close();
});

const at = (label: string) => ({ subject: `[sample#${label}] Work` });
const threadOf = (label: string) => `alice@example.com-sample#${label}`;

/** Beyond warning and grace. */
async function idleToTheEnd(): Promise<void> {
  stage.forward(41);
  await stage.sweep();
  stage.forward(6);
  await stage.sweep();
}

/** Where the bot keeps what it has saved. */
function savesDir(): string {
  const { app, dataDir } = stage.bot;
  return join(dataDir, 'saves', app.installation);
}

test('with a full disk the container is kept, stopped; owner and admin hear of it; with room again all is saved and removed', async () => {
  await stage.ask('echo precious > precious.txt', at('full'));
  const begun = await until(async () => {
    const session = await stage.session(threadOf('full'));
    return session?.is_saved && session;
  });
  const filler = join(savesDir(), 'filler');
  await writeFile(filler, Buffer.alloc(SAVES_DISK_BYTES - 4_000_000));
  await stage.ask('head -c 9000000 /dev/urandom > more.bin; sha256sum more.bin > sum', at('full'));
  for (const count of [1, 2, 2, 3]) {
    await until(async () => (await stage.session(threadOf('full')))?.save_failures === count);
    stage.forward(1.1);
    await stage.sweep();
  }
  await idleToTheEnd();
  const failed = await stage.session(threadOf('full'));
  assert.deepEqual([failed?.state, failed?.is_active], ['save_failed', true]);
  const { State } = await engine.getContainer(begun.container_id).inspect();
  assert.equal(State.Running, false);
  await stage.mailLike(/^Your work in sample could not be saved yet[^]*disk is full/);
  await stage.mailLike(/^A save failed in sample[^]*disk is full/, ADMIN);
  await rm(filler);
  stage.forward(120);
  await stage.sweep();
  assert.equal((await stage.session(threadOf('full')))?.state, 'ended');
  assert.equal(await stage.isThere(begun.container_id), false);
  // What comes back is what was saved, not the workspace that was kept besides.
  await engine.getVolume(begun.volume_name).remove();
  const text = (await stage.ask('cat precious.txt; sha256sum --check sum', at('full'))).text;
  ranWith(text, 'precious\nmore.bin: OK');
  assert.equal(await stage.mailsLike(/^Your work in sample could not be saved yet/), 1);
});

test('a container stopped or removed behind the back of the bot loses nothing', async () => {
  await stage.ask('echo one > one.txt', at('back'));
  const first = await stage.session(threadOf('back'));
  await engine.getContainer(first?.container_id ?? '').stop({ t: 0 });
  ranWith((await stage.ask('cat one.txt; echo two > two.txt', at('back'))).text, 'one');
  const second = await stage.session(threadOf('back'));
  await engine.getContainer(second?.container_id ?? '').remove({ force: true });
  ranWith((await stage.ask('cat one.txt two.txt; echo three > three.txt', at('back'))).text, 'one\ntwo');
  const third = await stage.session(threadOf('back'));
  await engine.getContainer(third?.container_id ?? '').remove({ force: true });
  await idleToTheEnd();
  assert.equal((await stage.session(threadOf('back')))?.state, 'ended');
  ranWith((await stage.ask('cat one.txt two.txt three.txt', at('back'))).text, 'one\ntwo\nthree');
});

test('a host that lost container and volume after a command has the state saved after that command', async () => {
  await stage.ask('echo saved > saved.txt; git checkout --quiet -b feature', at('lost'));
  const session = await until(async () => {
    const found = await stage.session(threadOf('lost'));
    return found?.is_saved && found;
  });
  await engine.getContainer(session.container_id).remove({ force: true });
  await engine.getVolume(session.volume_name).remove();
  const again = await stage.ask('cat saved.txt; git status --short --branch', at('lost'));
  ranWith(again.text, 'saved\n## feature\n?? saved.txt');
  assert.match(
    again.text,
    /was restored: .*Its container was gone; what happened after that time is not in it\.$/m,
  );
});

test('the upstream forced to another history: what was saved on the old one comes back whole, its base included', async () => {
  const work = 'echo mine > mine.txt; git add .; git commit --quiet -m Mine; echo more > more.txt';
  await stage.ask(`${work}; git rev-parse HEAD~1 > ../base`, at('forced'));
  await stage.ask('mv ../base base.txt; stop', at('forced'));
  await stage.ask('stop', at('forced'));
  const session = await stage.session(threadOf('forced'));
  await engine.getVolume(session?.volume_name ?? '').remove();
  await stage.bot.upstream.replaceHistory({ 'README.md': '# Another\n' });
  const look =
    'cat README.md mine.txt more.txt; git log --format=%s; git cat-file -t "$(cat base.txt)"; git fsck';
  const { text } = await stage.ask(look, at('forced'));
  ranWith(text, /^# Sample\nmine\nmore\nAuto-save: .*\nMine\nStart\ncommit\n/m);
  assert.doesNotMatch(text, /missing|broken|error/);
});

test('a clock set forward an hour: what runs is not cut off, not even by a restart, and who is idle is warned first', async () => {
  const { subject } = at('clock');
  const body = 'until [ -e go ]; do sleep 0.05; done; echo to its end';
  await sendToBot(stage.bot.userAt(ALICE), { to: stage.bot.botAddress, subject, body });
  await stage.untilRuns('sleep 0.05', threadOf('clock'));
  stage.forward(60);
  await stage.bot.restart();
  await stage.sweep();
  // The new bot waits for its end, too.
  await stage.untilRuns('bash -c eval "$_THREADBOX_RUN"', threadOf('clock'));
  await stage.inside('touch /workspace/sample/go', threadOf('clock'));
  ranWith((await stage.mailLike(/^Exit code [^]*until \[ -e go \]/)).text, 'to its end');
  stage.forward(60);
  await stage.sweep();
  assert.equal((await stage.session(threadOf('clock')))?.is_active, true);
  await stage.mailLike(new RegExp(`Thread ${threadOf('clock')}`));
  stage.forward(6);
  await stage.sweep();
  assert.equal((await stage.session(threadOf('clock')))?.is_active, false);
});

test('a command that comes in the middle of a removal waits for its end, and finds the work restored', async () => {
  const { db } = stage.bot.app;
  const mail = { to: stage.bot.botAddress, ...at('moment') };
  await stage.ask('echo here > here.txt', at('moment'));
  for (const state of ['removing', 'ended'] as const) {
    const going = await stage.session(threadOf('moment'));
    stage.forward(41);
    await stage.sweep();
    stage.forward(6);
    const hold = await holdBefore(db, state);
    const sweeping = stage.sweep();
    await until(hold.isHolding);
    // All is saved, and it is to go; or it has gone.
    assert.equal(await stage.isThere(going?.container_id ?? ''), state === 'removing');
    await sendToBot(stage.bot.userAt(ALICE), { ...mail, body: `cat here.txt; echo came before ${state}` });
    const waiting = await until(() =>
      db('commands')
        .where({ thread_id: threadOf('moment'), state: 'queued' })
        .first(),
    );
    assert.equal(waiting.started_at, null);
    assert.equal((await stage.session(threadOf('moment')))?.is_active, true);
    await hold.letGo();
    await sweeping;
    const answer = await stage.mailLike(new RegExp(`^came before ${state}$`, 'm'));
    ranWith(answer.text, `here\ncame before ${state}`);
    assert.match(answer.text, /^Your work of .* was restored: /m);
    const command = await db('commands').where({ id: waiting.id }).first();
    const now = await stage.session(threadOf('moment'));
    assert.equal(command.container_session_id, now?.id);
    assert.notEqual(now?.id, going?.id);
  }
});

test('a corrupt repository keeps its container, stopped; owner and admin hear of it; mended, it is saved and removed', async () => {
  await stage.ask(
    `echo work > work.txt; git add .; git commit -qm Work; cp -a .git/objects ../good
find .git/objects -type f -path '*/??/*' -exec chmod u+w {} + -exec truncate -s 3 {} +`,
    at('corrupt'),
  );
  const {
    id = 0,
    container_id: container = '',
    volume_name: volume = '',
  } = (await stage.session(threadOf('corrupt'))) ?? {};
  await idleToTheEnd();
  assert.equal((await stage.session(threadOf('corrupt')))?.state, 'save_failed');
  const { State } = await engine.getContainer(container).inspect();
  assert.equal(State.Running, false);
  const words = /could not be saved yet[^]*(?:corrupt|bad object|loose object)[^]*#corrupt/;
  await stage.mailLike(words);
  await stage.mailLike(/^A save failed in sample[^]*#corrupt/, ADMIN);
  stage.forward(2);
  // Who wants it removed hears that it is kept; the wish does not outlive that.
  await askRemoval(stage.bot.app.db, id, stage.now());
  await stage.sweep();
  assert.equal((await stage.session(threadOf('corrupt')))?.state, 'save_failed');
  assert.equal(await isRemovalAsked(stage.bot.app.db, id), false);
  assert.equal(await stage.mailsLike(words), 1);
  assert.match((await stage.ask('save', at('corrupt'))).text, /^"save" could not be done\n/);
  assert.equal((await engine.getContainer(container).inspect()).State.Running, false);

  await engine.getContainer(container).start();
  await stage.inside('cp -af /workspace/good/. /workspace/sample/.git/objects', threadOf('corrupt'));
  assert.match((await stage.ask('save', at('corrupt'))).text, /^Saved/);
  // It runs, so it is one of those whose idle time counts.
  assert.equal((await stage.session(threadOf('corrupt')))?.state, 'active');
  await idleToTheEnd();
  assert.equal((await stage.session(threadOf('corrupt')))?.state, 'ended');
  assert.equal(await stage.isThere(container), false);
  await engine.getVolume(volume).remove();
  const { text } = await stage.ask(
    'cat work.txt; git log -1 --format=%s; git fsck --no-dangling',
    at('corrupt'),
  );
  ranWith(text, 'work\nWork');
});

test('an expiring state is announced, kept by keep, and once expired the repository is started from again', async () => {
  await stage.ask('echo old > old.txt', at('expiry'));
  await stage.ask('stop', at('expiry'));
  const session = await stage.session(threadOf('expiry'));
  stage.forward(6 * 24 * 60 + 10);
  await stage.sweep();
  const announced = await stage.mailLike(/^Your saved work in sample expires/);
  assert.match((await stage.ask('keep', { ...at('expiry'), inReplyTo: announced })).text, /^Kept until /);
  stage.forward(2 * 24 * 60);
  await stage.sweep();
  assert.equal(await volumeIsThere(session?.volume_name), true);
  stage.forward(6 * 24 * 60);
  await stage.sweep();
  stage.forward(24 * 60 + 1);
  await stage.sweep();
  assert.equal(await volumeIsThere(session?.volume_name), false);
  const again = await stage.ask('ls', at('expiry'));
  ranWith(again.text, /^README\.md$/m);
  assert.doesNotMatch(again.text, /old\.txt/);
  assert.match(again.text, /^The saved state of .* has expired/m);
  assert.doesNotMatch((await stage.ask('ls', at('expiry'))).text, /has expired/);
});

async function volumeIsThere(name = ''): Promise<boolean> {
  return engine
    .getVolume(name)
    .inspect()
    .then(
      () => true,
      () => false,
    );
}

test('Redis shows the saved commit, also after somebody has flushed it', async () => {
  await stage.ask('echo x > x.txt', at('redis'));
  await stage.ask('stop', at('redis'));
  const { redisUrl } = (await connectEmbedded(stage.bot.dataDir)) ?? {};
  const redis = new Redis(redisUrl as string);
  try {
    const key = `container:state:${threadOf('redis')}`;
    const state = JSON.parse((await redis.get(key)) ?? 'null') as { commit: string; isActive: boolean };
    assert.match(state.commit, /^[0-9a-f]{40}$/);
    assert.equal(state.isActive, false);
    const leftSeconds = await redis.ttl(key);
    assert.ok(leftSeconds > 6.9 * 86_400 && leftSeconds <= 7 * 86_400, `${leftSeconds} s`);
    await redis.flushall();
    await stage.sweep();
    const rebuilt = await until(async () => redis.get(key));
    assert.deepEqual(JSON.parse(rebuilt), state);
  } finally {
    redis.disconnect();
  }
});

test('what a crash left in the engine without a session is taken up, saved and removed', async () => {
  await stage.ask('echo stray > stray.txt', at('stray'));
  const session = await stage.session(threadOf('stray'));
  await stage.bot.app
    .db('container_sessions')
    .where({ thread_id: threadOf('stray') })
    .update({ is_active: false, state: 'ended' });
  await stage.bot.restart();
  await until(async () => (await stage.session(threadOf('stray')))?.is_active);
  await idleToTheEnd();
  assert.equal(await stage.isThere(session?.container_id ?? ''), false);
  ranWith((await stage.ask('cat stray.txt', at('stray'))).text, 'stray');
});
