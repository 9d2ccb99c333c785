import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';

export type Quarantine = { objects: string; alternates: string };

/** A place for objects that are not verified yet. */
export async function openQuarantine(storePath: string): Promise<Quarantine> {
  const objects = join(storePath, `incoming-${randomBytes(6).toString('hex')}`);
  await mkdir(join(objects, 'pack'), { recursive: true, mode: 0o700 });
  return { objects, alternates: join(storePath, 'objects') };
}

/** What is there outlives a power failure once this returns. */
export async function settle({ objects }: Quarantine): Promise<void> {
  const dir = join(objects, 'pack');
  await Promise.all((await readdir(dir)).map((name) => sync(join(dir, name))));
}

/** Verified objects become part of the store. The index of a pack comes last: without it there is no pack. */
export async function admit(storePath: string, { objects }: Quarantine): Promise<void> {
  const to = join(storePath, 'objects', 'pack');
  await mkdir(to, { recursive: true });
  const names = await readdir(join(objects, 'pack'));
  for (const name of names.toSorted((a, b) => Number(a.endsWith('.idx')) - Number(b.endsWith('.idx')))) {
    await rename(join(objects, 'pack', name), join(to, name));
  }
  await sync(to);
}

/** Brings a file or a directory to the disk. */
export async function sync(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
