import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandText } from '../../src/commands/command-text.ts';
import { MAX_SCRIPT_BYTES } from '../../src/containers/limits.ts';

test('the body is the command, as it was typed', () => {
  assert.deepEqual(commandText('npm ci\n\nnpm test\n', 'Add login', false), {
    script: 'npm ci\n\nnpm test\n',
  });
});

test('the first line keeps its indentation', () => {
  assert.deepEqual(commandText('\n  \n    echo a\n', '', false), { script: '    echo a\n' });
});

test('an empty body takes the rest of the subject', () => {
  assert.deepEqual(commandText(' \n', ' npm test ', false), { script: 'npm test\n' });
});

test('an empty reply runs nothing: its subject is that of the command before it', () => {
  assert.deepEqual(commandText('', 'npm run deploy', true), { missing: 'empty' });
});

test('a mail without any word runs nothing', () => {
  assert.deepEqual(commandText('', '', false), { missing: 'empty' });
});

test('NUL bytes are left out', () => {
  assert.deepEqual(commandText('echo a\0b', '', false), { script: 'echo ab\n' });
});

test('a script too large to be handed over is refused', () => {
  assert.deepEqual(commandText('x'.repeat(MAX_SCRIPT_BYTES), '', false), { missing: 'too-large' });
  assert.ok('script' in commandText('x'.repeat(MAX_SCRIPT_BYTES - 1), '', false));
});
