import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { execIn, startRig, text, type Rig } from './rig.ts';

describe('what a command changed', () => {
  it('new, modified, deleted, renamed, binary and committed files are told, each once', async (t) => {
    const rig = await startRig(t);
    const first = await rig.run(`
      echo new > "a name.txt"; printf 'x\\0y' > new.bin; rm logo.bin
      echo more >> README.md; git mv src/app.js src/main.js
      printf '%s\\n' node_modules/ > .gitignore; mkdir node_modules; echo ignored > node_modules/x
    `);
    assert.deepEqual(first.changes, {
      files: [
        { path: '.gitignore', added: 1, removed: 0 },
        { path: 'README.md', added: 1, removed: 0 },
        { path: 'a name.txt', added: 1, removed: 0 },
        { path: 'logo.bin', added: null, removed: null },
        { path: 'new.bin', added: null, removed: null },
        { path: 'src/main.js', oldPath: 'src/app.js', added: 0, removed: 0 },
      ],
      isComplete: true,
    });
    assert.deepEqual((await rig.run('git status --short')).changes.files, []);
    const committed = await rig.run(
      'git switch -qc topic; echo 1 > one; git add -A; git commit -qm All; git log -1 --format="%an <%ae>"',
    );
    assert.equal(text(committed), 'John "J" Doe <john@example.com>\n');
    assert.equal(committed.branch, 'topic');
    assert.deepEqual(committed.changes.files, [{ path: 'one', added: 1, removed: 0 }]);
    assert.equal((await rig.run('git checkout -q --detach')).branch, null);
  });

  it('finding them leaves the index, HEAD and the objects of the user alone', async (t) => {
    const rig = await startRig(t);
    await rig.run('echo staged > staged; git add staged; echo not > not');
    const result = await rig.run('git status --short; git fsck --dangling; git count-objects');
    assert.equal(text(result), 'A  staged\n?? not\n1 objects, 4 kilobytes\n');
  });

  it('names that are odd or no UTF-8 come as they are', async (t) => {
    const rig = await startRig(t);
    const { changes } = await rig.run("echo > $'new\\nline'; echo > $'\\xff'; echo > 'ü -> {x}'");
    assert.deepEqual(
      changes.files.map(({ path }) => path),
      ['new\nline', 'ü -> {x}', Buffer.from([0xff])],
    );
  });

  it('an empty repository inside is said, the rest is told', async (t) => {
    const rig = await startRig(t);
    const { changes } = await rig.run('git init -q inner; echo 1 > other; mv src zsrc');
    assert.equal(changes.isComplete, false);
    assert.match(changes.reason ?? '', /inner/);
    assert.ok(changes.files.some(({ path }) => path === 'other'));
  });

  it('a repository that was destroyed or made anew is no fault', async (t) => {
    const rig = await startRig(t);
    for (const [script, reason] of [
      ['rm -rf .git', /no git repository/],
      ['cd ..; rm -rf my-app', /not there/],
      ['git init -q my-app; cd my-app; echo 1 > one', /./],
      ['git gc -q --prune=now; echo 2 > two', null],
    ] as const) {
      const { ending, changes } = await rig.run(script);
      assert.equal(ending, 'exited');
      if (reason) assert.ok(changes.isComplete || reason.test(changes.reason ?? ''), changes.reason);
      else assert.deepEqual(changes, { files: [{ path: 'two', added: 1, removed: 0 }], isComplete: true });
    }
  });

  it('a hook or a filesystem monitor of the repository is not run for it', async (t) => {
    const rig = await startRig(t);
    await rig.run(
      'printf "#!/bin/sh\\ntouch /tmp/ran\\n" > .git/hooks/post-index-change; chmod +x .git/hooks/*; cp .git/hooks/post-index-change /tmp/monitor; git config core.fsmonitor /tmp/monitor; echo 1 > one',
    );
    assert.equal(text(await rig.run('ls /tmp/ran 2>/dev/null; echo 2 > two')), '');
    assert.equal(text(await rig.run('ls /tmp/ran 2>/dev/null; echo none')), 'none\n');
  });
});

/** What the end of a save leaves in the workspace; there is nothing but commands that have ended. */
const save = (rig: Rig): Promise<string> =>
  execIn(rig.container.id, ['bash', '-c', SAVED], { user: '1000', dir: '/workspace/my-app' });
const SAVED = `find . -name '.env*' ! -type d -printf 'e%P\\0' >../.threadbox/looked; printf 'ibuil[d]\\0' >>../.threadbox/looked
  cp ../.threadbox/tree ../.threadbox/saved`;

describe('whether there is anything to save', () => {
  it('in a fresh clone there is not, whatever is looked at there', async (t) => {
    const rig = await startRig(t);
    for (const script of [
      'true',
      'ls -la; cat README.md',
      'git status',
      'git log; git diff; git branch -a',
      'git fetch -q',
    ]) {
      assert.deepEqual([script, (await rig.run(script)).isUnsaved], [script, false]);
    }
  });

  it('after anything that a save carries there is, until it is saved', async (t) => {
    const rig = await startRig(t);
    const commit = 'git -c user.name=x -c user.email=x@x commit -q';
    for (const script of [
      'echo 1 >> README.md',
      'git add README.md',
      `${commit} -m One`,
      `${commit} --allow-empty -m Empty`,
      `${commit} --amend --allow-empty -m Reworded`,
      'git branch other',
      'git branch -m other feature/deep/name',
      'git tag v1',
      'git tag -a -m Annotated v2',
      'git tag -d v1 v2',
      'echo 2 > new; git stash -u -q',
      'git stash drop -q',
      'echo SECRET=1 > .env.local; echo .env.local >> .git/info/exclude',
      'echo SECRET=2 > .env.local',
      'rm .env.local',
      'mkdir -p src/deep/in build; printf ".env*\\nbuild/\\n" >> .git/info/exclude; echo SECRET=1 > src/deep/in/.env',
      'echo SECRET=2 > src/deep/in/.env',
      'cp -p src/deep/in/.env src/.env.old',
      'rm src/deep/in/.env',
      'echo exit 1 > .git/hooks/pre-push',
      'chmod +x .git/hooks/pre-push; echo exit 0 > .git/hooks/pre-push',
      'rm .git/hooks/pre-push',
      'echo words > .git/description',
      'git worktree add -q -b tree ../tree; git worktree remove ../tree',
      'git switch -q --detach',
      'git switch -q main',
      'git reset -q --soft HEAD~1',
      'git config user.name Other',
      'git notes add -m Noted',
      'git switch -qc left; echo left > both; git add both; git commit -qm Left; git switch -q main; echo main > both; git add both; git commit -qm Main',
      'git merge left; true',
      'git merge --quit',
      'git checkout -qf main; git bisect start',
      'git bisect reset',
      'git pack-refs --all',
      'chmod +x README.md',
      'ln -s README.md link',
      'mkdir -p src/deep/empty',
      'chmod 600 README.md',
      'chmod 700 src/deep',
      'git init -q inner; cd inner; git commit -q --allow-empty -m Inner; cd ..',
    ]) {
      assert.deepEqual([script, (await rig.run(script)).isUnsaved], [script, true]);
      assert.deepEqual([`after ${script}`, (await rig.run('true')).isUnsaved], [`after ${script}`, true]);
      await save(rig);
      if (script.startsWith('git init')) continue;
      assert.deepEqual([`saved: ${script}`, (await rig.run('ls')).isUnsaved], [`saved: ${script}`, false]);
    }
    assert.equal(
      (await rig.run('true')).isUnsaved,
      true,
      'what is in a repository inside cannot be seen from outside',
    );
  });

  it('in a directory that is ignored there is not, as no quick save takes anything from there', async (t) => {
    const rig = await startRig(t);
    await rig.run('mkdir build; echo build/ > .git/info/exclude');
    await save(rig);
    assert.equal((await rig.run('echo 1 > build/.env; mkdir -p node_modules')).isUnsaved, false);
  });

  it('where it cannot be told, there is', async (t) => {
    const rig = await startRig(t);
    assert.equal((await rig.run('rm /workspace/.threadbox/saved')).isUnsaved, true);
    await save(rig);
    assert.equal((await rig.run('true')).isUnsaved, false);
    assert.equal((await rig.run('sleep 0.2; kill -KILL $PPID; echo x > y')).isUnsaved, true);
    assert.equal((await rig.run('rm -rf .git')).isUnsaved, true);
  });
});
