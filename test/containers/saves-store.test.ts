import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { access, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { hasVolume, removeContainer, removeVolume, stopContainer } from '../../src/containers/container.ts';
import { parseSaveFacts } from '../../src/containers/save-facts.ts';
import { dropSave, exportSave, hasSave, storePathOf } from '../../src/containers/saves-store.ts';
import { docker, git, temporaryDir } from './rig.ts';
import { richUpstream, startSaveRig } from './save-rig.ts';

describe('the store of a thread', () => {
  it('lies under a name that no thread can choose, and that of no two is the same', () => {
    const path = storePathOf('/data/saves', '../../etc#é');
    assert.match(path, /^\/data\/saves\/[0-9a-f]{32}\.git$/);
    assert.notEqual(path, storePathOf('/data/saves', '../../etc#e'));
  });

  it('forgets a saved state with all that only it held, and goes with the last one', async (t) => {
    const rig = await startSaveRig(t);
    const one = await rig.open();
    await one.sh('head -c 2000000 /dev/urandom >large; echo 1 >kept');
    const first = await one.save(1);
    await one.sh('rm large');
    const second = await one.save(2, { base: first.snapshot });
    await one.save(3, { base: second.snapshot });
    const sizeBytes = () =>
      Number(execFileSync('du', ['-sb', rig.storePath], { encoding: 'utf8' }).split('\t')[0]);
    assert.ok(sizeBytes() > 2_000_000);
    await dropSave(rig.storePath, 1);
    assert.ok(sizeBytes() < 300_000, `${sizeBytes()}`);
    assert.deepEqual(await Promise.all([1, 2, 3].map((id) => hasSave(rig.storePath, id))), [
      false,
      true,
      true,
    ]);
    const two = await rig.open({ isEmpty: true });
    await two.prepare(true);
    assert.deepEqual(await two.restore(2), { filesRestored: 1, notes: [] });
    assert.equal(await two.sh('cat kept'), '1\n');
    await dropSave(rig.storePath, 2);
    await dropSave(rig.storePath, 2);
    await dropSave(rig.storePath, 3);
    await assert.rejects(access(rig.storePath));
    await dropSave(rig.storePath, 3);
    assert.equal(await hasSave(rig.storePath, 3), false);
    // The next save begins a new one.
    await one.save(4, { base: second.snapshot });
    assert.equal(await hasSave(rig.storePath, 4), true);
  });

  it('holds one writer at a time, and is for its owner alone', async (t) => {
    const rig = await startSaveRig(t);
    const [one, two] = await Promise.all([rig.open(), rig.open()]);
    await Promise.all([one.sh('echo 1 >x'), two.sh('echo 2 >x')]);
    await Promise.all([one.save(1), two.save(2), one.save(3), dropSave(rig.storePath, 9)]);
    assert.deepEqual(await Promise.all([1, 2, 3].map((id) => hasSave(rig.storePath, id))), [
      true,
      true,
      true,
    ]);
    assert.equal(execFileSync('stat', ['-c', '%a', rig.storePath], { encoding: 'utf8' }), '700\n');
    assert.deepEqual((await readdir(rig.storePath)).toSorted(), ['HEAD', 'config', 'objects', 'refs']);
  });

  it('a saved state is exported as one file that git can clone', async (t) => {
    const rig = await startSaveRig(t, { url: await richUpstream(t) });
    const one = await rig.open();
    await one.sh(`git switch -qc topic; echo 1 >one; git add -A; git commit -qm One; git tag -a mine -m Mine
      git stash push -q 2>/dev/null; echo 2 >>README.md; git stash -q; git branch side; echo 3 >uncommitted`);
    const { commit } = await one.save(1);
    await one.sh('git checkout -q --detach; git tag -d mine');
    await one.save(2);
    await one.sh('rm -rf .git; git init -q');
    await one.save(3);
    const dir = await temporaryDir(t);
    await exportSave(rig.storePath, 1, join(dir, '1.bundle'));
    git(dir, 'clone', '--quiet', '1.bundle', 'clone');
    const clone = join(dir, 'clone');
    assert.equal(git(clone, 'rev-parse', 'HEAD'), `${commit}\n`);
    assert.equal(git(clone, 'status', '--porcelain', '--branch'), '## topic...origin/topic\n');
    assert.match(git(clone, 'branch', '-r'), /origin\/main\n.*origin\/side\n.*origin\/topic/);
    assert.equal(git(clone, 'cat-file', '-t', 'mine'), 'tag\n');
    git(clone, 'fetch', '--quiet', '../1.bundle', 'refs/threadbox/saved:refs/saved', 'refs/stash:refs/stash');
    assert.equal(git(clone, 'show', 'refs/saved:work/uncommitted'), '3\n');
    assert.match(git(clone, 'diff', 'refs/stash~1', 'refs/stash'), /\+2/);
    await exportSave(rig.storePath, 2, join(dir, '2.bundle'));
    git(dir, 'clone', '--quiet', '2.bundle', 'detached');
    assert.equal(git(join(dir, 'detached'), 'rev-parse', 'HEAD'), `${commit}\n`);
    await exportSave(rig.storePath, 3, join(dir, '3.bundle'));
    assert.match(git(dir, 'bundle', 'list-heads', '3.bundle'), /^\w+ refs\/threadbox\/saved\n$/);
    await assert.rejects(exportSave(rig.storePath, 4, join(dir, '4.bundle')), /no saved state 4/);
    await assert.rejects(access(join(dir, '4.bundle')));
  });
});

describe('what a container says of a save', () => {
  it('is taken only where it makes sense', () => {
    const hash = 'a'.repeat(40);
    const text = `threadbox-save 1\nsave ${hash}\ncommit \nbranch we\u001bird\nmodified 3\nunpushed x\ncommitted yes\nunchanged no\nleft a\nleft a\nleft b\n`;
    assert.deepEqual(parseSaveFacts(text), {
      snapshot: hash,
      isUnchanged: false,
      commit: null,
      branch: 'weird',
      filesModified: 3,
      unpushedCommits: 0,
      hasCommitted: true,
      leftOut: ['a', 'b'],
    });
    assert.equal(parseSaveFacts(`threadbox-save 1\nsave --all\n`), null);
    assert.equal(parseSaveFacts(`save ${hash}\n`), null);
    assert.equal(parseSaveFacts(''), null);
  });
});

describe('the end of a container', () => {
  it('is stopped and removed, also twice; its volume is kept until it is removed itself', async (t) => {
    const rig = await startSaveRig(t);
    const { container } = await rig.open();
    const { id, volumeName } = container;
    await stopContainer(docker, id);
    await stopContainer(docker, id);
    assert.equal((await docker.getContainer(id).inspect()).State.Running, false);
    await assert.rejects(removeVolume(docker, volumeName), { code: 'DOCKER_REFUSED' });
    await Promise.all([removeContainer(docker, id), removeContainer(docker, id)]);
    await removeContainer(docker, id);
    await stopContainer(docker, id);
    assert.equal(await hasVolume(docker, volumeName), true);
    await removeVolume(docker, volumeName);
    await removeVolume(docker, volumeName);
    assert.equal(await hasVolume(docker, volumeName), false);
  });
});
