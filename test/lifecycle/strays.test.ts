import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { placeFiles } from '../../src/containers/inbox.ts';
import { removeInstallation } from '../../src/containers/remove-installation.ts';
import { endPause, startPause } from '../../src/store/pause.ts';
import { engine } from '../support/engine.ts';
import { ranWith } from '../support/ran-with.ts';
import { until } from '../support/until.ts';
import { openStage, type Stage } from './stage.ts';

const ADMIN = 'bob@example.com';

let stage: Stage;
/** A disk of their own below the disk images. */
let below: string;
before(async () => {
  stage = await openStage({
    WORKSPACE_LIMIT: 'image',
    WORKSPACE_SIZE_BYTES: String(64 * 2 ** 20),
    ADMIN_ADDRESSES: ADMIN,
    COMMAND_CONCURRENCY: '1',
  });
  below = join(stage.bot.dataDir, 'workspaces');
  const image = `${below}.ext4`;
  run('truncate', '-s', '640M', image);
  run('mkfs.ext4', '-q', '-F', '-m', '0', image);
  run('mount', '-o', 'loop', image, below);
});
after(async () => {
  await removeInstallation(engine, stage.bot.app.installation);
  run('umount', below);
  await stage.close();
});

const run = (program: string, ...args: string[]) => execFileSync(program, args, { stdio: 'pipe' });

const at = (label: string) => ({ subject: `[sample#${label}] Work` });
const threadOf = (label: string) => `alice@example.com-sample#${label}`;

/** As after a crash: the database knows of no session, the engine has all. */
async function forgotten(label: string) {
  await stage.ask(`echo ${label} > work.txt`, at(label));
  const session = await until(async () => {
    const found = await stage.session(threadOf(label));
    return found?.is_saved && found;
  });
  await stage.bot.app
    .db('container_sessions')
    .where({ id: session.id })
    .update({ is_active: false, state: 'ended' });
  return session;
}

test('a workspace without container and session is taken up, saved, warned of and removed', async () => {
  const { container_id, container_name } = await forgotten('volume');
  await stage.inside('echo unsaved > unsaved.txt', threadOf('volume'));
  await stage.inside('echo unsaved > /workspace/sample/unsaved.txt', threadOf('volume'));
  // A helper that was never started.
  const { Image, Config } = await engine.getContainer(container_id).inspect();
  const Labels = { 'threadbox.instance': Config.Labels['threadbox.instance'] ?? '' };
  const { id: helper } = await engine.createContainer({ Image, Labels, HostConfig: { AutoRemove: true } });
  await engine.getContainer(container_id).remove({ force: true });
  stage.forward(61);
  await stage.sweep();
  assert.equal(await stage.isThere(helper), false);
  const taken = await stage.session(threadOf('volume'));
  assert.deepEqual([taken?.is_active, taken?.container_id], [true, container_name]);

  await stage.sweep();
  assert.equal((await stage.session(threadOf('volume')))?.is_saved, true);
  // As when the bot is killed before it has given the workspace to the user of the commands.
  const { Mountpoint } = await engine.getVolume(taken?.volume_name ?? '').inspect();
  execFileSync('sh', ['-c', 'chown -R 0:0 "$0" && chmod -R go= "$0"', Mountpoint]);
  await engine.getContainer(container_name).stop({ t: 0 });
  stage.forward(41);
  await stage.sweep();
  await stage.mailLike(new RegExp(`Thread ${threadOf('volume')}`));
  stage.forward(6);
  await stage.sweep();
  assert.equal((await stage.session(threadOf('volume')))?.state, 'ended');
  assert.equal(await stage.isThere(container_name), false);
  ranWith((await stage.ask('cat work.txt unsaved.txt', at('volume'))).text, 'volume\nunsaved');
});

test('a container without a session is taken up without a restart, and its saved state does not expire any more', async () => {
  const session = await forgotten('running');
  const { db } = stage.bot.app;
  const expiresAt = new Date(stage.now().getTime() + 3600_000);
  await db('saved_states')
    .where({ thread_id: threadOf('running') })
    .update({ expires_at: expiresAt, volume_name: session.volume_name });
  stage.forward(61);
  await stage.sweep();
  const taken = await stage.session(threadOf('running'));
  assert.deepEqual([taken?.is_active, taken?.network], [true, 'internet']);
  const saved = await db('saved_states')
    .where({ thread_id: threadOf('running') })
    .first();
  assert.deepEqual([saved.state, saved.expires_at, saved.volume_name], ['current', null, null]);
  ranWith((await stage.ask('cat work.txt', at('running'))).text, 'running');
});

test('a command in a workspace that was just taken up runs in its container', async () => {
  const { container_id } = await forgotten('command');
  await engine.getContainer(container_id).remove({ force: true });
  stage.forward(61);
  await stage.sweep();
  ranWith((await stage.ask('cat work.txt', at('command'))).text, 'command');
});

const imageOf = (volume: string) =>
  join(stage.bot.dataDir, 'workspaces', stage.bot.app.installation, `${volume}.img`);

async function saved(label: string) {
  await stage.ask(`echo ${label} > work.txt`, at(label));
  return until(async () => {
    const found = await stage.session(threadOf(label));
    return found?.is_saved && found;
  });
}

test('in an engine that was begun anew, a thread has its disk again, with what was not saved', async () => {
  const { container_id, volume_name } = await saved('anew');
  await stage.inside('echo unsaved > /workspace/sample/unsaved.txt', threadOf('anew'));
  await engine.getContainer(container_id).remove({ force: true });
  await engine.getVolume(volume_name).remove();
  stage.forward(61);
  await stage.sweep();
  assert.ok(stage.bot.lines.some(({ msg, volume }) => volume === volume_name && /volume again/.test(msg)));
  ranWith((await stage.ask('cat work.txt unsaved.txt', at('anew'))).text, 'anew\nunsaved');
});

test('a workspace whose disk has gone is told as lost, whatever its session is, and what was saved before comes back', async () => {
  const { db } = stage.bot.app;
  const sessions = [await saved('idle'), await saved('failed')];
  for (const { container_id, volume_name } of sessions) {
    await engine.getContainer(container_id).stop({ t: 0 });
    await rm(imageOf(volume_name));
  }
  await db('container_sessions')
    .where({ id: sessions[1]?.id })
    .update({ state: 'save_failed', check_at: stage.now() });
  stage.forward(41);
  await stage.sweep();
  stage.forward(6);
  await stage.sweep();
  const errors = stage.bot.lines.filter(({ level }) => level >= 50).map(({ msg }) => msg);
  assert.deepEqual(
    errors,
    sessions.map(() => 'the disk of a workspace has gone: what was saved before is all there is'),
  );
  const told = /^The container and the workspace of sample were gone\n[^]* comes back with your next command/;
  await until(async () => (await stage.mailsLike(told)) === 2);
  for (const label of ['idle', 'failed']) {
    assert.equal((await stage.session(threadOf(label)))?.state, 'ended');
    const answer = await stage.ask('cat work.txt', at(label));
    ranWith(answer.text, label);
    assert.match(answer.text, /Its\s+container\s+was\s+gone/);
  }
});

test('a disk that takes no new files any more is mounted anew with the next command, which is told', async () => {
  const { container_id } = await saved('stuck');
  // As Linux before 6.15 leaves one that it could not write to; from among its own processes, whose numbers may be others here.
  const remount = await engine.createContainer({
    Image: process.env['CONTAINER_IMAGE'] ?? '',
    Entrypoint: ['nsenter', '-t', '1', '-m', 'mount', '-o', 'remount,bind,ro', '/workspace'],
    User: '0',
    Labels: { 'threadbox.instance': stage.bot.app.installation },
    HostConfig: {
      CapAdd: ['SYS_ADMIN', 'SYS_CHROOT', 'SYS_PTRACE'],
      PidMode: `container:${container_id}`,
      NetworkMode: 'none',
    },
  });
  try {
    // Not while the save has a file open.
    await until(async () => {
      await remount.start();
      return ((await remount.wait()) as { StatusCode: number }).StatusCode === 0;
    });
  } finally {
    await remount.remove({ force: true });
  }
  // With what comes with a command that would be found out first.
  const files = [{ name: 'a', content: Buffer.from('a') }];
  const placing = placeFiles(engine, container_id, {
    commandId: 1_000,
    files,
    signal: AbortSignal.timeout(60_000),
  });
  await assert.rejects(placing, { code: 'WORKSPACE_UNWRITABLE' });
  const { text } = await stage.ask('cat work.txt; touch new && echo new', at('stuck'));
  ranWith(text, 'stuck\nnew');
  assert.match(text.replaceAll(/\s+/g, ' '), /took no new files any more,.* your container was started anew/);
  assert.doesNotMatch((await stage.ask('echo on', at('stuck'))).text, /started anew/);
});

test('no command is started while the disk below the workspaces is nearly full; what runs goes on, and no work is lost', async () => {
  await saved('full');
  const body =
    'until [ -e ../go ]; do sleep 0.05; done; head -c 8000000 /dev/urandom > big; sha256sum big | tee sum';
  const running = stage.ask(body, at('full'));
  await stage.untilRuns('sleep 0.05', threadOf('full'));
  // It waits for the place that the other has.
  const next = stage.ask('echo next', at('next'));
  await until(() =>
    stage.bot.app
      .db('commands')
      .where({ thread_id: threadOf('next') })
      .first(),
  );
  const { bavail, bsize } = await statfs(below);
  const filler = join(below, 'filler');
  run('fallocate', '-l', String(bavail * bsize - 100 * 2 ** 20), filler);
  const waiting = stage.ask('echo new > new.txt; cat new.txt', at('other'));
  const told = (await stage.mailLike(/^Your command is waiting/)).text.replaceAll(/\s+/g, ' ');
  assert.match(told, /the disk of the machine has \d+ MB left, and nothing is started there below 256 MB/);
  const toAdmin = await stage.mailLike(/^Commands wait, as the disk of workspaces is nearly full/, ADMIN);
  assert.ok(toAdmin.text.includes(below));
  // One that is under way has room to come to its end.
  await stage.inside('touch /workspace/go', threadOf('full'));
  const { text } = await running;
  assert.match(text, /^Exit code 0/);
  assert.doesNotMatch(text, /may be lost/);
  const [sum] = /[a-f0-9]{64}/.exec(text) ?? [];
  for (const label of ['other', 'next']) assert.equal(await stage.session(threadOf(label)), undefined);
  // None of those that wait keeps the place from what may make room.
  assert.match((await stage.ask('save', at('full'))).text, /^Saved/);
  await rm(filler);
  for (const { text: said } of [await waiting, await next]) assert.match(said, /^Exit code 0/);
  // As it lies on the disk, not in the page cache.
  const { container_id: id } = await saved('full');
  await engine.getContainer(id).stop({ t: 0 });
  assert.ok(sum);
  ranWith((await stage.ask('sha256sum -c sum && cat work.txt', at('full'))).text, 'big: OK\nfull');
  const short = await stage.mailsLike(/^Your command is waiting/);
  assert.deepEqual([short, await stage.mailsLike(/nearly full/, ADMIN)], [1, 1]);
});

test('what has waited for room waits on where Threadbox was paused meanwhile', async () => {
  const { db } = stage.bot.app;
  const { bavail, bsize } = await statfs(below);
  const filler = join(below, 'filler');
  run('fallocate', '-l', String(bavail * bsize - 100 * 2 ** 20), filler);
  const waiting = stage.ask('echo late', at('paused'));
  await until(async () => (await stage.mailsLike(/^Your command is waiting/)) === 2);
  await startPause(db, 'the disk is cleared');
  await rm(filler);
  await stage.mailLike(/^Threadbox is paused, and your command is waiting/);
  assert.equal(await stage.session(threadOf('paused')), undefined);
  await endPause(db);
  ranWith((await waiting).text, 'late');
});
