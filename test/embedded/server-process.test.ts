import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { chooseUser } from '../../src/embedded/run-as.ts';
import { startServer } from '../../src/embedded/server-process.ts';
import { makeDataDir, silent } from './data-dir.ts';

test('a server that is not installed says what to install', async (t) => {
  const dir = await makeDataDir(t);
  const started = startServer(
    {
      name: 'the embedded something',
      command: ['no-such-server'],
      debian: { program: 'no-such-server', packages: 'some-package' },
      runAs: await chooseUser([dir]),
      isReadyLine: () => true,
      stopSignal: 'SIGTERM',
      lockPath: join(dir, 'lock'),
    },
    silent,
    new AbortController().signal,
  );
  await assert.rejects(
    started,
    /no-such-server is not installed\..*apt-get install some-package.*npm run demo/,
  );
});
