import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { execIn, git } from './rig.ts';
import { richUpstream, startSaveRig, THREAD_ID, type SaveRig, type Workspace } from './save-rig.ts';

const closers: (() => unknown)[] = [];
const scope = { after: (close: () => unknown) => void closers.unshift(close) } as Parameters<
  typeof startSaveRig
>[0];
let rig: SaveRig;
let one: Workspace;
let two: Workspace;
let lastId = 0;
const nextId = () => (lastId += 1);

before(async () => {
  rig = await startSaveRig(scope, { url: await richUpstream(scope) });
  [one, two] = await Promise.all([
    rig.open({ isEmpty: true, isWritable: true }),
    rig.open({ isEmpty: true }),
  ]);
});
beforeEach(async () => {
  await Promise.all([one.wipe().then(() => one.prepare()), two.wipe().then(() => two.prepare(true))]);
});
after(async () => {
  for (const close of closers) await close();
});

const store = (...args: string[]) => git(rig.storePath, ...args).trim();

describe('a final save', () => {
  it("makes the guide's commit, and it comes back as HEAD of a clean work tree", async () => {
    await one.sh(
      'git switch -qc topic; echo 1 >new; echo 2 >>README.md; rm run.sh; git add new; echo more >>new; mkdir two; touch two/{a,b}',
    );
    const id = nextId();
    const saved = await one.save(id, { kind: 'final' });
    assert.equal(saved.hasCommitted, true);
    assert.equal(saved.filesModified, 5);
    assert.equal(saved.branch, 'topic');
    assert.equal(saved.unpushedCommits, 1);
    assert.deepEqual(saved.leftOut, []);
    assert.equal(store('rev-parse', `refs/saves/${id}`), saved.snapshot);
    await two.restore(id);
    assert.equal(
      await two.sh('git log -1 --format="%H %an <%ae>%n%B"; git status --porcelain --branch; cat new'),
      `${saved.commit} John "J" Doe <john@example.com>
Auto-save: Container cleanup after idle timeout

Thread: ${THREAD_ID}
Timestamp: 2024-01-20T10:30:00Z
Files modified: 5

This commit was automatically created when the container was cleaned up.

## topic
1\nmore\n`,
    );
    const again = await two.save(nextId(), { kind: 'final', base: saved.snapshot });
    assert.equal(again.snapshot, saved.snapshot, 'nothing changed: no other commit');
    assert.equal(again.hasCommitted, false);
  });

  const cases: readonly [string, string, { committed: boolean; leftOut?: RegExp; check?: string }][] = [
    [
      'hooks that fail, no signature',
      `for h in pre-commit prepare-commit-msg commit-msg post-commit; do printf '#!/bin/sh\\ntouch /tmp/ran; exit 1\\n' >.git/hooks/$h; chmod +x .git/hooks/$h; done; git config commit.gpgsign true; echo 1 >x`,
      { committed: true, check: '! ls /tmp/ran' },
    ],
    [
      'nobody to be the author',
      `git config user.name ''; git config user.email ''; echo 1 >x`,
      { committed: true, check: '[[ $(git log -1 --format=%an) == John* ]]' },
    ],
    [
      'a lock that was left behind',
      'touch .git/index.lock .git/HEAD.lock .git/refs/heads/main.lock; echo 1 >x',
      { committed: true, check: '[[ -z $(git status --porcelain) ]]' },
    ],
    [
      'an empty repository inside',
      'git init -q inner; echo 1 >inner/x; echo 1 >x',
      { committed: true, check: '[[ $(git status --porcelain) == "?? inner/" && -f inner/x ]]' },
    ],
    [
      'a filter that fails',
      `git config filter.f.clean false; git config filter.f.required true; echo '*.f filter=f' >.gitattributes; echo 1 >x.f; echo 1 >x`,
      { committed: true, leftOut: /Auto-save commit.*x\.f/, check: '[[ $(cat x.f) == 1 ]]' },
    ],
    [
      'no commit before',
      'git checkout -q --orphan fresh; git rm -rqf .; echo 1 >x',
      { committed: true, check: '[[ $(git rev-list --count HEAD) == 1 ]]' },
    ],
    [
      'a detached HEAD',
      'git checkout -q --detach; echo 1 >x',
      { committed: true, check: '! git symbolic-ref -q HEAD' },
    ],
    [
      'a merge in progress',
      'git merge -q origin/other || true; echo 1 >x',
      {
        committed: false,
        check: '[[ -f .git/MERGE_HEAD && $(git status --porcelain) == *"UU README.md"* ]]',
      },
    ],
    [
      'a rebase in progress',
      'echo c >README.md; git commit -qam C; git rebase -q origin/other || true',
      { committed: false, check: '[[ -d .git/rebase-merge ]]' },
    ],
    [
      'an unmerged index alone',
      'git merge -q origin/other || true; rm .git/MERGE_HEAD',
      { committed: false, check: '[[ -n $(git ls-files -u) ]]' },
    ],
    [
      'no repository at all',
      'rm -rf .git; echo 1 >x',
      { committed: false, check: '[[ ! -e .git && $(cat x) == 1 ]]' },
    ],
    ['nothing at all', 'rm -rf .git * .gitignore', { committed: false, check: '[[ -z $(ls -A) ]]' }],
    [
      'something that cannot be read, a FIFO, a socket',
      `echo 1 >closed; chmod 0 closed; mkdir shut; echo 1 >shut/x; chmod 0 shut; mkfifo fifo; echo 1 >x`,
      {
        committed: true,
        leftOut: /closed \(it may not be read\)\nshut \(it may not be read\)\nfifo|fifo/,
        check: '[[ -f x && ! -e closed && ! -e fifo ]]',
      },
    ],
  ];
  for (const [name, script, { committed, leftOut, check }] of cases) {
    it(`with ${name}`, async () => {
      await one.sh(script);
      const id = nextId();
      const saved = await one.save(id, { kind: 'final' });
      assert.equal(saved.hasCommitted, committed);
      assert.match(saved.leftOut.join('\n'), leftOut ?? /^$/);
      const { notes } = await two.restore(id);
      if (/FIFO/.test(name)) assert.match(notes.join('\n'), /fifo/);
      await two.sh(check ?? 'true');
    });
  }

  it('tells the same when it is tried again, after a try that got no further than its commit', async () => {
    await one.sh('echo 1 >a; echo 2 >b');
    const first = await one.save(nextId(), { kind: 'final' });
    // As if nothing of that had come out.
    const again = await one.save(nextId(), { kind: 'final' });
    assert.deepEqual([again.commit, again.filesModified, again.hasCommitted], [first.commit, 2, true]);
    const saved = await one.save(nextId(), { kind: 'final', base: again.snapshot });
    assert.deepEqual([saved.commit, saved.filesModified, saved.hasCommitted], [first.commit, 0, false]);
  });

  it('says how many files it commits also where git status comes to no end', async () => {
    const slow = `printf '#!/bin/bash\n[[ " $* " != *" status "* ]] || exit 124\nexec /usr/bin/git "$@"\n' >/usr/local/bin/git; chmod 755 /usr/local/bin/git`;
    await execIn(one.container.id, ['bash', '-ec', slow], { user: '0' });
    try {
      for (const begin of ['true', 'git checkout -q --orphan fresh; git rm -rqf .']) {
        await one.sh(`${begin}; echo 1 >a; echo 2 >'b "c"'`);
        const saved = await one.save(nextId(), { kind: 'final' });
        assert.equal(saved.filesModified, 2);
        assert.match(await one.sh('git log -1 --format=%B'), /^Files modified: 2$/m);
      }
    } finally {
      await execIn(one.container.id, ['rm', '/usr/local/bin/git'], { user: '0' });
    }
  });
});
