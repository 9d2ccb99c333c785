import { chmod, copyFile, link, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { withStore } from './store-writers.ts';

/** Where git's files change under us, the copy is begun anew so many times. */
const MOST_TRIES = 5;
/** What is being written, or only tells of the last fetch. */
const PASSING = /\.lock$|^(incoming|export)-|^tmp_|^\.tmp-|^FETCH_HEAD$/;

/** Copies a thread's store while nobody writes to it. Its objects are linked, so it costs no room on the same disk. */
export async function copyStore(storePath: string, target: string): Promise<void> {
  await withStore(storePath, () => copyBare(storePath, target));
}

/**
 * Copies a bare repository that may be fetched into meanwhile: names first, then objects, of which none is removed
 * while a name leads to it.
 */
export async function copyBare(source: string, target: string): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await copyTree(source, target);
      return;
    } catch (error) {
      await rm(target, { recursive: true, force: true });
      const isGone = (error as NodeJS.ErrnoException).code === 'ENOENT';
      if (!isGone || tries === MOST_TRIES) throw error;
    }
  }
}

async function copyTree(source: string, target: string, isObjects = false): Promise<void> {
  await mkdir(target, { recursive: true });
  // Containers read a mirror as another user; a store is for its owner alone.
  await chmod(target, (await stat(source)).mode & 0o777);
  const entries = (await readdir(source, { withFileTypes: true })).filter(({ name }) => !PASSING.test(name));
  const isLast = (name: string): boolean => name === 'objects';
  for (const entry of entries.toSorted(
    (one, other) => Number(isLast(one.name)) - Number(isLast(other.name)),
  )) {
    const [from, to] = [join(source, entry.name), join(target, entry.name)];
    if (entry.isDirectory()) await copyTree(from, to, isObjects || isLast(entry.name));
    else if (isObjects && entry.name !== 'alternates') await link(from, to).catch(() => copyFile(from, to));
    else await copyFile(from, to);
  }
}

const alternatesOf = (storePath: string): string => join(storePath, 'objects', 'info', 'alternates');

/** The mirror whose objects a store borrows; null: none. */
export async function borrowedMirror(storePath: string): Promise<string | null> {
  const text = await readFile(alternatesOf(storePath), 'utf8').catch(() => '');
  const [objects = ''] = text.split('\n');
  return objects === '' ? null : dirname(objects);
}

/** Lets a store that was moved borrow from the mirror of the same name in another place. */
export async function borrowFrom(storePath: string, mirrorsDir: string): Promise<void> {
  const before = await borrowedMirror(storePath);
  if (before === null) return;
  await writeFile(alternatesOf(storePath), `${join(mirrorsDir, basename(before), 'objects')}\n`);
}
