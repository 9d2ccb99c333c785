import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { MANIFEST, richUpstream, startSaveRig, type SaveRig, type Workspace } from './save-rig.ts';
import type { SaveKind, SaveRequest } from '../../src/containers/save.ts';

type Scope = Parameters<typeof startSaveRig>[0];

type State = {
  name: string;
  script: string;
  kinds?: readonly SaveKind[];
  /** Run after that in both; both must say the same, and succeed. */
  next?: string;
  leftOut?: RegExp;
  more?: Partial<SaveRequest>;
  /** git, or an archive, keeps more of it than what counts: a second save is not the same. */
  isUnlike?: boolean;
  /** For the long form of the fault suite: much like one that is there, or rarely met. */
  isLong?: boolean;
};

const commit = (name: string) => `git add -A; git commit -qm '${name}'`;

const SHALLOW =
  'rm -rf /tmp/elsewhere /tmp/clone; git init -q /tmp/elsewhere; (cd /tmp/elsewhere; for i in one two three; do echo $i >$i; git add $i; git commit -qm $i; done)';

const states: readonly State[] = [
  { name: 'a fresh clone', script: 'true', kinds: ['final'] },
  {
    name: 'staged, unstaged, staged and changed again, untracked, deleted, renamed',
    script: `echo s >staged; git add staged; echo more >>staged; echo u >>run.sh; echo new >untracked; rm logo.bin
      git rm -q lib/deep/1.txt; git mv lib/deep/2.txt lib/renamed.txt; echo x >lib/deep/3.txt; git add lib/deep/3.txt; rm lib/deep/3.txt
      git add -N run.sh; echo intended >intended; git add -N intended`,
    next: 'git commit -qm Staged; git stash -qu; git status --porcelain',
  },
  {
    name: 'modes, links and empty directories',
    script: `chmod +x README.md; chmod -x run.sh; ln -s nowhere dangling; ln -s lib to-dir; ln -sf /etc/passwd link
      mkdir -p empty/in/side 'odd dir'; chmod 700 empty; mkdir closed; echo 1 >closed/one; chmod 555 closed
      echo secret >private; chmod 600 private; echo wide >wide; chmod 666 wide; rm -r lib; ln -s src lib; rm src/app.js; mkdir src/app.js; echo 1 >src/app.js/one`,
  },
  {
    name: 'odd names, many files, binary ones',
    script: `mkdir many; for i in {1..400}; do echo $i >many/$i; done; head -c 300000 /dev/urandom >binary
      echo 1 >'a b'; echo 2 >$'new\\nline'; echo 3 >-rf; echo 4 >$'\\xff\\xfe'; echo 5 >'ü "quoted" \\\\ *?[x]'; echo 6 >$'tab\\t'; echo 7 >' lead '
      mkdir -p $'d\\xff/:(top)x' $'no\\nfiles'; echo 8 >$'d\\xff/:(top)x/!y'; echo 9 >'git~1'; chmod 640 $'new\\nline' -- -rf; : >nothing
      git add -- -rf $'\\xff\\xfe'`,
  },
  {
    name: 'branches, tags of all kinds, stashes, notes, a detached HEAD',
    script: `git switch -qc topic; echo 1 >one; ${commit('One')}; git tag -a annotated -m Words; git tag light2
      git tag -a nested -m Nested annotated; git tag blob $(git hash-object -w one); git tag tree HEAD^{tree}; git notes add -m 'A note' HEAD
      git switch -qc other2 origin/other; git branch old HEAD~1; git symbolic-ref refs/heads/alias refs/heads/topic; git update-ref refs/own/thing topic
      for i in 1 2 3; do echo $i >>README.md; echo u$i >u$i; git stash push -qum "Stash $i"; done; git tag -d v1 >/dev/null; git branch -D main -q
      git checkout -q --detach topic; echo 2 >two; ${commit('Two')}; git commit -q --amend -m 'Two again'; git pack-refs --all`,
    next: 'git checkout -q other2; git stash pop -q; git stash list; git log --oneline --all --decorate | sort; git show nested tree | cat; git checkout -q -',
  },
  {
    name: 'a merge with conflicts',
    script: 'echo keep >keep; git merge -q origin/other || true; echo side >side; git add side',
    next: 'echo solved >README.md; git add -A; git commit -q --no-edit; git log -1 --format=%P%n%B',
  },
  {
    name: 'a merge that is solved and not committed',
    isLong: true,
    script:
      'git merge -q --no-commit origin/other || true; echo solved >README.md; git add README.md; git checkout -m README.md; git add README.md',
    next: 'git commit -q --no-edit; git log -1 --format=%P',
  },
  {
    name: 'a rebase with conflicts',
    script: `git switch -qc mine; for i in 1 2 3; do echo $i >mine$i; ${commit('Mine')}; done; echo x >README.md; ${commit('Conflict')}
      echo 4 >mine4; ${commit('Mine 4')}; echo dirty >run.sh; git -c rebase.autoStash=true rebase -q origin/other || true`,
    next: 'for i in 1 2 3; do echo solved $i >README.md; git add README.md; GIT_EDITOR=true git rebase --continue >/dev/null 2>&1; done; git log --format=%s; git status --porcelain; cat run.sh',
  },
  {
    name: 'an interactive rebase that stands at an edit',
    isLong: true,
    script: `for i in 1 2 3; do echo $i >mine$i; ${commit('Mine')}; done; GIT_SEQUENCE_EDITOR="sed -i 1s/pick/edit/" git rebase -qi HEAD~3 2>/dev/null; echo extra >>mine1`,
    next: 'git commit -qa --amend -m Edited; git rebase --continue >/dev/null 2>&1; git log --format=%s',
  },
  {
    name: 'git am in the midst',
    script: `git format-patch -q --stdout origin/main~1..origin/other >/tmp/p.mbox; git am -q -3 /tmp/p.mbox 2>/dev/null || true; ls .git/rebase-apply`,
    next: 'for i in 1 2; do echo solved $i >README.md; git add README.md; git am --continue >/dev/null 2>&1; done; git log --format=%s; git status --porcelain',
  },
  {
    name: 'a cherry-pick of two',
    script: 'git cherry-pick origin/other~1 origin/other 2>/dev/null >&2 || true',
    next: 'for i in 1 2; do echo solved $i >README.md; git add README.md; git -c core.editor=true cherry-pick --continue >/dev/null 2>&1; done; git log --format=%s; git status --porcelain',
  },
  {
    name: 'a bisect',
    isLong: true,
    script: `for i in 1 2 3 4 5 6; do echo $i >n; ${commit('N')}; done; git bisect start -q >/dev/null 2>&1 || git bisect start; git bisect bad >/dev/null; git bisect good HEAD~5 >/dev/null`,
    next: 'git bisect log | grep -v "^#"; git bisect good >/dev/null; git bisect reset -q 2>/dev/null; cat n',
  },
  {
    name: 'no commit yet, with staged files',
    script:
      'git checkout -q --orphan fresh; echo 1 >>README.md; echo 2 >untracked; git config --unset remote.origin.url',
    next: 'git commit -qm First; git log --format=%s',
  },
  {
    name: 'a repository made anew',
    script: 'rm -rf .git; git init -qb first; git add run.sh; echo 1 >>run.sh',
    next: 'git commit -qm First; git log --format=%s',
  },
  {
    name: 'repositories inside: with work of their own, empty, a submodule',
    script: `git init -q inner; (cd inner; echo 1 >one; ${commit('One')}; echo 2 >two; git add two; echo 3 >three; mkdir hollow; chmod 600 three)
      git init -q 'void repo'; mkdir -p lib/vendor; echo t >lib/vendor/tracked; git add lib/vendor; git commit -qm Vendor; rm lib/vendor/tracked; git init -q lib/vendor; echo v >lib/vendor/v
      git -c protocol.file.allow=always submodule add -q -- "$(git config --file /workspace/.threadbox/gitconfig --get-regexp 'url.*insteadof' | sed -E 's/url\\.(.*)\\.insteadof .*/\\1/')" sub
      git commit -qm Sub; cd sub; echo un >unpushed; ${commit('Unpushed')}; echo un >uncommitted; git stash -qu; echo dirty >dirty`,
    next: 'git -C sub log --format=%s -1; git -C sub stash pop -q; git -C sub status --porcelain; git -C inner status --porcelain; git submodule status; git -C "void repo" status --short',
  },
  {
    name: 'a shallow clone of another repository in the place of this one',
    isLong: true,
    script: `${SHALLOW}; rm -rf .git *; git clone -q --depth 2 file:///tmp/elsewhere /tmp/clone; mv /tmp/clone/.git .; git reset -q --hard; echo own >own; git add own; ${commit('Own')}; echo 2 >own`,
    kinds: ['final'],
    next: 'git log --format=%s; git fsck; git commit -qam More; git log --format=%s -1',
  },
  {
    name: 'a repository made anew with SHA-256',
    isLong: true,
    script: `rm -rf .git; git init -q --object-format=sha256 -b first; git config user.name X; git add run.sh; git commit -qm First; git tag -a -m T t; echo 1 >>run.sh; git stash -q; echo 2 >two; git add two; echo 3 >two`,
    next: 'git stash pop -q; git commit -qm Second; git log --format=%s; git show t | head -n 3; git status --short; git fsck',
  },
  {
    name: 'hooks and settings that would do harm',
    script: `for h in pre-commit prepare-commit-msg commit-msg post-checkout post-index-change reference-transaction post-commit pre-rebase; do
        printf '#!/bin/sh\\ntouch /tmp/hook-ran; exit 1\\n' >.git/hooks/$h; chmod +x .git/hooks/$h; done
      printf '#!/bin/sh\\ntouch /tmp/hook-ran\\n' >/workspace/.home/evil; chmod +x /workspace/.home/evil
      git config core.fsmonitor /workspace/.home/evil; git config commit.gpgsign true; git config gpg.program /workspace/.home/evil; git config core.hooksPath .git/hooks
      git config alias.add '!/workspace/.home/evil'; git config diff.external /workspace/.home/evil; git config core.pager /workspace/.home/evil; git config core.editor /workspace/.home/evil
      git config core.sshCommand /workspace/.home/evil; git config user.name ''; git config user.useConfigOnly true; rm -f /tmp/hook-ran; echo 1 >one; echo 2 >>README.md`,
    kinds: ['full'],
    next: 'ls /tmp/hook-ran 2>/dev/null || echo none',
  },
  {
    name: 'line endings and filters: every byte as it lies on the disk',
    script: `printf '%s\\n' '* text=auto eol=crlf' '*.f filter=upper' '*.i ident' '*.u working-tree-encoding=UTF-16LE' '*.bad working-tree-encoding=none-such' >.gitattributes
      git config filter.upper.clean 'tr a-z A-Z'; git config filter.upper.smudge false; git config filter.upper.required true; git config core.autocrlf true
      printf 'a\\r\\nb\\nc\\r\\n' >mixed.txt; printf 'lower\\n' >x.f; printf '$Id: 123 $\\n' >x.i; printf 'h\\0i\\0\\n\\0' >x.u; printf 'x' >x.bad; printf 'one\\r\\n' >README.md`,
  },
  {
    name: 'a filter that hangs',
    script: `git config filter.slow.clean 'sleep 1000'; echo '*.slow filter=slow' >.git/info/attributes; echo 1 >a.slow`,
    kinds: ['quick'],
  },
  {
    name: 'sparse checkout, assume-unchanged, skip-worktree',
    script: `git update-index --assume-unchanged run.sh; echo hidden >>run.sh; git update-index --skip-worktree link; rm link
      git sparse-checkout set --no-cone '/*' '!/lib'; echo 1 >lib-not`,
  },
  {
    name: 'a sparse index',
    isLong: true,
    script: 'git sparse-checkout set --cone --sparse-index src; echo 1 >>src/app.js; git add src',
  },
  {
    name: 'a split index',
    isLong: true,
    script:
      'git config core.splitIndex true; git update-index --split-index; echo 1 >one; git add one; echo 2 >>one',
    isUnlike: true,
  },
  {
    name: 'ignored files and .env',
    script: `echo A=1 >.env; chmod 600 .env; echo B=2 >lib/.env; git config core.excludesFile /workspace/.home/ignore; echo '*.tmp' >/workspace/.home/ignore
      echo 1 >x.tmp; echo '.env.local' >>.git/info/exclude; echo C=3 >.env.local; echo forced >forced.log; git add -f forced.log; echo more >>forced.log
      mkdir -p node_modules/p/bin build; echo 1 >node_modules/p/index.js; ln -s ../p/index.js node_modules/p/bin/p; echo l >a.log; chmod 755 node_modules/p/index.js
      git init -q node_modules/q; mkdir build/empty; echo outside >../outside; mkdir ../.home/.config; echo rc >../.home/.npmrc`,
    kinds: ['full', 'final'],
    isUnlike: true,
    more: { style: 'uncommitted' },
    next: 'cat ../outside ../.home/.npmrc ../.home/ignore',
  },
  {
    name: 'locks left behind, and files that git does not mind',
    script: `touch .git/index.lock .git/HEAD.lock .git/refs/heads/main.lock; echo x >.git/description; mkdir -p .git/own; echo 1 >.git/own/file; echo 1 >one`,
    kinds: ['quick', 'final'],
    more: { style: 'uncommitted' },
  },
  {
    name: 'LFS objects, reflogs, linked work trees',
    script: `mkdir -p .git/lfs/objects/aa/bb; head -c 70000 /dev/urandom >.git/lfs/objects/aa/bb/aabb; git worktree add -q ../wt -b wt; (cd ../wt; echo 1 >one; ${commit('In wt')}; git checkout -q --detach; echo 2 >two; ${commit('Detached')})
      echo 1 >lost; ${commit('Lost')}; git reset -q --hard HEAD~1`,
    kinds: ['full'],
    next: 'git log -1 --format=%s HEAD@{1}; git -C ../wt log -1 --format=%s; git -C ../wt status --short',
  },
];

/** Most of the time something is waited for. */
const LANES = 2;

describe('a state of a repository comes back', { concurrency: LANES }, () => {
  let rig: SaveRig;
  const free: [Workspace, Workspace][] = [];
  let count = 0;
  const closers: (() => unknown)[] = [];
  const scope = { after: (close: () => unknown) => void closers.unshift(close) } as Scope;
  after(async () => {
    for (const close of closers) await close();
  });
  before(async () => {
    rig = await startSaveRig(scope, { url: await richUpstream(scope) });
    const open = () => Promise.all([rig.open({ isEmpty: true }), rig.open({ isEmpty: true })]);
    free.push(...(await Promise.all(Array.from({ length: LANES }, open))));
  });
  for (const state of states.filter(({ isLong }) => !isLong || process.env['FAULTS'] === 'long')) {
    for (const kind of state.kinds ?? (['quick'] as const)) {
      it(`${state.name} (${kind})`, async (t) => {
        const id = (count += 1);
        const [one, two] = free.pop() as [Workspace, Workspace];
        t.after(() => free.push([one, two]));
        const [, outcome] = await Promise.all([
          one.wipe().then(() => one.prepare()),
          two.wipe().then(() => two.prepare(true)),
        ]);
        assert.equal(outcome, 'empty');
        await one.sh(state.script);
        const beforeSave = await one.sh(MANIFEST);
        const saved = await one.save(id, { kind, ...state.more });
        if (state.leftOut) assert.match(saved.leftOut.join('\n'), state.leftOut);
        else assert.deepEqual(saved.leftOut, []);
        const [afterSave] = await Promise.all([one.sh(MANIFEST), two.restore(id)]);
        assert.equal(afterSave, beforeSave, 'saving changes nothing');
        const again = state.isUnlike
          ? saved
          : await two.save(id + 1000, { kind, ...state.more, base: saved.snapshot });
        assert.equal(again.snapshot, saved.snapshot, 'what came back is what was saved');
        assert.equal(await two.sh(MANIFEST), beforeSave);
        if (state.next === undefined) return;
        // Commits made by both shall be the same.
        const script = `set +e; export GIT_AUTHOR_DATE='@1700000000 +0000' GIT_COMMITTER_DATE='@1700000000 +0000'; { ${state.next}; } 2>&1; true`;
        const [first, second] = await Promise.all([one.sh(script), two.sh(script)]);
        assert.equal(second, first);
      });
    }
  }
});
