import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withoutSecrets } from '../../src/http/said.ts';
import { masksOf, NO_MASKS, secretLabel } from '../../src/secrets/masks.ts';

const SECRET = 'correct-horse-battery';
const parts = {
  masksOf: (name: string) =>
    Promise.resolve(name === 'mine' ? masksOf([{ value: SECRET, label: secretLabel('KEY') }]) : NO_MASKS),
};

test('a long script is cut in a list, after its secrets were masked: not even the beginning of one is shown', async () => {
  const script = `${'x'.repeat(1_990)}${SECRET}${'y'.repeat(100)}`;
  const things = ['mine', 'other'].map((repository) => ({ repository, script, running: { script } }));
  const [mine, other] = await withoutSecrets(parts, things);
  const cut = `${'x'.repeat(1_990)}[secret KE…`;
  assert.deepEqual(mine, { repository: 'mine', script: cut, running: { script: cut } });
  assert.equal(other?.script, `${script.slice(0, 2_000)}…`);
  const [whole] = await withoutSecrets(parts, things, { isWhole: true });
  assert.equal(whole?.script, script.replace(SECRET, '[secret KEY]'));
});
