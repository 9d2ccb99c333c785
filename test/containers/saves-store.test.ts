import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { access, mkdir, readdir, rm, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, it } from 'node:test';
import { hasVolume, removeContainer, removeVolume, stopContainer } from '../../src/containers/container.ts';
import { parseSaveFacts } from '../../src/containers/save-facts.ts';
import { dropSave, exportSave, hasSave, storePathOf } from '../../src/containers/saves-store.ts';
import { tidyStore } from '../../src/containers/tidy-store.ts';
import { takeLock } from '../../src/lock.ts';
import { docker, execIn, git, temporaryDir } from './rig.ts';
import { leftovers, richUpstream, startSaveRig } from './save-rig.ts';

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

  it('keeps an older state beside each, which goes with it', async (t) => {
    const rig = await startSaveRig(t);
    const one = await rig.open();
    let base: string | null = null;
    const saved: string[] = [];
    const before = join(rig.storePath, 'refs', 'saves', '1-before');
    for (const round of ['a', 'b', 'c', 'd']) {
      await one.sh(`echo ${round} >x`);
      if (round === 'd') await utimes(before, new Date(), new Date(Date.now() - 7 * 3600_000));
      base = (await one.save(1, { base })).snapshot;
      saved.push(base);
      if (round === 'c')
        assert.equal(git(rig.storePath, 'rev-parse', 'refs/saves/1-before'), `${saved[0]}\n`);
    }
    assert.equal(git(rig.storePath, 'show', 'refs/saves/1-before:work/x'), 'c\n');
    assert.equal(git(rig.storePath, 'rev-parse', 'refs/saves/1'), `${saved[3]}\n`);
    await dropSave(rig.storePath, 1);
    await assert.rejects(access(rig.storePath));
  });

  it('and the objects of the workspace become one pack where they are many, and nothing is lost', async (t) => {
    const rig = await startSaveRig(t);
    const one = await rig.open();
    await one.sh('echo 1 >x; head -c 100000 /dev/urandom >y');
    const first = await one.save(1);
    // As of so many saves that nothing names any more, here and there.
    const packs = (dir: string, count: number) =>
      `for i in {1..${count}}; do echo $i | git hash-object -w --stdin | git pack-objects -q ${dir}/pack/pack; done >/dev/null`;
    const inWorkspace = 'export GIT_OBJECT_DIRECTORY=/workspace/.threadbox/objects; ';
    await one.sh(inWorkspace + packs('$GIT_OBJECT_DIRECTORY', 52));
    execFileSync('bash', ['-c', packs('objects', 52)], { cwd: rig.storePath });
    const inStore = async () =>
      (await readdir(join(rig.storePath, 'objects', 'pack'))).filter((name) => name.endsWith('.pack')).length;
    await one.sh('echo 2 >x');
    const second = await one.save(1, { base: first.snapshot });
    assert.ok((await inStore()) > 52, 'somebody waits for it');
    assert.equal(await one.sh('ls ../.threadbox/objects/pack/*.pack | wc -l'), '1\n');
    assert.equal(await one.sh('ls -d ../.threadbox/objects/?? 2>/dev/null | wc -l'), '0\n');
    await one.sh('echo 3 >z');
    const third = await one.save(1, { kind: 'final', base: second.snapshot });
    await tidyStore(rig.storePath, { canWait: true, signal: new AbortController().signal });
    assert.equal(await inStore(), 1);
    assert.equal(git(rig.storePath, 'fsck', '--full', '--no-dangling'), '');
    const two = await rig.open({ isEmpty: true });
    await two.prepare(true);
    await two.restore(1);
    assert.equal(await two.sh('cat x z; git log -1 --format=%H'), `2\n3\n${third.commit}\n`);
    assert.equal(await two.sh('sha256sum <y'), await one.sh('sha256sum <y'));
  });

  it('that has lost a pack is found out by the next save that counts, and made whole by it', async (t) => {
    const rig = await startSaveRig(t);
    const one = await rig.open();
    await one.sh('head -c 200000 /dev/urandom >data');
    let { snapshot } = await one.save(1);
    const lose = () => rm(join(rig.storePath, 'objects', 'pack'), { recursive: true });
    for (const [kind, script] of [
      ['full', 'true'],
      ['full', 'echo 1 >x'],
      ['final', 'true'],
    ] as const) {
      await lose();
      await one.sh(script);
      const saved = await one.save(1, { kind, base: snapshot, style: 'uncommitted' });
      assert.ok(saved.carriedBytes > 200_000, `${kind}: ${saved.carriedBytes}`);
      snapshot = saved.snapshot;
      const two = await rig.open({ isEmpty: true });
      await two.prepare(true);
      await two.restore(1);
      assert.equal(await two.sh('sha256sum <data'), await one.sh('sha256sum <data'));
    }
    assert.equal(
      (await one.save(1, { kind: 'final', base: snapshot, style: 'uncommitted' })).carriedBytes,
      0,
    );
  });

  it('takes nothing that lacks an object, and the state before stands', async (t) => {
    const rig = await startSaveRig(t);
    const one = await rig.open();
    await one.sh('echo 1 >x; git add x; git commit -qm X');
    const { snapshot, commit } = await one.save(1);
    const other = await rig.open({ isWritable: true });
    // As a container would do it that is not to be trusted.
    const script = `#!/bin/bash
      [[ " $* " == *' pack-objects '*' --stdout '* ]] || exec /usr/bin/git "$@"
      sed '1,/--not/!s/^/^/; /^--not$/d' | /usr/bin/git rev-list --objects --stdin | cut -d ' ' -f 1 | grep -v -F -f /tmp/lacking | /usr/bin/git pack-objects -q --stdout`;
    const install = `printf '%s' '${script.replaceAll("'", String.raw`'\''`)}' >/usr/local/bin/git; chmod 755 /usr/local/bin/git`;
    await other.sh('echo 2 >file; git add file; git commit -qm File; echo 3 >file');
    await execIn(other.container.id, ['bash', '-ec', install], { user: '0' });
    const lacks: readonly [string, string][] = [
      ['a file', 'git hash-object file'],
      ['a commit', 'git rev-parse HEAD'],
      ['a tree of a commit', 'git rev-parse HEAD^{tree}'],
    ];
    for (const [name, lacking] of lacks) {
      const hash = (await other.sh(`${lacking} | tee /tmp/lacking`)).trim();
      await assert.rejects(
        other.save(1, { base: snapshot }),
        (error: Error & { code: string }) =>
          error.code === 'SAVE_FAILED' &&
          error.message.startsWith('The work could not be saved: missing in the store: ') &&
          error.message.includes(hash),
        name,
      );
      assert.equal(git(rig.storePath, 'rev-parse', 'refs/saves/1'), `${snapshot}\n`);
      assert.deepEqual(await leftovers(rig.storePath), []);
    }
    await other.sh('echo none >/tmp/lacking');
    await other.save(2, { base: snapshot });
    const two = await rig.open({ isEmpty: true });
    await two.prepare(true);
    await two.restore(1);
    assert.equal(await two.sh('cat x; git rev-parse HEAD'), `1\n${commit}\n`);
  });

  it('that is damaged is put aside', async (t) => {
    const rig = await startSaveRig(t);
    const one = await rig.open();
    await one.sh('echo 1 >x');
    const { snapshot } = await one.save(1);
    await rm(join(rig.storePath, 'HEAD'));
    await one.save(1, { base: snapshot });
    assert.equal(await hasSave(rig.storePath, 1), true);
    const beside = await readdir(dirname(rig.storePath));
    const aside = beside.find((name) => /\.git\.damaged-\d+$/.test(name)) ?? 'none';
    await access(join(dirname(rig.storePath), aside, 'refs', 'saves', '1'));
  });

  it('is left alone while another process writes', async (t) => {
    const rig = await startSaveRig(t);
    const one = await rig.open();
    await one.sh('echo 1 >x');
    await one.save(1);
    const lock = await takeLock(`${rig.storePath}.lock`, { kind: 'exclusive', waitMs: 0 });
    const theirs = join(rig.storePath, 'incoming-0123456789ab');
    await mkdir(theirs);
    const dir = await temporaryDir(t);
    let hasEnded = false;
    const ending = Promise.all([one.save(2), exportSave(rig.storePath, 1, join(dir, 'a.bundle'))]).finally(
      () => (hasEnded = true),
    );
    await pause(500);
    assert.equal(hasEnded, false);
    await access(theirs);
    await lock?.release();
    await ending;
    await assert.rejects(access(theirs));
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
    const text = `threadbox-save 1\nsave ${hash}\ncommit \nbranch we\u001bird\nmodified 3\nunpushed x\ncommitted yes\nunchanged no\ndisk 4096\nleft a\nleft a\nleft b\n`;
    assert.deepEqual(parseSaveFacts(text), {
      snapshot: hash,
      isUnchanged: false,
      commit: null,
      branch: 'weird',
      filesModified: 3,
      unpushedCommits: 0,
      hasCommitted: true,
      leftOut: ['a', 'b'],
      workspaceUsedBytes: 4096,
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
