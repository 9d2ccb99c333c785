// Runs all test files, those that are short several in a process, and tells of them as `node --test` does.
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { testProcesses } from './test-processes.mjs';

const stopping = new AbortController();
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.on(signal, () => stopping.abort());

run({ files: testProcesses(join(tmpdir(), 'together')), concurrency: 4, signal: stopping.signal })
  .on('test:fail', () => {
    process.exitCode = 1;
  })
  .compose(new spec())
  .pipe(process.stdout);
