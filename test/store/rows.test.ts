import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asRows } from '../../src/store/rows.ts';

const CASES: Readonly<Record<string, [given: string, stored: string]>> = {
  'ordinary text': ['npm test\n"ü" 😀', 'npm test\n"ü" 😀'],
  'half a pair': ['a\ud800b', 'a\ufffdb'],
  'the other half': ['\udfff', '\ufffd'],
  'what only looks like one': [String.raw`a\ud800 \\udfff`, String.raw`a\ud800 \\udfff`],
};

for (const [name, [given, stored]] of Object.entries(CASES)) {
  test(`rows for PostgreSQL: ${name}`, () => {
    const row = { id: 1, name: given, list: [given, null], at: null };
    const asked = JSON.parse(asRows([row])) as unknown;
    assert.deepEqual(asked, [{ id: 1, name: stored, list: [stored, null], at: null }]);
  });
}
