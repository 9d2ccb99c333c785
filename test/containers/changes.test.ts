import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startRig, text } from './rig.ts';

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
