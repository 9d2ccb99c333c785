import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { packsToRoll, tidyStore } from '../../src/containers/tidy-store.ts';
import { git, never, temporaryDir } from './rig.ts';

describe('which packs become one', () => {
  const tables: [what: string, sizes: number[], rolled: number[]][] = [
    ['all of the same size', [5, 5, 5, 5], [5, 5, 5, 5]],
    ['the small ones beside a large one', [3_000_000, 4, 5, 6], [4, 5, 6]],
    ['the small ones beside two large ones of one size: those, too', [900, 900, 4], [4, 900, 900]],
    ['each twice as large as all before it: none', [1, 2, 6, 18], []],
    ['one', [7], []],
    ['none', [], []],
  ];
  for (const [what, sizes, rolled] of tables) {
    it(what, () => {
      const packs = sizes.map((sizeBytes, index) => ({ name: `pack-${index}.pack`, sizeBytes }));
      assert.deepEqual(
        packsToRoll(packs).map(({ sizeBytes }) => sizeBytes),
        rolled,
      );
    });
  }
});

describe('a store that takes too long to be made one pack', () => {
  it('is not tried again with each save: only its small packs become one, and nothing is lost', async (t) => {
    const dir = await temporaryDir(t);
    const store = join(dir, 'store.git');
    git(dir, 'init', '-q', '--bare', '--template=', 'mirror.git');
    git(dir, 'init', '-q', '--bare', '--template=', 'store.git');
    const sh = (script: string) => execFileSync('bash', ['-ec', script], { cwd: store, encoding: 'utf8' });
    // As the mirror is: with packs of its own, that stay where they are.
    sh(`mkdir -p objects/info; echo ${dir}/mirror.git/objects >objects/info/alternates
      for i in {1..3}; do echo mirror $i | GIT_DIR=../mirror.git git hash-object -w --stdin | GIT_DIR=../mirror.git git pack-objects -q ../mirror.git/objects/pack/pack; done
      head -c 1000000 /dev/urandom >large`);
    let saved = 0;
    /** As of so many saves more, all of which count. */
    const save = (count: number) => {
      sh(`for i in {${saved + 1}..${saved + count}}; do echo $i >$i; done
        paste <(seq -f %g ${saved + 1} ${saved + count} | git hash-object -w --stdin-paths) <(seq -f %g ${saved + 1} ${saved + count}) |
          sed 's/^/100644 blob /' >>entries
        [[ -s first ]] || { git hash-object -w large >first; printf '100644 blob %s\\tlarge\\n' "$(<first)" >>entries; git pack-objects -q objects/pack/pack <first; }
        for hash in $(tail -n ${count + 1} entries | cut -d ' ' -f 3 | cut -f 1 | grep -vf first); do git pack-objects -q objects/pack/pack <<<$hash; done
        tree=$(git mktree <entries); commit=$(git -c user.name=a -c user.email=a@b commit-tree -m s $tree)
        printf '%s\\n' $tree $commit | git pack-objects -q objects/pack/pack
        git update-ref refs/saves/1 $commit; rm -rf objects/??`);
      saved += count;
    };
    const packs = async () =>
      (await readdir(join(store, 'objects', 'pack'))).filter((name) => name.endsWith('.pack'));
    const isWhole = () => {
      assert.equal(git(store, 'fsck', '--full', '--no-dangling'), '');
      assert.equal(sh('git ls-tree refs/saves/1 | wc -l').trim(), String(saved + 1));
    };
    const tidy = (timeoutMs = 60_000) => tidyStore(store, { canWait: true, signal: never, timeoutMs });

    save(51);
    const many = (await packs()).length;
    await assert.rejects(tidy(0), /timeout/i);
    assert.equal((await packs()).length, many);
    assert.deepEqual(
      (await readdir(join(store, 'objects', 'pack'))).filter((name) => name.startsWith('tmp_')),
      [],
    );

    const large = sh('ls -S objects/pack/*.pack | head -1').trim();
    await tidy();
    assert.equal((await packs()).length, 2, 'the large one, and one of the small ones');
    assert.equal(sh('ls -S objects/pack/*.pack | head -1').trim(), large, 'it was left alone');
    isWhole();

    // That takes too long as well: not again before there are so many more.
    save(51);
    const more = (await packs()).length;
    await assert.rejects(tidy(0), /timeout/i);
    await tidy(0);
    assert.equal((await packs()).length, more);
    save(51);
    await tidy();
    assert.ok((await packs()).length <= 3);
    isWhole();

    assert.equal((await readdir(join(dir, 'mirror.git', 'objects', 'pack'))).length >= 6, true);
  });

  it('of few packs, most of which nobody needs any more, is made as small as it can be; no smaller is tried only when it has doubled', async (t) => {
    const dir = await temporaryDir(t);
    const store = join(dir, 'store.git');
    git(dir, 'init', '-q', '--bare', '--template=', 'store.git');
    const save = (bytes: number) =>
      execFileSync(
        'bash',
        [
          '-ec',
          `blob=$(head -c ${bytes} /dev/urandom | git hash-object -w --stdin); tree=$(printf '100644 blob %s\\tlarge\\n' $blob | git mktree)
          commit=$(git -c user.name=a -c user.email=a@b commit-tree -m s $tree)
          printf '%s\\n' $blob $tree $commit | git pack-objects -q objects/pack/pack; git update-ref refs/saves/1 $commit; rm -rf objects/??`,
        ],
        { cwd: store },
      );
    const packs = async () =>
      (await readdir(join(store, 'objects', 'pack'))).filter((name) => name.endsWith('.pack')).length;
    const tidy = () => tidyStore(store, { canWait: false, signal: never, largeBytes: 250_000 });
    const seen: number[] = [];
    for (const bytes of [100_000, 100_000, 100_000, 300_000, 100_000, 100_000, 300_000]) {
      save(bytes);
      await tidy();
      seen.push(await packs());
    }
    assert.deepEqual(seen, [1, 2, 1, 1, 2, 3, 1]);
    assert.equal(git(store, 'fsck', '--full', '--no-dangling'), '');
  });

  it('that has gone meanwhile is none', async (t) => {
    await tidyStore(join(await temporaryDir(t), 'none.git'), { canWait: true, signal: never });
  });
});
