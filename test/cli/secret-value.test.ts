import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { until } from '../support/until.ts';

test('typed at a terminal, the value of a secret is taken and not shown', async () => {
  const module = new URL('../../src/cli/secret-value.ts', import.meta.url).href;
  const program = `import('${module}').then(async ({ readValue }) => console.log('took ' + (await readValue('TOKEN')).length))`;
  // A terminal of its own (script(1)).
  const child = spawn('script', ['-qec', `${process.execPath} --eval "${program}"`, '/dev/null']);
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  const ended = once(child, 'close');
  await until(() => said.includes('The value of TOKEN (it is not shown'));
  child.stdin.write('hunter2-typed\r');
  await ended;
  assert.match(said, /took 13\r?\n$/);
  assert.ok(!said.includes('hunter2'), said);
});
