import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readlink, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Docker } from '../../src/containers/client.ts';
import {
  attachDisk,
  dropDisk,
  forgetLostDevices,
  growthFault,
  linkOf,
} from '../../src/containers/disk-image.ts';
import { checkLimitMs } from '../../src/containers/disk-scripts.ts';
import type { DiskTools } from '../../src/containers/disk-tools.ts';
import { ContainersError } from '../../src/containers/errors.ts';
import { runInHelper } from '../../src/containers/host-script.ts';
import { readyVolume } from '../../src/containers/workspace-volume.ts';
import { collectedLog } from '../support/collected-log.ts';

// What a helper comes to, without one: what the bot makes of it.

const MB = 2 ** 20;

/** Of 32 MB, as far as anybody looks at it. */
function disk(): Buffer {
  const bytes = Buffer.alloc(4096);
  bytes.writeUInt32LE((32 * MB) / 4096, 1024 + 0x4);
  bytes.writeUInt32LE(2, 1024 + 0x18);
  bytes.writeUInt16LE(0xef53, 1024 + 0x38);
  return bytes;
}

/** A thread's first command, with an engine that has nothing yet. */
async function start(t: TestContext, run: DiskTools['run']) {
  const dir = await mkdtemp(join(tmpdir(), 'threadbox-disks-'));
  t.after(() => rm(dir, { recursive: true }));
  const imagesDir = join(dir, 'workspaces');
  await mkdir(imagesDir);
  const made: unknown[] = [];
  const docker = {
    info: () => Promise.resolve({ MemTotal: 0, DockerRootDir: '/' }),
    getVolume: () => ({ inspect: () => Promise.reject(Object.assign(new Error(), { statusCode: 404 })) }),
    createVolume: (options: unknown) => Promise.resolve(made.push(options)),
  } as unknown as Docker;
  const { log } = collectedLog();
  const limit = { way: 'image', imagesDir, tools: { way: 'helper', run }, log } as const;
  const wanted = { name: 'one', labels: {}, room: { limit, sizeBytes: 32 * MB }, mayBeEmpty: true };
  const link = linkOf(imagesDir, 'one');
  return { made, link, image: link.replace(/dev$/, 'img'), ready: () => readyVolume(docker, wanted) };
}

test('an engine that goes away while it makes or attaches a disk is waited for, not told as a broken disk', async (t) => {
  const away = new ContainersError('DOCKER_UNREACHABLE', 'Docker does not answer');
  const thread = await start(t, () => Promise.reject(away));
  await assert.rejects(thread.ready(), { code: 'DOCKER_UNREACHABLE' });
  await writeFile(thread.image, disk());
  await assert.rejects(thread.ready(), { code: 'DOCKER_UNREACHABLE' });
  const broken = await start(t, () => Promise.reject(new Error('no room')));
  await assert.rejects(broken.ready(), { code: 'WORKSPACE', message: /cannot be made: no room$/ });
});

test('a disk that comes to its name by the helper of a bot that was killed is used', async (t) => {
  let runs = 0;
  const thread = await start(t, async () => {
    if ((runs += 1) > 1) return '/dev/loop7\n';
    await writeFile(thread.image, disk());
    throw new Error(`${thread.image} is there already`);
  });
  assert.equal(await thread.ready(), true);
  assert.deepEqual([await readlink(thread.link), thread.made.length], ['/dev/loop7', 1]);
});

test('where a disk cannot grow, its link leads to no device that was let go', async (t) => {
  const thread = await start(t, () => Promise.resolve(''));
  await writeFile(thread.image, disk());
  const said = ['/dev/loop7\n', new Error('resize2fs: no'), '/dev/loop8\n'];
  const run = (): Promise<string> => {
    const next = said.shift() ?? '';
    return typeof next === 'string' ? Promise.resolve(next) : Promise.reject(next);
  };
  const faults: unknown[] = [];
  const onFault = (error: unknown) => faults.push((error as Error).message);
  assert.equal(await attachDisk(thread.link, 64 * MB, onFault, { way: 'helper', run }), true);
  assert.deepEqual([await readlink(thread.link), faults], ['/dev/loop8', ['resize2fs: no']]);
});

test('a disk does not grow by more than the disk below it has free, which is said; it is used as it is', async (t) => {
  const thread = await start(t, () => Promise.resolve(''));
  await writeFile(thread.image, disk());
  const run = (): Promise<string> => Promise.resolve('/dev/loop7\n');
  const faults: string[] = [];
  const onFault = (error: unknown) => faults.push((error as Error).message);
  assert.equal(await attachDisk(thread.link, 2 ** 50, onFault, { way: 'helper', run }), true);
  assert.match(
    faults.join(),
    /^it stays at 32 MB: to grow to \d+ MB it would need more than the \d+ MB that are free/,
  );
  assert.equal((await stat(thread.image)).size, disk().length);
  const most = { sizeBytes: 64 * MB, hasBytes: 32 * MB };
  assert.equal(growthFault({ ...most, freeBytes: 32 * MB }), null);
  assert.match(growthFault({ ...most, freeBytes: 32 * MB - 1 }) ?? '', /^it stays at 32 MB/);
});

test('a disk that was being checked or grown when that was cut off is looked at again, and for long where it is large', async (t) => {
  const thread = await start(t, () => Promise.resolve(''));
  await writeFile(thread.image, disk());
  await symlink('/dev/loop7', thread.link);
  await writeFile(`${thread.image}.check`, '');
  const limits: unknown[] = [];
  const run: DiskTools['run'] = (_, __, ___, limitMs) => {
    limits.push(limitMs);
    return Promise.resolve('/dev/loop7\n');
  };
  await attachDisk(thread.link, 32 * MB, (error) => assert.fail(String(error)), { way: 'direct', run });
  assert.deepEqual(limits, [checkLimitMs(32 * MB)]);
  assert.deepEqual([checkLimitMs(0), checkLimitMs(10 * 2 ** 30)], [120_000, 420_000]);
  await dropDisk(thread.link, { way: 'direct', run });
  assert.deepEqual(await readdir(join(thread.link, '..')), []);
});

test('links to devices of before a start of the machine go after one look, but none that was led anew meanwhile', async (t) => {
  const thread = await start(t, () => Promise.resolve(''));
  const dir = join(thread.link, '..');
  for (const name of ['one', 'two', 'three', 'four']) await symlink('/dev/loop7', linkOf(dir, name));
  let runs = 0;
  const run = async (): Promise<string> => {
    runs += 1;
    await symlink('/dev/loop7', `${thread.link}.new`);
    await rename(`${thread.link}.new`, thread.link);
    return `/dev/loop7 ${linkOf(dir, 'two').replace(/dev$/, 'img')}\n`;
  };
  await forgetLostDevices(dir, { way: 'helper', run });
  assert.deepEqual([(await readdir(dir)).toSorted(), runs], [['one.dev', 'two.dev'], 1]);
});

test('a helper that its engine has ended is a fault of the engine, one whose script fails is not', async () => {
  const ends = (text: string) => ({
    createContainer: () =>
      Promise.resolve({
        attach: () => Promise.resolve([frame(text)]),
        start: () => Promise.resolve(),
        kill: () => Promise.resolve(),
      }),
  });
  const frame = (text: string) => {
    const header = Buffer.from([2, 0, 0, 0, 0, 0, 0, text.length]);
    return Buffer.concat([header, Buffer.from(text)]);
  };
  const of = { image: 'i', instance: 'x', script: '', args: [], limitMs: 1000, doing: 'look', host: {} };
  await assert.rejects(runInHelper(ends('') as unknown as Docker, of), { code: 'CUT_OFF' });
  await assert.rejects(runInHelper(ends('no such disk\n') as unknown as Docker, of), {
    name: 'Error',
    message: 'no such disk',
  });
});
