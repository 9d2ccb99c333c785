import { readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { clearLeftovers, repack } from './saves-store.ts';
import { storeGit } from './store-git.ts';
import { withStore } from './store-writers.ts';

/** Each save that has changed brings a pack, and git looks into all of them. */
const MOST_PACKS = 50;
const MOST_PACKS_AT_ANY_TIME = 200;
/** The thread waits for it. */
const TIDY_MS = 60_000;
/** After a try to make one pack of all that took too long, so many times only the small ones become one. */
const ROLLS_BETWEEN = 20;

/**
 * Whoever writes large files anew with each command would fill the bot's disk for all, long before there are many packs. From
 * so much on, what is twice as large as what was needed last becomes one pack, however long that thread waits.
 */
const LARGE_BYTES = 2 * 1024 ** 3;
const GROWTH = 2;
const LARGE_MS = 600_000;

/**
 * What the last try leaves behind: `rolls` still to come before all is tried again, from more than `packs` on; `bytes` that
 * all took then.
 */
type Memory = { rolls: number; packs: number; bytes: number };
const NO_MEMORY: Memory = { rolls: 0, packs: 0, bytes: 0 };

/**
 * Makes one pack of many, or of few that are large, without what no saved state holds any more. Where that took too long once, the small ones
 * become one for a long time after: what a save brings is little beside what is there.
 *
 * @param canWait false: somebody waits for the thread, so that only far too many are made less
 * @throws with git's words; or the reason of `signal`, or for the time it took: the store is as it was, and whole. It is
 *   not tried again before something else, or as many packs more, may make it go better
 */
export async function tidyStore(
  storePath: string,
  {
    canWait,
    signal,
    timeoutMs = TIDY_MS,
    largeBytes = LARGE_BYTES,
  }: { canWait: boolean; signal: AbortSignal; timeoutMs?: number; largeBytes?: number },
): Promise<void> {
  const most = canWait ? MOST_PACKS : MOST_PACKS_AT_ANY_TIME;
  const before = await packsOf(storePath);
  if (before.length <= most && bytesOf(before) <= largeBytes) return;
  await withStore(storePath, async () => {
    const packs = await packsOf(storePath);
    const memory = await remembered(storePath);
    const bytes = bytesOf(packs);
    const isGrown = packs.length > 1 && bytes > Math.max(largeBytes, GROWTH * memory.bytes);
    if (!isGrown && packs.length <= Math.max(most, memory.packs)) return;
    const isWhole = isGrown || memory.rolls === 0;
    try {
      const within = AbortSignal.any([signal, AbortSignal.timeout(isGrown ? LARGE_MS : timeoutMs)]);
      if (isWhole) await repack(storePath, within);
      else await rollUp(storePath, packs, within);
    } catch (error) {
      // What it had written so far is large, and would lie there until the next save.
      await clearLeftovers(storePath);
      const isRolling = memory.rolls > 0;
      // A bot that stops has not found out how long it takes.
      if (!signal.aborted) {
        const tried = { rolls: ROLLS_BETWEEN, packs: isRolling ? packs.length + most : 0 };
        await remember(storePath, { ...tried, bytes: isGrown ? bytes : memory.bytes });
      }
      throw error;
    }
    const needed = isWhole ? bytesOf(await packsOf(storePath)) : memory.bytes;
    const rolls = Math.max(0, memory.rolls - 1);
    await remember(storePath, { rolls, packs: 0, bytes: needed > largeBytes / GROWTH ? needed : 0 });
  });
}

type Pack = { name: string; sizeBytes: number };

async function packsOf(storePath: string): Promise<Pack[]> {
  const dir = join(storePath, 'objects', 'pack');
  // The store may have gone with its last saved state.
  const names = await readdir(dir).catch(() => []);
  const packs = names.filter((name) => name.endsWith('.pack'));
  return Promise.all(packs.map(async (name) => ({ name, sizeBytes: (await stat(join(dir, name))).size })));
}

const bytesOf = (packs: readonly Pack[]): number => packs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);

/**
 * Which become one: then each that is left is at least twice as large as all that are smaller, so there are few, and
 * over time each byte is copied a few times only. As `git repack --geometric=2` chooses; before git 2.41 that takes
 * packs of the mirror for packs of the store.
 */
export function packsToRoll(packs: readonly Pack[]): Pack[] {
  const sorted = packs.toSorted((a, b) => a.sizeBytes - b.sizeBytes);
  let count = 0;
  let smallerBytes = 0;
  for (const [index, { sizeBytes }] of sorted.entries()) {
    if (sizeBytes < 2 * smallerBytes) count = index + 1;
    smallerBytes += sizeBytes;
  }
  return sorted.slice(0, count);
}

/** The old ones go once the new one is there. */
async function rollUp(storePath: string, packs: readonly Pack[], signal: AbortSignal): Promise<void> {
  const dir = join(storePath, 'objects', 'pack');
  const rolled = packsToRoll(packs).map(({ name }) => name);
  const others = packs.map(({ name }) => name).filter((name) => !rolled.includes(name));
  const input = [...rolled, ...others.map((name) => `^${name}`), ''].join('\n');
  const args = ['pack-objects', '-q', '--stdin-packs', '--non-empty', '--window=0', join(dir, 'pack')];
  const said = await storeGit(['--git-dir', storePath, ...args], { signal, input });
  const made = `pack-${said.toString().trim()}.pack`;
  for (const name of rolled.filter((one) => one !== made)) {
    // Its index goes first: a pack without one is none.
    const stem = join(dir, name.slice(0, -'.pack'.length));
    for (const ending of ['.idx', '.rev', '.pack']) await rm(`${stem}${ending}`, { force: true });
  }
}

const memoryPath = (storePath: string): string => join(storePath, 'tidied');

async function remembered(storePath: string): Promise<Memory> {
  const text = await readFile(memoryPath(storePath), 'utf8').catch(() => '');
  const [, rolls, packs, bytes = 0] =
    /^rolls (\d{1,6}) packs (\d{1,9})(?: bytes (\d{1,15}))?\n$/.exec(text) ?? [];
  return rolls === undefined
    ? NO_MEMORY
    : { rolls: Number(rolls), packs: Number(packs), bytes: Number(bytes) };
}

async function remember(storePath: string, { rolls, packs, bytes }: Memory): Promise<void> {
  const path = memoryPath(storePath);
  if (rolls === 0 && bytes === 0) {
    await rm(path, { force: true });
    return;
  }
  await writeFile(`${path}.new`, `rolls ${rolls} packs ${packs} bytes ${bytes}\n`);
  await rename(`${path}.new`, path);
}
