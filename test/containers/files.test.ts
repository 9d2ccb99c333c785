import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { BUILTINS } from '../../src/commands/builtins.ts';
import { inboxPath, placeFiles } from '../../src/containers/inbox.ts';
import { collectOutbox, outboxEnv, OutboxReader } from '../../src/containers/outbox.ts';
import { closeAll } from '../support/close-all.ts';
import { docker, startRig, text, type Rig } from './rig.ts';

const signal = new AbortController().signal;
const limits = { fileBytes: 1000, totalBytes: 1500 };
const file = (name: string, content: string) => ({ name, content: Buffer.from(content) });

describe('files that come with a command and go with its answer', () => {
  let rig: Rig;
  let commandId = 0;
  const closers: (() => unknown)[] = [];
  before(async () => {
    rig = await startRig({ after: (closer) => void closers.push(closer as () => unknown) });
  });
  after(() => closeAll(closers));

  const place = (files: ReturnType<typeof file>[]) =>
    placeFiles(docker, rig.container.id, { commandId, files, signal });
  const run = (script: string, env: Record<string, string> = {}) =>
    rig.run(script, { executionId: `${commandId}-1`, env: { ...outboxEnv(commandId), ...env } });
  const collect = () => collectOutbox(docker, rig.container.id, { commandId, limits, signal });
  const apply = async (...files: ReturnType<typeof file>[]) => {
    commandId += 1;
    await place(files);
    return run(BUILTINS.apply, { THREADBOX_INBOX: inboxPath(commandId), THREADBOX_REPOSITORY: 'my-app' });
  };

  it('they are put there whole, as the user, not executable, and again after a crash', async () => {
    commandId = 10;
    const binary = {
      name: 'ü 報.bin',
      content: Buffer.from(Array.from({ length: 300_000 }, (_, at) => at & 255)),
    };
    await place([file('old.txt', 'half')]);
    await place([file('a b.txt', 'text\n'), file('empty', ''), binary]);
    const result = await run(
      'cd "$THREADBOX_INBOX"; stat -c "%n %a %U %s" *; sha256sum *.bin | cut -c -16; git -C /workspace/my-app status --short',
      {
        THREADBOX_INBOX: inboxPath(commandId),
      },
    );
    assert.equal(
      text(result),
      'a b.txt 644 dev 5\nempty 644 dev 0\nü 報.bin 644 dev 300000\n'.replaceAll(
        'dev',
        text(await rig.run('id -un')).trim(),
      ) + text(await rig.run(`cd ${inboxPath(commandId)}; sha256sum *.bin | cut -c -16`)),
    );
    assert.equal(result.hasOutbox, false);
    assert.equal(
      text(await rig.run('echo "[$THREADBOX_INBOX$THREADBOX_OUTBOX]"; ls /workspace/.outbox')),
      '[]\n',
    );
  });

  it('a link in the place of the inbox is not followed, and what does not fit is told', async () => {
    commandId = 11;
    await rig.run('rm -rf /workspace/.inbox; mkdir -p /tmp/else; ln -s /tmp/else /workspace/.inbox');
    await place([file('a', 'x')]);
    assert.equal(
      text(await rig.run('ls -d /tmp/else/* 2>&1; cat /workspace/.inbox/11/a')).endsWith('x'),
      true,
    );
    assert.doesNotMatch(text(await rig.run('ls /tmp/else')), /11/);
    await assert.rejects(place([file('../a', 'x')]), /Expected the name of a file/);
  });

  it('what a command leaves is read, links and pipes are not, and too much of it stays', async () => {
    commandId = 12;
    const result = await run(
      'cd "$THREADBOX_OUTBOX"; printf a > "a b.txt"; mkdir sub; printf "\\0\\n" > sub/ü; head -c 1200 /dev/zero > big; head -c 999 /dev/zero > c; ' +
        'head -c 999 /dev/zero > d; truncate -s 1T sparse; ln -s /etc/passwd link; mkfifo pipe; ln "a b.txt" hard; : > empty; printf h > .hidden',
    );
    assert.deepEqual([result.exitCode, result.hasOutbox], [0, true]);
    const { files, left, oddCount, isWhole } = await collect();
    assert.deepEqual(
      files.map(({ name, content }) => [name, content.length < 10 ? content.toString() : content.length]),
      [
        ['.hidden', 'h'],
        ['a b.txt', 'a'],
        ['c', 999],
        ['empty', ''],
        ['hard', 'a'],
        ['sub/ü', '\0\n'],
      ],
    );
    assert.deepEqual(
      left.map(({ name, sizeBytes }) => [name, sizeBytes]),
      [
        ['big', 1200],
        ['d', 999],
        ['sparse', 2 ** 40],
      ],
    );
    assert.deepEqual([oddCount, isWhole], [2, true]);
    assert.match(text(await rig.run('ls /workspace/.outbox/12')), /big/);
  });

  it('an outbox that a command has made a link is not read', async () => {
    commandId = 13;
    const result = await run(
      'rmdir "$THREADBOX_OUTBOX"; mkdir /tmp/o; : > /tmp/o/x; ln -s /tmp/o "$THREADBOX_OUTBOX"',
    );
    assert.equal(result.hasOutbox, true);
    assert.deepEqual(await collect(), { files: [], left: [], oddCount: 0, isWhole: false });
  });

  it('commits of git format-patch keep their author; a plain diff is staged', async () => {
    commandId = 20;
    const made = await rig.run(
      'cd /workspace/my-app; git config user.name Me; git config user.email me@example.com; echo one >> README.md; echo new > new.txt; git add -A; ' +
        'git commit -q --author="Ada <ada@example.com>" -m "Add one"; git format-patch -1 --stdout > /tmp/1.patch; cat /tmp/1.patch; git reset -q --hard HEAD~1',
    );
    const patch = text(made);
    const applied = await apply(file('0001-Add-one.patch', patch));
    assert.equal(applied.exitCode, 0, text(applied));
    assert.match(text(applied), /Ada: Add one/);
    assert.equal(
      text(await rig.run('git log -1 --format=%an; git status --short; git reset -q --hard HEAD~1')),
      'Ada\n',
    );
    const diff = patch.slice(patch.indexOf('diff --git'), patch.lastIndexOf('-- \n'));
    const staged = await apply(file('a.diff', diff));
    assert.equal(staged.exitCode, 0, text(staged));
    assert.equal(text(await rig.run('git status --short')), 'M  README.md\nA  new.txt\n');
    await rig.run('git reset -q --hard');
  });

  it('where a patch does not apply, nothing changes, whatever else is changed there', async () => {
    const before =
      'git rev-parse HEAD; git status --short; git diff; git diff --cached; cat README.md src/app.js; ls -A . src; git stash list';
    const made = await rig.run(
      'echo theirs > README.md; echo x > other.txt; git add -A; git commit -q -m "Theirs"; git format-patch -1 --stdout; git reset -q --hard HEAD~1; ' +
        'echo ours > README.md; git commit -qam Ours; echo changed >> src/app.js; echo untracked > mine.txt',
    );
    const patch = text(made);
    const diff = patch.slice(patch.indexOf('diff --git'), patch.lastIndexOf('-- \n'));
    const state = text(await rig.run(before));
    for (const files of [
      [file('1.patch', patch)],
      [file('1.diff', diff)],
      [file('1.diff', diff), file('2.patch', patch)],
      [file('1.patch', 'no patch at all\n')],
    ]) {
      const result = await apply(...files);
      assert.notEqual(result.exitCode, 0);
      assert.match(text(result), /Nothing was changed\.\n$/, text(result));
      assert.equal(text(await rig.run(before)), state);
    }
    await rig.run('git add src/app.js');
    const dirty = text(await rig.run(before));
    assert.match(text(await apply(file('1.patch', patch))), /Some changes are staged/);
    assert.match(text(await apply(file('1.diff', diff))), /Nothing was changed/);
    assert.equal(text(await rig.run(before)), dirty);
    assert.match(text(await apply(file('1.txt', patch))), /No patch came with the mail/);
  });
});

describe('what the script of the outbox says', () => {
  it('is taken in pieces, and not beyond the limits', () => {
    const said = Buffer.from('file 3 a\0xyzfile 0 b\0left 2000 c d\0odd 2\0done\0');
    for (const size of [1, 2, 7, 100]) {
      const reader = new OutboxReader(limits);
      for (let from = 0; from < said.length; from += size) reader.take(said.subarray(from, from + size));
      assert.deepEqual(reader.outbox(), {
        files: [file('a', 'xyz'), file('b', '')],
        left: [{ name: 'c d', sizeBytes: 2000 }],
        oddCount: 2,
        isWhole: true,
      });
    }
    for (const odd of [
      'file 2000 a\0',
      'nonsense\0',
      `file 1 ${'x'.repeat(9000)}`,
      'file 1000 a\0' + 'x'.repeat(1000) + 'file 600 b\0',
    ]) {
      assert.equal(new OutboxReader(limits).take(Buffer.from(odd)), false, odd.slice(0, 20));
    }
  });
});
