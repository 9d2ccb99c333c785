import { createReadStream, existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { loadConfig, readEnvironment } from '../config.ts';
import { borrowFrom } from '../containers/copy-git.ts';
import { connectEmbedded } from '../embedded/embedded.ts';
import { takeLock } from '../lock.ts';
import { unhurried, type Db } from '../store/database.ts';
import { loadObstacle, loadTables, makeTables } from '../store/dump.ts';
import { takeLockOnce } from '../store/mailbox-lock.ts';
import { startPause } from '../store/pause.ts';
import { checksum, filesBelow, MANIFEST, unpack, type Manifest } from './backup-archive.ts';
import { clearLeftovers, KEPT_FILES } from './backup-write.ts';
import { CliError } from './command.ts';
import { withDatabase } from './database.ts';
import { withCauses } from './explain.ts';

export type RestoredBackup = {
  madeAt: string;
  rows: number;
  savedThreads: number;
  /** Commands that waited or ran when the backup was made. */
  openCommands: number;
  /** Where the settings lie for the operator; null: there were none. */
  settings: string | null;
};

/**
 * Puts a backup into an empty installation. All of it is checked before anything is made of it; the rows come in one
 * transaction, with a pause, as mails that arrived after the backup may have been run already.
 *
 * @throws {CliError} with what is in the way
 */
export async function restoreBackup(file: string): Promise<RestoredBackup> {
  const path = resolve(file);
  if (!existsSync(path)) throw new CliError(`there is no file ${path}.`);
  const dataDir = resolve(loadConfig(readEnvironment(), { isForBot: false }).config.dataDir);
  if (await connectEmbedded(dataDir)) throw inUse(`a bot runs on it`, dataDir);
  if (await hasSaves(dataDir)) {
    throw inUse(`there are saved states in ${join(dataDir, 'saves')}`, dataDir);
  }
  await mkdir(dataDir, { recursive: true, mode: 0o711 });
  const lock = await takeLock(join(dataDir, 'backup.lock'), { kind: 'exclusive', waitMs: 0 });
  if (!lock) throw new CliError(`another backup is made or restored in ${dataDir}. Wait until it is done.`);
  await clearLeftovers(dataDir, 'restore-');
  const staging = await mkdtemp(join(dataDir, 'restore-'));
  try {
    const manifest = await openChecked(path, staging);
    return await withDatabase(
      async (db, databaseUrl) => {
        const mailboxLock = await takeLockOnce(databaseUrl);
        if (!mailboxLock) throw inUse('a bot works on its database', dataDir);
        try {
          return await putIn(db, { manifest, staging, dataDir });
        } finally {
          await mailboxLock.release();
        }
      },
      { migrates: false },
    );
  } finally {
    await rm(staging, { recursive: true, force: true });
    await lock.release();
  }
}

/** Empty directories are left by what could not be restored. */
async function hasSaves(dataDir: string): Promise<boolean> {
  const dir = join(dataDir, 'saves');
  return existsSync(dir) && (await readdir(dir, { recursive: true })).some((name) => name.includes('.git'));
}

const inUse = (why: string, dataDir: string): CliError =>
  new CliError(
    `a backup is only restored onto an empty installation, and the one of ${dataDir} is not: ${why}.\n` +
      'Stop the bot there, or name another DATA_DIR and, where DATABASE_URL is set, an empty database.',
  );

/** Unpacks it, and makes sure that each file is there as it was written, and none besides. */
async function openChecked(path: string, staging: string): Promise<Manifest> {
  try {
    await unpack(path, staging);
    const manifest = JSON.parse(await readFile(join(staging, MANIFEST), 'utf8')) as Manifest;
    if (manifest.format !== 1)
      throw new Error(`format ${String(manifest.format)} is unknown to this Threadbox`);
    const names = (await filesBelow(staging)).filter((name) => name !== MANIFEST);
    const missing = Object.keys(manifest.files).find((name) => !names.includes(name));
    if (missing !== undefined) throw new Error(`${missing} is missing`);
    for (const name of names) {
      const isWhole = (await checksum(join(staging, name))) === manifest.files[name];
      if (!isWhole) throw new Error(`${name} is not as it was written`);
    }
    return manifest;
  } catch (error) {
    const told = `${path} cannot be used as a backup: ${withCauses(error)}.\nNothing was changed.`;
    throw new CliError(told, 1, { cause: error });
  }
}

async function putIn(
  db: Db,
  { manifest, staging, dataDir }: { manifest: Manifest; staging: string; dataDir: string },
): Promise<RestoredBackup> {
  const obstacle = await loadObstacle(db, manifest.migrations);
  if (obstacle) throw new CliError(`${obstacle.says}.\n${obstacle.todo} Nothing was changed.`);
  await makeTables(db, manifest.migrations);
  const savesDir = join(dataDir, 'saves', manifest.installation);
  const mirrorsDir = join(dataDir, 'mirrors', manifest.installation);
  let savedThreads = 0;
  const load = async (transaction: Db): Promise<number> => {
    await loadTables(transaction, manifest, (table) => linesOf(join(staging, 'tables', `${table}.jsonl`)));
    await startPause(transaction, `restored from the backup of ${manifest.madeAt}`);
    const open = await transaction('commands').whereIn('state', ['queued', 'running']).count({ count: '*' });
    // Last, as the disk knows no way back.
    savedThreads = await place(join(staging, 'saves'), savesDir);
    await place(join(staging, 'mirrors'), mirrorsDir);
    for (const name of savedThreads > 0 ? await readdir(savesDir) : []) {
      await borrowFrom(join(savesDir, name), mirrorsDir);
    }
    return Number(open[0]?.['count'] ?? 0);
  };
  const forget = async (error: unknown): Promise<never> => {
    // Empty again, so that it can be tried again.
    for (const dir of [savesDir, mirrorsDir]) await rm(dir, { recursive: true, force: true });
    throw error;
  };
  // Not where it is in the database, and only the connections could not be closed.
  const openCommands = await unhurried(db, (own) => own.transaction(load).catch(forget));
  const rows = manifest.tables.reduce((sum, table) => sum + table.rows, 0);
  const settings = await placeSettings(staging, dataDir);
  return { madeAt: manifest.madeAt, rows, savedThreads, openCommands, settings };
}

/** By LF alone: readline takes U+2028, which may stand in a mail, for the end of a line. */
async function* linesOf(path: string): AsyncIterable<string> {
  let pieces: string[] = [];
  for await (const chunk of createReadStream(path, { encoding: 'utf8' }) as AsyncIterable<string>) {
    const [first = '', ...others] = chunk.split('\n');
    pieces.push(first);
    for (const other of others) {
      yield pieces.join('');
      pieces = [other];
    }
  }
}

/** @returns how many there are */
async function place(from: string, to: string): Promise<number> {
  if (!existsSync(from)) return 0;
  await mkdir(join(to, '..'), { recursive: true, mode: 0o700 });
  await rename(from, to);
  return (await readdir(to)).length;
}

/** Not into .env: what stands there of the database is that of the old installation. */
async function placeSettings(staging: string, dataDir: string): Promise<string | null> {
  for (const name of KEPT_FILES) {
    const file = join(staging, 'settings', name);
    if (!existsSync(file)) continue;
    await copyFile(file, join(dataDir, name));
    await chmod(join(dataDir, name), 0o600);
  }
  const env = join(staging, 'settings', 'env');
  if (!existsSync(env)) return null;
  const target = join(dataDir, 'restored.env');
  await copyFile(env, target);
  await chmod(target, 0o600);
  return target;
}
