import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readlink, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { makeDisk, linkOf, dropDisk } from '../../src/containers/disk-image.ts';
import { placeFiles } from '../../src/containers/inbox.ts';
import { saveWorkspace } from '../../src/containers/save.ts';
import { chooseWay, type WorkspaceLimit } from '../../src/containers/workspace-limit.ts';
import { readyVolume, removeStrayDisks, removeVolume } from '../../src/containers/workspace-volume.ts';
import { collectedLog } from '../support/collected-log.ts';
import { closeAll } from '../support/close-all.ts';
import { until } from '../support/until.ts';
import { docker, image, never, startRig, temporaryDir, text, written, type Rig } from '../containers/rig.ts';
import { cutOffWhileItGrows } from './cut-off-growth.ts';
import { watchedWith } from './watched-with.ts';

const MB = 2 ** 20;
const losetup = (...args: string[]): string => execFileSync('losetup', args, { encoding: 'utf8' }).trim();
const dumpe2fs = (file: string): string =>
  execFileSync('dumpe2fs', ['-h', file], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });

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
      // What a helper has attached is known by the end of its path alone.
      .filter((file) => file.startsWith(limit.imagesDir) || file.includes(rig.container.volumeName));

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
    const of = { instance: `${rig.instance}-trial`, imagesDir: limit.imagesDir, now: () => new Date() };
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

  it('full, files are put there whole or not at all, which is told; and it can still be saved', async () => {
    const files = [
      { name: 'a', content: Buffer.from('a') },
      { name: 'b', content: Buffer.alloc(2 * MB) },
    ];
    const placing = placeFiles(docker, rig.container.id, { commandId: 7, files, signal: never });
    await assert.rejects(placing, {
      code: 'WORKSPACE',
      message:
        /: it is full\. None of them is there\. Make room with a command in a mail that has none attached/,
    });
    assert.equal(await says('ls -A /workspace/.inbox; rmdir /workspace/.inbox'), '');
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
      // Before it takes all the room that there is.
      const said = `echo round ${round}; ${written(`round ${round}`)}`;
      const again = await rig.run(`${said}; cat /dev/zero > ../big${round}; false`);
      assert.match(text(again), new RegExp(`^round ${round}\n.*No space left on device`));
    }
    assert.equal(await says('rm -v ../big*'), "removed '../big'\nremoved '../big1'\nremoved '../big2'");
    // What is deleted is given back to the host.
    const usedMb = async () =>
      Number(execFileSync('du', ['-m', imageFile()], { encoding: 'utf8' }).split('\t')[0]);
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
      assert.ok(existsSync(imageFile()), `round ${round}`);
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
    execFileSync('rm', [imageFile()]);
    await assert.rejects(rig.ensure({ isForWork: true }), { code: 'WORKSPACE_LOST' });
    const told = lines.filter(({ level }) => level >= 50).map(({ msg }) => msg);
    assert.deepEqual(told, ['the disk of a workspace has gone: what was saved before is all there is']);
    await assert.rejects(rig.ensure({ isForWork: true }), { code: 'WORKSPACE_LOST' });
    rig.container = await rig.ensure();
    await rig.prepare();
    assert.equal(await says('ls'), 'README.md\nlogo.bin\nsrc');
    assert.equal(attached().length, 1);
  });

  it('a bot that is not root does all of it by a helper container: made, full, attached again, mended, grown, let go', async () => {
    await docker.getContainer(rig.container.id).remove({ force: true });
    await removeVolume(docker, rig.container.volumeName, limit);
    const helper = { image, imageReady: () => Promise.resolve() };
    const of = { instance: rig.instance, imagesDir: limit.imagesDir, now: () => new Date() };
    const { getuid } = process;
    let chosen: Awaited<ReturnType<typeof chooseWay>>;
    try {
      process.getuid = () => 1000;
      chosen = await chooseWay(docker, { wanted: 'auto', ...of, helper });
    } finally {
      Object.assign(process, { getuid });
    }
    assert.ok(chosen.way === 'image' && chosen.tools.way === 'helper', JSON.stringify(chosen));
    assert.deepEqual([await readdir(limit.imagesDir), attached()], [[], []]);

    limit.tools = chosen.tools;
    room.sizeBytes = 40 * MB;
    rig.container = await rig.ensure();
    await rig.prepare();
    assert.match(
      await says('echo kept >kept.txt; cat /dev/zero >../big; rm ../big'),
      /No space left on device/,
    );
    await stop();
    // As one is left by a machine that has lost its power: it has not been checked since.
    const device = await readlink(link);
    losetup('-d', device);
    execFileSync('debugfs', ['-w', '-R', 'set_super_value state 2', imageFile()], { stdio: 'pipe' });
    const name = `${rig.instance}-other`;
    const other = linkOf(limit.imagesDir, name);
    // Most likely at the same number as before, unless another test was quicker.
    await makeDisk(other, 32 * MB, limit.tools);
    room.sizeBytes = 72 * MB;
    await rig.ensure();
    assert.equal(await says('cat kept.txt; ls -A /workspace'), 'kept\n.home\n.threadbox\nmy-app');
    const bytes = Number(await says('read -r a b < <(stat -f -c "%b %S" /workspace); echo $((a * b))'));
    assert.ok(bytes > 60 * MB && bytes < 72 * MB, `${bytes / MB} MB`);
    assert.match(dumpe2fs(imageFile()), /state: +clean\n/);
    await removeStrays(() => false);
    assert.deepEqual((await readdir(limit.imagesDir)).length, 2);
    await stop();
    limit.tools = cutOffWhileItGrows(rig.instance, imageFile(), chosen.tools);
    room.sizeBytes = 96 * MB;
    await assert.rejects(rig.ensure(), { code: 'DOCKER_UNREACHABLE' });
    assert.throws(() => dumpe2fs(imageFile()));
    limit.tools = chosen.tools;
    await rig.ensure();
    assert.equal(await says('cat kept.txt; ls -A /workspace'), 'kept\n.home\n.threadbox\nmy-app');
    assert.match(dumpe2fs(imageFile()), /state: +clean\n[^]*\nBlock count: +24576\n/);
    assert.deepEqual((await readdir(limit.imagesDir)).length, 2);
    // Somebody has removed the file of one that is attached.
    await makeDisk(other, 32 * MB, limit.tools);
    await rm(join(limit.imagesDir, `${name}.img`));
    await removeStrays(() => true);
    assert.equal(losetup('-l', '-n', '-O', 'BACK-FILE').includes(name), false);
  });

  const labels = (name: string) => ({ 'threadbox.instance': rig.instance, 'threadbox.thread': name });
  const removeStrays = (isKept: (name: string) => boolean) =>
    removeStrayDisks(docker, { instance: rig.instance, limit, now: new Date() }, (name) =>
      Promise.resolve(isKept(name)),
    );
  const imageFile = () => join(limit.imagesDir, `${rig.container.volumeName}.img`);
});
