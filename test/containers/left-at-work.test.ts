import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { until } from '../support/until.ts';
import { execIn } from './rig.ts';
import { richUpstream, startSaveRig, type SaveRig, type Workspace } from './save-rig.ts';

const closers: (() => unknown)[] = [];
const scope = { after: (close: () => unknown) => void closers.unshift(close) } as Parameters<
  typeof startSaveRig
>[0];
let rig: SaveRig;
let one: Workspace;

before(async () => {
  rig = await startSaveRig(scope, { url: await richUpstream(scope) });
  one = await rig.open({ isWritable: true });
});
after(async () => {
  for (const close of closers) await close();
});

const inside = (script: string) => execIn(one.container.id, ['bash', '-c', script], { user: '0' });

/**
 * A git that stops when it is told to, with the process group of whoever waits for it: as slow as one likes.
 * @returns what lets it go on, if it is still there
 */
async function stopGitAt(
  words: string,
): Promise<{ reached: () => Promise<unknown>; goOn: () => Promise<string> }> {
  const slow = `#!/bin/bash
if [[ " $* " == *" ${words} "* && ! -e /tmp/stopped ]]; then echo $$ >/tmp/stopped; kill -STOP $$; fi
exec /usr/bin/git "$@"
`;
  await inside(`rm -f /tmp/stopped; printf %s '${slow}' >/usr/local/bin/git; chmod 755 /usr/local/bin/git`);
  return {
    reached: () => until(async () => (await inside('cat /tmp/stopped 2>/dev/null; true')) !== ''),
    goOn: async () => {
      await inside('rm /usr/local/bin/git');
      return one.sh('kill -CONT $(cat /tmp/stopped) 2>/dev/null && echo there || echo gone');
    },
  };
}

/** What the bot has started, and nobody waits for any more. */
const leave = (work: Promise<unknown>) => void work.catch(() => undefined);

describe('what a bot that was killed has left at work in a workspace is ended by the next one', () => {
  it('a clone', async () => {
    await one.wipe();
    const git = await stopGitAt('clone');
    leave(one.prepare());
    await git.reached();
    assert.equal(await one.prepare(), 'ready');
    assert.equal(await git.goOn(), 'gone\n');
    assert.equal(
      await one.sh(
        'git status --porcelain; ls ../.threadbox/clone.part 2>/dev/null || true; cat lib/deep/1.txt',
      ),
      'line 1\n',
    );
  });

  it('a restore, which would have called a workspace ready that was being prepared anew', async () => {
    await one.sh('echo 1 >x');
    await one.save(1);
    await one.wipe();
    assert.equal(await one.prepare(true), 'empty');
    const git = await stopGitAt('read-tree');
    leave(one.restore(1));
    await git.reached();
    assert.equal(await one.prepare(true), 'empty');
    assert.equal(await git.goOn(), 'gone\n');
    await one.restore(1);
    assert.equal(await one.sh('cat x; git status --porcelain'), '1\n?? x\n');
  });

  it('a save in the midst of its commit, whose locks would have stopped the next command', async () => {
    await one.sh('echo 2 >y');
    const git = await stopGitAt('commit');
    leave(one.save(2, { kind: 'final' }));
    await git.reached();
    await one.sh('touch .git/index.lock');
    assert.equal(await one.prepare(), 'ready');
    assert.equal(await git.goOn(), 'gone\n');
    assert.equal(await one.sh('git add y; git commit -qm Y; git log -1 --format=%s'), 'Y\n');
    await one.save(3, { kind: 'final' });
  });
});
