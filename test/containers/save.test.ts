import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { execIn, git, temporaryDir } from './rig.ts';
import { MANIFEST, richUpstream, startSaveRig, type SaveRig } from './save-rig.ts';

const closers: (() => unknown)[] = [];
const scope = { after: (close: () => unknown) => void closers.unshift(close) } as Parameters<
  typeof startSaveRig
>[0];
let rig: SaveRig;
let lastId = 0;
const nextId = () => (lastId += 1);

before(async () => {
  rig = await startSaveRig(scope, { url: await richUpstream(scope) });
});
after(async () => {
  for (const close of closers) await close();
});

describe('a save', () => {
  it('carries only what is new, and nothing when nothing is', async () => {
    const one = await rig.open();
    await one.sh('head -c 2000000 /dev/urandom >big; echo 1 >one');
    const first = await one.save(nextId());
    assert.ok(first.carriedBytes > 2_000_000);
    await one.sh('git status >/dev/null; touch big run.sh; git status >/dev/null');
    const same = await one.save(nextId(), { base: first.snapshot });
    assert.equal(same.snapshot, first.snapshot);
    assert.equal(same.carriedBytes, 0);
    await one.sh('echo 2 >two; git commit -q --allow-empty -m Empty');
    const second = await one.save(nextId(), { base: first.snapshot });
    assert.notEqual(second.snapshot, first.snapshot);
    assert.ok(second.carriedBytes < 10_000, `${second.carriedBytes}`);
    assert.equal(second.unpushedCommits, 1);
    const marker = await one.sh('cat ../.threadbox/saved; cat ../.threadbox/tree; ls ../.threadbox/');
    assert.match(marker, /^([0-9a-f]{40})\n\1\n/);
    assert.doesNotMatch(marker, /save\.pid|saved\.new/);
    // The base is unknown here, or there.
    const unknown = await one.save(nextId(), { base: 'a'.repeat(40) });
    assert.equal(unknown.snapshot, second.snapshot);
    await one.sh('rm -rf ../.threadbox/objects/* ../.threadbox/save');
    assert.equal((await one.save(nextId(), { base: second.snapshot })).snapshot, second.snapshot);
  });

  it('is whole also when objects have gone that the one before was made of', async () => {
    const one = await rig.open();
    await one.sh('for i in {1..20}; do echo $i >f$i; done; git add -A; git commit -qm F; echo 1 >x');
    const first = await one.save(nextId());
    await one.sh(
      'git reset -q --hard HEAD~1; echo 20 >f20; git reflog expire --expire=now --all; git gc -q --prune=now',
    );
    const second = await one.save(nextId(), { base: first.snapshot });
    await one.sh('find ../.threadbox/objects -type f -delete; echo 2 >x');
    const third = await one.save(nextId(), { base: second.snapshot });
    await one.sh('echo 1 >f1; git add -A; git commit -qm G');
    const id = nextId();
    await one.save(id, { base: third.snapshot });
    const two = await rig.open({ isEmpty: true });
    await two.prepare(true);
    await two.restore(id);
    assert.equal(await two.sh('cat x f1 f20; git log -1 --format=%s'), '2\n1\n20\nG\n');
  });

  it('keeps of ignored files what the last full one had, and .env always', async () => {
    const one = await rig.open();
    await one.sh(
      'mkdir node_modules build; echo 1 >node_modules/x; echo A=1 >.env; head -c 3000000 /dev/urandom >build/large',
    );
    const full = await one.save(nextId(), { kind: 'full', ignoredMaxBytes: 1_000_000 });
    assert.deepEqual(full.leftOut, ['build (3 MB, ignored by git)']);
    // By this the next command tells whether it has left anything to save.
    assert.equal(await one.sh("tr '\\0' ' ' <../.threadbox/looked"), 'e.env ibuild inode_modules ');
    // Whatever the limit is.
    await one.sh(
      'echo A=2 >.env; head -c 2000000 /dev/urandom >src/.env.large; echo .env.large >>.git/info/exclude',
    );
    const id = nextId();
    await one.save(id, { base: full.snapshot });
    const two = await rig.open({ isEmpty: true });
    await two.prepare(true);
    await two.restore(id);
    assert.equal(
      await two.sh("tr '\\0' '\\n' <../.threadbox/looked | sort; stat -c %s src/.env.large"),
      'e.env\nesrc/.env.large\n2000000\n',
    );
    assert.equal(
      await two.sh('cat node_modules/x .env; ls -d build 2>/dev/null || echo none'),
      '1\nA=2\nnone\n',
    );
  });

  it('of a repository whose objects have SHA-256 names brings back its history, too', async (t) => {
    const url = await temporaryDir(t);
    git(url, 'init', '-q', '--object-format=sha256');
    git(url, 'commit', '-q', '--allow-empty', '-m', 'Begin');
    const other = await startSaveRig(t, { url });
    const one = await other.open();
    await one.sh(
      'git switch -qc mine; echo 1 >one; git add -A; git commit -qm One; git tag -am T t; echo 2 >>one; git stash -q; echo 3 >new',
    );
    const before = await one.sh(MANIFEST);
    const saved = await one.save(1, { kind: 'final', style: 'uncommitted' });
    assert.match(saved.commit ?? '', /^[0-9a-f]{64}$/);
    await one.wipe();
    await one.prepare(true);
    await one.restore(1);
    assert.equal(await one.sh(MANIFEST), before);
    assert.equal((await one.save(1, { base: saved.snapshot })).snapshot, saved.snapshot);
  });

  it('lets no archive of ignored files go over what they have become since', async () => {
    const one = await rig.open();
    await one.sh(
      'mkdir build a.log node_modules; echo 1 >build/x; echo 1 >build/kept; echo 1 >a.log/y; echo 1 >b.log; echo 1 >node_modules/m; chmod 555 node_modules',
    );
    const full = await one.save(nextId(), { kind: 'full' });
    await one.sh(
      ': >.gitignore; echo 2 >build/x; rm -r a.log b.log; echo 2 >a.log; mkdir b.log; echo 2 >b.log/z; chmod 755 node_modules; echo 2 >node_modules/m',
    );
    const id = nextId();
    await one.save(id, { base: full.snapshot });
    const two = await rig.open({ isEmpty: true });
    await two.prepare(true);
    await two.restore(id);
    assert.equal(
      await two.sh('cat build/x build/kept a.log b.log/z node_modules/m; git status --porcelain .gitignore'),
      '2\n1\n2\n2\n2\n M .gitignore\n',
    );
  });

  it('is one of the work also where a command has removed what the bot keeps beside it', async () => {
    const one = await rig.open();
    for (const [gone, value] of [
      ['.threadbox/ready', '1'],
      ['.threadbox', '2'],
    ] as const) {
      await one.sh(`echo ${value} >x; rm -r ../${gone}`);
      const id = nextId();
      const saved = await one.save(id, { kind: 'full' });
      assert.equal(git(rig.storePath, 'show', `${saved.snapshot}:work/x`), `${value}\n`);
    }
  });

  it('leaves out what is too large, or too deep for git, and says so here and after the restore', async () => {
    const one = await rig.open();
    await one.sh(
      'truncate -s 30M huge; truncate -s 20M logo.bin; truncate -s 30M big.log; git init -q inner; truncate -s 40M inner/x; echo 1 >one\n' +
        'for n in {1..41}; do mkdir deep-$(printf %095d $n); cd -P deep-*; done; echo 1 >x',
    );
    const id = nextId();
    const saved = await one.save(id, { fileMaxBytes: 1_000_000, innerMaxBytes: 1_000_000 });
    const deep = `a path that is too long for git: deep-${'1'.padStart(95, '0')}...`;
    assert.deepEqual(saved.leftOut.toSorted(), [deep, 'huge (30 MB)', 'inner (41 MB)', 'logo.bin (20 MB)']);
    const two = await rig.open({ isEmpty: true });
    await two.prepare(true);
    assert.deepEqual((await two.restore(id)).notes, saved.leftOut.toSorted());
    assert.equal(await two.sh('cat one; ls -I "deep-*"'), '1\nREADME.md\nlib\nlink\none\nrun.sh\nsrc\n');
  });

  it('of 50 MB stays small in memory', async () => {
    const one = await rig.open();
    await one.sh('head -c 50000000 /dev/urandom >data');
    const start = process.memoryUsage.rss();
    let most = 0;
    const watch = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 20);
    const id = nextId();
    const saved = await one.save(id).finally(() => clearInterval(watch));
    assert.ok(saved.carriedBytes > 50_000_000);
    assert.ok(most - start < 50_000_000, `${most - start} bytes more`);
    await one.sh('sha256sum data >/tmp/sum; true');
    await one.wipe();
    await one.prepare(true);
    await one.restore(id);
    await one.sh('sha256sum --quiet -c /tmp/sum');
  });

  it('while files change under it is one of some moment', async () => {
    const one = await rig.open();
    await one.sh(
      '(while :; do for i in 1 2 3 4 5; do date +%N >busy$i; rm -f gone$i; done; done) >/dev/null 2>&1 & for i in {1..300}; do echo $i >f$i; done',
    );
    for (let round = 0; round < 3; round += 1) assert.deepEqual((await one.save(nextId())).leftOut, []);
    await execIn(one.container.id, ['bash', '-c', 'kill -KILL $(pgrep -u 1000)']).catch(() => undefined);
  });

  it('works when the upstream was forced away, from before and after', async () => {
    const one = await rig.open();
    await one.sh('echo 1 >mine; git add -A; git commit -qm Mine; echo 2 >more');
    const id = nextId();
    const first = await one.save(id);
    execFileSync(
      'bash',
      [
        '-ec',
        'git checkout -q --orphan other-history; git rm -rqf .; echo new >only; git add -A; git -c user.name=x -c user.email=y commit -qm New; git branch -D main other; git branch -m main; git tag -d v1 light',
      ],
      { cwd: rig.url, stdio: 'ignore' },
    );
    await rig.fetchMirror();
    const before = await one.sh(MANIFEST);
    const two = await rig.open({ isEmpty: true });
    await two.prepare(true);
    await two.restore(id);
    const localOnly = (text: string) =>
      text
        .split('\n')
        .filter((line) => !/refs\/remotes|branch\.ab/.test(line))
        .join('\n');
    assert.equal(localOnly(await two.sh(MANIFEST)), localOnly(before));
    await two.sh('echo 3 >third; git commit -qam x --allow-empty');
    await two.save(nextId(), { base: first.snapshot });
    await one.save(nextId());
  });
});
