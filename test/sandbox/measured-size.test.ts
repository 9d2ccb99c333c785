import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sizeInSuperblock } from '../../src/containers/ext4.ts';
import { isOutgrown, watchWorkspace } from '../../src/containers/workspace-watch.ts';
import { docker, never, startRig } from '../containers/rig.ts';
import { watchedWith } from './watched-with.ts';

const MB = 2 ** 20;

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
