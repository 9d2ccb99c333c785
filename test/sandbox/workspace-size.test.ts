import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readlink, rename, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it, test } from 'node:test';
import { watchedIn } from '../../src/commands/watched-size.ts';
import { connectDocker } from '../../src/containers/client.ts';
import { sizeInSuperblock, makeDisk, linkOf, dropDisk } from '../../src/containers/disk-image.ts';
import { saveWorkspace } from '../../src/containers/save.ts';
import { chooseWay, type WorkspaceLimit } from '../../src/containers/workspace-limit.ts';
import { readyVolume, removeStrayDisks, removeVolume } from '../../src/containers/workspace-volume.ts';
import { isOutgrown, watchWorkspace } from '../../src/containers/workspace-watch.ts';
import { collectedLog } from '../support/collected-log.ts';
import { closeAll } from '../support/close-all.ts';
import { until } from '../support/until.ts';
import {
  docker,
  dockerHost,
  never,
  silent,
  startRig,
  temporaryDir,
  text,
  type Rig,
} from '../containers/rig.ts';

const MB = 2 ** 20;
const losetup = (...args: string[]): string => execFileSync('losetup', args, { encoding: 'utf8' }).trim();

// All in one workspace of 40 MB. What is large lies beside the repository, where nobody looks for changes.
describe('a workspace on a disk of its own', () => {
  let rig: Rig;
  let limit: WorkspaceLimit;
  let link: string;
  let dir: string;
  let room: { limit: WorkspaceLimit; sizeBytes: number };
  const { log, lines } = collectedLog();
  const closers: (() => unknown)[] = [];
  const scope = { after: (closer: unknown) => void closers.push(closer as () => unknown) };
  const attached = (): string[] =>
    losetup('-l', '-n', '-O', 'BACK-FILE')
      .split('\n')
      .filter((file) => file.startsWith(limit.imagesDir));

  before(async () => {
    dir = await temporaryDir(scope);
    limit = { way: 'image', imagesDir: join(dir, 'workspaces'), log };
    // After the installation was removed.
    scope.after(() => assert.deepEqual(attached(), []));
    scope.after(async () => assert.deepEqual(await readdir(limit.imagesDir), []));
    room = { limit, sizeBytes: 40 * MB };
    rig = await startRig(scope, { room });
    link = linkOf(limit.imagesDir, rig.container.volumeName);
  });
  after(() => closeAll(closers));
  const says = async (script: string) => text(await rig.run(`{ ${script}; } 2>&1`)).trimEnd();
  const stop = () => docker.getContainer(rig.container.id).stop({ t: 0 });

  it('is chosen by itself where the engine has no quotas, and tries leave nothing', async () => {
    const of = { instance: `${rig.instance}-trial`, imagesDir: limit.imagesDir };
    const chosen = await chooseWay(docker, { wanted: 'auto', ...of });
    assert.equal(chosen.way, 'image');
    assert.match(JSON.stringify(chosen), /"quota":".*no quota support"/);
    const refused = await chooseWay(docker, { wanted: 'quota', ...of });
    assert.equal(refused.way, null);
    assert.match(refused.way === null ? refused.reason : '', /no quota support/);
    assert.equal((await chooseWay(docker, { wanted: 'off', ...of })).way, 'off');
    assert.equal((await readdir(limit.imagesDir)).length, 2);
    assert.deepEqual(await watchedWith(rig), []);
  });

  it('ends at its size, is told to be full, and takes less on the host than is in it', async () => {
    const filled = await rig.run('echo kept > kept.txt; cat /dev/zero > ../big; ls -A; false');
    const disk = filled.shortages?.disks.find(({ path }) => path === '/workspace');
    assert.ok(disk && disk.totalBytes > 30 * MB && disk.totalBytes < 40 * MB, JSON.stringify(disk));
    assert.ok(disk.freeBytes < MB);
    assert.equal(await says('ls -A /workspace'), '.home\n.threadbox\nbig\nmy-app');
  });

  it('full, it can still be saved', async () => {
    const saved = await saveWorkspace(docker, rig.container.id, {
      threadId: 'john@example.com-my-app',
      repositoryName: 'my-app',
      kind: 'quick',
      style: 'commit',
      storePath: join(dir, 'saves.git'),
      mirrorPath: rig.mirrorPath,
      savedStateId: 1,
      base: null,
      now: new Date('2024-01-20T10:30:00.123Z'),
      signal: never,
    });
    assert.deepEqual([saved.filesModified, saved.leftOut], [1, ['the disk of the workspace is full']]);
  });

  it('full again and again, commands say what they say, and one that makes room makes room', async () => {
    for (const round of [1, 2]) {
      const again = await rig.run(`echo round ${round}; cat /dev/zero > ../big${round}; false`);
      assert.match(text(again), new RegExp(`^round ${round}\n.*No space left on device`));
    }
    assert.equal(await says('rm -v ../big*'), "removed '../big'\nremoved '../big1'\nremoved '../big2'");
    // What is deleted is given back to the host.
    const usedMb = async () =>
      Number(execFileSync('du', ['-m', image()], { encoding: 'utf8' }).split('\t')[0]);
    await until(async () => (await usedMb()) < 20);
    // Files of no size take a place, too.
    const many =
      'mkdir ../none; for ((i = 0; i < 20000; i++)); do : > ../none/$i || break; done; echo made; false';
    assert.match(await says(many), /No space left on device\nmade$/);
    assert.equal(await says('rm -r ../none; echo gone'), 'gone');
  });

  it('grows when its container is started the next time, never shrinks, and keeps what is in it', async () => {
    const total = async () =>
      Number(await says('stat -f -c "%b * 4096" /workspace | { read -r a b c; echo $((a * c)); }'));
    const before = await total();
    await stop();
    room.sizeBytes = 72 * MB;
    await rig.ensure();
    assert.ok((await total()) >= before + 20 * MB);
    await stop();
    room.sizeBytes = 36 * MB;
    await rig.ensure();
    assert.equal(await says('cat kept.txt; ls -A /workspace'), 'kept\n.home\n.threadbox\nmy-app');
    assert.ok((await total()) >= before + 20 * MB);
    assert.deepEqual(
      lines.filter(({ level }) => level >= 40),
      [],
    );
  });

  it('after a start of the machine its device is made anew; it never gets the disk of another', async () => {
    await stop();
    const device = await readlink(link);
    losetup('-d', device);
    const other = linkOf(limit.imagesDir, 'other');
    await makeDisk(other, 32 * MB);
    // Most likely at the same number as before.
    await rig.ensure();
    assert.equal(await says('cat kept.txt'), 'kept');
    assert.notEqual(await readlink(link), await readlink(other));
    await dropDisk(other);
  });

  it('moved with the directory of all, it keeps what is in it', async () => {
    await stop();
    const moved = `${limit.imagesDir}-moved`;
    await rename(limit.imagesDir, moved);
    limit.imagesDir = moved;
    link = linkOf(moved, rig.container.volumeName);
    rig.container = await rig.ensure({ isForWork: true });
    assert.equal(await says('cat kept.txt'), 'kept');
    const { Options } = await docker.getVolume(rig.container.volumeName).inspect();
    assert.equal(Options?.['device'], link);
  });

  it('an engine that knows no volume gets no disk removed, which is told once, and the work is used again', async () => {
    await docker.getContainer(rig.container.id).remove({ force: true });
    await docker.getVolume(rig.container.volumeName).remove();
    for (const round of [1, 2]) {
      await removeStrays(() => false);
      assert.ok(existsSync(image()), `round ${round}`);
    }
    assert.equal(lines.filter(({ msg }) => msg.includes('Is it another engine?')).length, 1);
    rig.container = await rig.ensure({ isForWork: true });
    assert.equal(await says('cat kept.txt'), 'kept');
  });

  it('is not removed by a sweep that listed it before a thread has it, nor removed twice', async () => {
    const names = ['one', 'two', 'three'];
    const made = names.map((name) =>
      readyVolume(docker, { name: `${rig.instance}-${name}`, labels: labels(name), room, mayBeEmpty: true }),
    );
    await Promise.all([...made, removeStrays(() => false), removeStrays(() => false)]);
    assert.equal(attached().length, 4);
    const removed = names.map((name) => removeVolume(docker, `${rig.instance}-${name}`, limit));
    await Promise.all([...removed, removeStrays(() => false), removeStrays(() => false)]);
    assert.equal(attached().length, 1);
    // A disk in the way is work of somebody.
    await assert.rejects(makeDisk(link, 32 * MB), /is there already/);
    assert.equal(await says('cat kept.txt'), 'kept');
  });

  it('what a crash left between a disk and its volume goes, and a disk that has gone is made anew', async () => {
    await makeDisk(linkOf(limit.imagesDir, 'left-over'), 32 * MB);
    await writeFile(join(limit.imagesDir, 'half.img.part'), 'x');
    await truncate(join(limit.imagesDir, 'half.img.part'), 32 * MB);
    await symlink('/dev/loop0', join(limit.imagesDir, 'half.dev.new'));
    await makeDisk(linkOf(limit.imagesDir, 'of-a-thread'), 32 * MB);
    await removeStrays((name) => name === 'of-a-thread');
    assert.equal((await readdir(limit.imagesDir)).length, 4);
    assert.equal(attached().length, 2);
    await removeStrays(() => false);
    assert.equal((await readdir(limit.imagesDir)).length, 2);
    assert.equal(attached().length, 1);
    assert.equal(await says('cat kept.txt'), 'kept');

    await docker.getContainer(rig.container.id).remove({ force: true });
    execFileSync('rm', [image()]);
    await assert.rejects(rig.ensure({ isForWork: true }), { code: 'WORKSPACE_LOST' });
    const told = lines.filter(({ level }) => level >= 50).map(({ msg }) => msg);
    assert.deepEqual(told, ['the disk of a workspace has gone: what was saved before is all there is']);
    await assert.rejects(rig.ensure({ isForWork: true }), { code: 'WORKSPACE_LOST' });
    rig.container = await rig.ensure();
    await rig.prepare();
    assert.equal(await says('ls'), 'README.md\nlogo.bin\nsrc');
    assert.equal(attached().length, 1);
  });

  const labels = (name: string) => ({ 'threadbox.instance': rig.instance, 'threadbox.thread': name });
  const removeStrays = (isKept: (name: string) => boolean) =>
    removeStrayDisks(docker, { instance: rig.instance, limit }, (name) => Promise.resolve(isKept(name)));
  const image = () => join(limit.imagesDir, `${rig.container.volumeName}.img`);
});

test('where nothing keeps a workspace to its size, a command that adds too much is stopped, and one that makes room is not', async (t) => {
  const rig = await startRig(t);
  const maxBytes = 8 * MB;
  const times = { firstMs: 50, everyMs: 50 };
  const run = async (script: string) => {
    const watch = watchWorkspace(docker, rig.container.id, { maxBytes, signal: never, times });
    const result = await rig.run(script, { cancelled: watch.outgrown });
    return { ending: result.ending, oversize: await watch.finish() };
  };
  const grown = await run('while sleep 0.1; do head -c 20000000 /dev/zero >> ../big; done');
  assert.equal(grown.ending, 'cancelled');
  assert.ok(grown.oversize?.wasStopped && grown.oversize.usedBytes > maxBytes);
  const next = await run('sleep 1');
  assert.equal(next.ending, 'exited');
  assert.ok(next.oversize && !next.oversize.wasStopped && next.oversize.usedBytes > 20_000_000);
  assert.deepEqual(await run('rm ../big'), { ending: 'exited', oversize: null });
  // Made before there was a limit.
  assert.deepEqual(await watchedWith(rig), ['image', 'quota', 'measured']);
});

/** With which ways for new volumes this one is watched, by a bot that has just been started. */
async function watchedWith({ container }: Rig): Promise<string[]> {
  const watched: string[] = [];
  for (const way of ['image', 'quota', 'measured', 'off'] as const) {
    const parts = {
      docker: connectDocker(dockerHost),
      signal: never,
      config: { workspaceSizeBytes: 40 * MB },
    };
    const limit = { way, imagesDir: '', log: silent };
    const { run } = watchedIn({ ...parts, workspaceLimit: limit }, { workspaceBytes: null });
    const session = { containerId: container.id, volumeName: container.volumeName };
    if (await run(session, never, (stopped) => Promise.resolve(stopped !== never))) watched.push(way);
  }
  return watched;
}

test('a command is stopped for what it adds, not for what was there', () => {
  const cases: [beforeMb: number, usedMb: number, isStopped: boolean][] = [
    [10, 100, false],
    [10, 101, true],
    [120, 120, false],
    [120, 90, false],
    [120, 184, false],
    [120, 185, true],
  ];
  for (const [beforeMb, usedMb, isStopped] of cases)
    assert.equal(isOutgrown(beforeMb * MB, usedMb * MB, 100 * MB), isStopped, `${beforeMb} to ${usedMb} MB`);
});

test('the size of a file system is read from its superblock', () => {
  const block = Buffer.alloc(1024);
  assert.equal(sizeInSuperblock(block), null);
  block.writeUInt16LE(0xef53, 0x38);
  block.writeUInt32LE(2, 0x18);
  block.writeUInt32LE(16_384, 0x4);
  assert.equal(sizeInSuperblock(block), 64 * MB);
  block.writeUInt32LE(1, 0x150);
  assert.equal(sizeInSuperblock(block), 64 * MB);
  block.writeUInt32LE(0x80, 0x60);
  assert.equal(sizeInSuperblock(block), 2 ** 44 + 64 * MB);
  assert.equal(sizeInSuperblock(block.subarray(0, 1000)), null);
});
