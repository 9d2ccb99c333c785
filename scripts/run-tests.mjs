// Runs all test files, those that are short several in a process, and tells of them as `node --test` does.
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { testProcesses } from './test-processes.mjs';

const stopping = new AbortController();
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.on(signal, () => stopping.abort());

let isEmpty = true;
run({ files: testProcesses(join(tmpdir(), 'together')), concurrency: 4, signal: stopping.signal })
  .on('test:start', ({ nesting }) => {
    isEmpty = nesting === 0;
  })
  .on('test:pass', ({ name, nesting }) => {
    // A file in which no test was found: to Node that is a test that went well.
    if (nesting > 0 || !isEmpty || !name.endsWith('.test.ts')) return;
    process.exitCode = 1;
    console.error(`${name} has no test in it.`);
  })
  .on('test:fail', () => {
    process.exitCode = 1;
  })
  .compose(new spec())
  .pipe(process.stdout);
