import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { createWriteStream } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { loadConfig, readEnvironment } from '../config.ts';
import { borrowedMirror, copyBare, copyStore } from '../containers/copy-git.ts';
import { takeLock } from '../lock.ts';
import { dumpTables, type DumpFacts } from '../store/dump.ts';
import { checksum, filesBelow, MANIFEST, pack, type Manifest } from './backup-archive.ts';
import { CliError } from './command.ts';
import { withDatabase } from './database.ts';

export type BackedUp = { file: string; rows: number; savedThreads: number; hasSettings: boolean };

/**
 * Writes all that an installation is made of into one file, while the bot may go on working.
 *
 * @throws {CliError} when there is nothing to back up, or the file is there
 */
export async function writeBackup(file: string): Promise<BackedUp> {
  const path = resolve(file);
  if (existsSync(path)) throw new CliError(`${path} is there already. Give another FILE, or remove it.`);
  const dataDir = resolve(loadConfig(readEnvironment(), { isForBot: false }).config.dataDir);
  if (!existsSync(dataDir)) throw new CliError(`there is no installation in ${dataDir} (DATA_DIR).`);
  const lock = await takeLock(join(dataDir, 'backup.lock'), { kind: 'exclusive', waitMs: 0 });
  if (!lock) throw new CliError('another backup of this installation is being made. Wait until it is done.');
  await clearLeftovers(dataDir, 'backup-');
  const staging = await mkdtemp(join(dataDir, 'backup-'));
  const part = `${path}.part`;
  try {
    await rm(part, { force: true });
    // First, so that whatever the rows speak of is in the stores, which only grow.
    const facts = await withDatabase((db) =>
      dumpTables(db, (table, lines) => writeLines(staging, table, lines)),
    );
    const savedThreads = await copyStores(dataDir, facts.installation, staging);
    const hasSettings = await copySettings(dataDir, staging);
    await writeManifest(staging, facts);
    await pack(staging, part);
    await rename(part, path);
    const rows = facts.tables.reduce((sum, table) => sum + table.rows, 0);
    return { file: path, rows, savedThreads, hasSettings };
  } finally {
    await rm(part, { force: true });
    await rm(staging, { recursive: true, force: true });
    await lock.release();
  }
}

/** What a killed one has left. For whoever holds the lock. */
export async function clearLeftovers(dataDir: string, prefix: string): Promise<void> {
  for (const name of await readdir(dataDir)) {
    if (name.startsWith(prefix)) await rm(join(dataDir, name), { recursive: true, force: true });
  }
}

async function writeLines(staging: string, table: string, lines: AsyncIterable<string>): Promise<void> {
  await mkdir(join(staging, 'tables'), { recursive: true });
  async function* ended(): AsyncIterable<string> {
    for await (const line of lines) yield `${line}\n`;
  }
  await pipeline(Readable.from(ended()), createWriteStream(join(staging, 'tables', `${table}.jsonl`)));
}

/** With the mirrors that the stores borrow from: what they stand on may be gone from the upstream. */
async function copyStores(dataDir: string, installation: string, staging: string): Promise<number> {
  const savesDir = join(dataDir, 'saves', installation);
  const names = existsSync(savesDir) ? (await readdir(savesDir)).filter((name) => name.endsWith('.git')) : [];
  const mirrors = new Set<string>();
  for (const name of names) {
    // Gone meanwhile with its last saved state.
    if (!existsSync(join(savesDir, name, 'HEAD'))) continue;
    await copyStore(join(savesDir, name), join(staging, 'saves', name));
    const mirror = await borrowedMirror(join(staging, 'saves', name));
    if (mirror !== null) mirrors.add(mirror);
  }
  for (const mirror of mirrors) await copyBare(mirror, join(staging, 'mirrors', basename(mirror)));
  return names.length;
}

/** What the data directory has beside the database: the newest refresh token, and the key that repositories' secrets are sealed with. */
export const KEPT_FILES = ['refresh-token.json', 'secrets.key'];

/** These and `.env`: with all secrets in them. */
async function copySettings(dataDir: string, staging: string): Promise<boolean> {
  const dir = join(staging, 'settings');
  await mkdir(dir);
  for (const name of KEPT_FILES) {
    const file = join(dataDir, name);
    if (existsSync(file)) await copyFile(file, join(dir, name));
  }
  if (!existsSync('.env')) return false;
  await copyFile('.env', join(dir, 'env'));
  return true;
}

async function writeManifest(staging: string, facts: DumpFacts): Promise<void> {
  const files: Record<string, string> = {};
  for (const name of await filesBelow(staging)) files[name] = await checksum(join(staging, name));
  const manifest: Manifest = { format: 1, madeAt: new Date().toISOString(), ...facts, files };
  await writeFile(join(staging, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
}
