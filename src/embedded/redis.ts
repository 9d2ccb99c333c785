import { join } from 'node:path';
import type { Log } from '../log.ts';
import { newPassword, recall, remember, startOnPort } from './access.ts';
import { keepRunning, type Kept } from './keep-running.ts';
import { chooseUser, makePartDir, makeOwnDir } from './run-as.ts';
import { startServer } from './server-process.ts';

const NAME = 'the embedded Redis';

type Access = { port: number; password: string };

/**
 * Debian's redis-server with its data in `dir`, on 127.0.0.1. What it has acknowledged for a second survives a crash.
 *
 * @throws when it cannot be started, with its last words
 */
export async function startRedis({ dir, log }: { dir: string; log: Log }): Promise<Kept & { url: string }> {
  const dataDir = join(dir, 'data');
  const { lockPath } = await makePartDir(dir);
  const runAs = await chooseUser([dir]);
  await makeOwnDir(dataDir, runAs);

  const accessFile = join(dir, 'access.json');
  const access = await recall<Access>(accessFile);
  const password = access?.password ?? newPassword();
  const { port, started } = await startOnPort(access?.port ?? null, (port) =>
    keepRunning(
      NAME,
      (signal) =>
        startServer(
          {
            name: NAME,
            command: ['redis-server', '-'],
            debian: { program: 'redis-server', packages: 'redis-server' },
            runAs,
            // Not on the command line, which everybody on the machine can read.
            input: configuration(port, password, dataDir),
            isReadyLine: (line) => line.includes('Ready to accept connections'),
            stopSignal: 'SIGTERM',
            lockPath,
          },
          log,
          signal,
        ),
      log,
    ),
  );
  if (port !== access?.port) await remember(accessFile, { port, password } satisfies Access);
  return { url: `redis://:${password}@127.0.0.1:${port}`, close: () => started.close() };
}

function configuration(port: number, password: string, dataDir: string): string {
  return `bind 127.0.0.1
port ${port}
requirepass ${password}
dir ${JSON.stringify(dataDir)}
appendonly yes
save ""
`;
}
