import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storeGit, TooMuchSaid } from '../../src/containers/store-git.ts';

test('git on the side of the bot is bounded in its memory, and in what is read of it', async () => {
  const said = await storeGit(['-c', 'alias.bounds=!ulimit -d', 'bounds']);
  assert.equal(said.toString(), `${2 * 1024 ** 2}\n`);
  // Soon, though it would never end by itself.
  await assert.rejects(storeGit(['-c', 'alias.flood=!yes', 'flood'], { maxBytes: 100_000 }), TooMuchSaid);
});
