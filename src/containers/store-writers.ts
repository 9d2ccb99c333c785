import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { takeLock } from '../lock.ts';

const writers = new Map<string, Promise<unknown>>();
const LOCK_WAIT_MS = 120_000;

/** One after another in this process: in the order of the calls. */
export async function inTurn<T>(storePath: string, work: () => Promise<T>): Promise<T> {
  const before = writers.get(storePath) ?? Promise.resolve();
  const mine = before.then(work, work);
  const settled = mine.catch(() => undefined);
  writers.set(storePath, settled);
  try {
    return await mine;
  } finally {
    if (writers.get(storePath) === settled) writers.delete(storePath);
  }
}

/** Nor does another process write meanwhile: `saves export` runs beside the bot. */
export async function locked<T>(storePath: string, work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(storePath), { recursive: true, mode: 0o700 });
  // Beside the store, which comes and goes. It stays: who removed it would have to know that nobody waits for it.
  const lock = await takeLock(`${storePath}.lock`, { kind: 'exclusive', waitMs: LOCK_WAIT_MS });
  if (!lock) throw new Error(`another process has been at work in ${storePath} for too long`);
  try {
    return await work();
  } finally {
    await lock.release();
  }
}

/** One writer to a store at a time. */
export async function withStore<T>(storePath: string, work: () => Promise<T>): Promise<T> {
  return inTurn(storePath, () => locked(storePath, work));
}
