import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { test } from 'node:test';
import { openLogOutput } from '../src/log-output.ts';

const fault = (code: string): Error => Object.assign(new Error(code), { code });

/** An output that takes what it is told to: so many bytes of a write, or none, with an error. */
function scripted() {
  const taken: string[] = [];
  let next: (string | number)[] = [];
  const write = (_fd: number, bytes: Buffer): number => {
    const behaviour = next.shift() ?? bytes.length;
    if (typeof behaviour === 'string') throw fault(behaviour);
    taken.push(bytes.subarray(0, behaviour).toString());
    return Math.min(behaviour, bytes.length);
  };
  return { text: () => taken.join(''), behave: (...then: (string | number)[]) => (next = then), write };
}

test('lines that a full disk or a slow reader does not take come later, whole and in their order', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { text, behave, write } = scripted();
  const output = openLogOutput(1, write);
  output.write('one\n');
  behave(1, 'ENOSPC', 'EIO');
  for (const line of ['two\n', 'three\n', 'four\n']) output.write(line);
  assert.equal(text(), 'one\nt');
  t.mock.timers.tick(1_000);
  assert.equal(text(), 'one\nt', 'the disk is still full');
  t.mock.timers.tick(1_000);
  assert.equal(text(), 'one\ntwo\nthree\nfour\n');
  behave('EAGAIN');
  output.write('five\n');
  t.mock.timers.tick(50);
  assert.match(text(), /four\nfive\n$/);
});

test('what is too much to be kept is lost and told of; a reader that has gone costs nothing', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { text, behave, write } = scripted();
  const output = openLogOutput(1, write);
  behave('ENOSPC');
  const line = `${'x'.repeat(1 << 18)}\n`;
  for (let count = 0; count < 6; count += 1) output.write(line);
  t.mock.timers.tick(1_000);
  const lines = text().split('\n').slice(0, -1);
  assert.deepEqual([lines.length, lines.slice(0, 3).every((one) => one === line.trim())], [4, true]);
  assert.match(lines[3] ?? '', /^\{"level":40,"time":\d+,"lines":3,"msg":"lines of this log were lost/);
  behave('EPIPE');
  output.write('to nobody\n');
  output.write('to nobody\n');
  assert.doesNotMatch(text(), /nobody/);
});

test('a process whose log goes to a full disk lives on, and ends when it wants to', async () => {
  const log = new URL('../src/log.ts', import.meta.url).href;
  const script = `import { createLog } from '${log}';
    const log = createLog('info');
    for (let count = 0; count < 50; count += 1) log.info('nobody takes this');
    setTimeout(() => { process.stderr.write('alive'); process.exit(7); }, 200);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', openSync('/dev/full', 'w'), 'pipe'],
  });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text));
  const [code] = (await once(child, 'close')) as [number | null];
  assert.deepEqual([code, said], [7, 'alive']);
});
