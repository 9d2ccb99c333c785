import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { text as textOf } from 'node:stream/consumers';
import type { DumpFacts } from '../store/dump.ts';

/** What `manifest.json` in a backup says. Another layout gets another number. */
export type Manifest = DumpFacts & {
  format: 1;
  madeAt: string;
  /** SHA-256 of every other file in it, by its path. */
  files: Record<string, string>;
};

export const MANIFEST = 'manifest.json';

/** All files below a directory, with `/` between levels. */
export async function filesBelow(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const odd = entries.find((entry) => !entry.isFile() && !entry.isDirectory());
  if (odd) throw new Error(`${join(odd.parentPath, odd.name)} is neither a file nor a directory`);
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1))
    .toSorted();
}

export async function checksum(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/** Packs a directory into one file that only its owner can read. @throws with the words of tar */
export async function pack(dir: string, file: string): Promise<void> {
  const handle = await open(file, 'wx', 0o600);
  try {
    await tar(['--create', '--gzip', '--directory', dir, '.'], ['ignore', handle.fd]);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** @throws with the words of tar, as where the file is cut off or is none */
export async function unpack(file: string, dir: string): Promise<void> {
  const handle = await open(file, 'r');
  try {
    const how = ['--extract', '--gzip', '--no-same-owner', '--preserve-permissions'];
    await tar([...how, '--directory', dir], [handle.fd, 'ignore']);
  } finally {
    await handle.close();
  }
}

async function tar(
  args: readonly string[],
  [stdin, stdout]: ['ignore' | number, 'ignore' | number],
): Promise<void> {
  const child = spawn('tar', args, { stdio: [stdin, stdout, 'pipe'] });
  const ended = once(child, 'close') as Promise<[number | null]>;
  const [words, [code]] = await Promise.all([textOf(child.stderr as NodeJS.ReadableStream), ended]);
  if (code !== 0) throw new Error(`tar says: ${words.trim().split('\n')[0] ?? ''}`);
}
