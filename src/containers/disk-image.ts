import {
  access,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  realpath,
  rename,
  rm,
  statfs,
  symlink,
  truncate,
} from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { attachScript, checkLimitMs, DETACH, growScript, LOOK, makeScript, MARK } from './disk-scripts.ts';
import { DIRECT, type DiskTools } from './disk-tools.ts';
import type { UserNumbers } from './engine-facts.ts';
import { BLOCK_BYTES, ext4Bytes } from './ext4.ts';

/**
 * Disks of a set size that take no more room than is used of them: a sparse file with ext4 in it, on a loop device.
 * Each is known by a link to that device, which is what the engine mounts: devices get other numbers when the machine
 * is started again, the link's name stays. What needs root on the machine of the engine is in the scripts.
 *
 *   <name>.dev   the link
 *   <name>.img   the file; it comes to its name as a whole
 *
 * What lies beside it while it is worked at: disk-scripts.ts.
 */
const LINK = '.dev';
const IMAGE = '.img';
const PART = '.part';

/** Of large disks; it is never given back once it was used. */
const JOURNAL_MB = 32;
const LARGE_BYTES = 2 ** 30;

export const linkOf = (dir: string, name: string): string => join(dir, `${name}${LINK}`);
/** Of the volume. */
export const nameOf = (link: string): string => basename(link, LINK);
const imageOf = (link: string): string => `${link.slice(0, -LINK.length)}${IMAGE}`;

/** Whether the device of a volume is such a link. */
export const isDiskLink = (device: string): boolean => device.startsWith('/') && device.endsWith(LINK);

/** How the engine mounts one: nothing is written that nobody needs, and what is deleted takes no room any more. */
export const diskOptions = (link: string): Record<string, string> => ({
  type: 'ext4',
  device: link,
  o: 'nosuid,nodev,noatime,noinit_itable,discard',
});

const atWork = new Map<string, Promise<void>>();

/**
 * Does something with the disk of one volume, after all others who are at it: the sweep must not take for left over what
 * a thread is about to use. Not to be called within another for the same.
 */
export async function aloneWithDisk<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
  const done = (atWork.get(name) ?? Promise.resolve()).then(work);
  const isOver = done.then(
    () => undefined,
    () => undefined,
  );
  atWork.set(name, isOver);
  try {
    return await done;
  } finally {
    if (atWork.get(name) === isOver) atWork.delete(name);
  }
}

/** Whether there is one that can be attached. @throws where this program may not look */
export async function hasDisk(link: string): Promise<boolean> {
  return isThere(imageOf(link));
}

/** The end of a path, as wherever the directory of images is mounted. */
const endOf = (image: string): string => join('/', basename(dirname(image)), basename(image));

/** Of the user of the commands, and of its group. */
const COMMANDS_ID = 1000;

/**
 * Makes an empty disk, whose root belongs to the user of the commands, and attaches it.
 *
 * @param root whom the engine's host has for the root of its containers
 * @throws where one is there already: there may be work in it
 */
export async function makeDisk(
  link: string,
  sizeBytes: number,
  tools = DIRECT,
  root: UserNumbers = { uid: 0, gid: 0 },
): Promise<void> {
  const image = imageOf(link);
  const part = `${image}${PART}`;
  if (await hasDisk(link)) throw new Error(`${image} is there already`);
  await mkdir(dirname(link), { recursive: true, mode: 0o700 });
  // It belongs to this user, whoever makes a disk of it.
  await (await open(part, 'a', 0o600)).close();
  const journal = sizeBytes >= LARGE_BYTES ? `-J size=${JOURNAL_MB}` : '';
  const owner = `${root.uid + COMMANDS_ID}:${root.gid + COMMANDS_ID}`;
  const args = [image, part, String(sizeBytes), endOf(image), owner];
  try {
    const device = await tools.run(makeScript(journal), args, dirname(link));
    await lead(link, device.trim());
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

/**
 * Makes sure that the link leads to the disk, and that the disk is as large as it is to be: to be called before it is
 * mounted. It never shrinks.
 *
 * @param onFault gets what is wrong with it, or keeps it from growing: it can be used all the same
 * @returns false when the disk has gone
 */
export async function attachDisk(
  link: string,
  sizeBytes: number,
  onFault: (error: unknown) => void,
  tools = DIRECT,
): Promise<boolean> {
  const image = imageOf(link);
  if (!(await isThere(image))) return false;
  const limitMs = checkLimitMs(sizeBytes);
  const attach = async (): Promise<void> => {
    const said = await tools.run(attachScript(limitMs), [image], dirname(link), limitMs);
    const [device = '', ...words] = said.split('\n');
    if (words.join('').trim() !== '') onFault(new Error(words.join(' ').trim()));
    await lead(link, device);
  };
  const isMarked = await isThere(`${image}${MARK}`);
  if (tools.way !== 'direct' || isMarked || !(await isAttached(link))) await attach();
  const hasBytes = await ext4Bytes(image);
  // The last block may not be whole.
  if (hasBytes !== null && sizeBytes - hasBytes >= BLOCK_BYTES) {
    await grow(link, { sizeBytes, hasBytes }, tools).catch(async (error: unknown) => {
      onFault(error);
      // It may have let go of the device, which can be another's by now.
      await attach();
    });
  }
  return true;
}

/**
 * It must not be mounted: the tools refuse it then. What the disk below could not hold anyway is not promised to it: of that there
 * would be no way back.
 */
async function grow(
  link: string,
  { sizeBytes, hasBytes }: { sizeBytes: number; hasBytes: number },
  tools: DiskTools,
): Promise<void> {
  const { bavail, bsize } = await statfs(dirname(link));
  const fault = growthFault({ sizeBytes, hasBytes, freeBytes: bavail * bsize });
  if (fault !== null) throw new Error(fault);
  await truncate(imageOf(link), sizeBytes);
  const limitMs = checkLimitMs(sizeBytes);
  const args = [imageOf(link), await readlink(link)];
  const device = await tools.run(growScript(limitMs), args, dirname(link), limitMs);
  await lead(link, device.trim());
}

/** Why a disk is not to grow now. @returns null where it can */
export function growthFault({
  sizeBytes,
  hasBytes,
  freeBytes,
}: {
  sizeBytes: number;
  hasBytes: number;
  freeBytes: number;
}): string | null {
  if (sizeBytes - hasBytes <= freeBytes) return null;
  const [size, has, free] = [sizeBytes, hasBytes, freeBytes].map(
    (bytes) => `${Math.floor(bytes / 2 ** 20)} MB`,
  );
  return `it stays at ${has}: to grow to ${size} it would need more than the ${free} that are free on the disk below it`;
}

/** Detaches a disk and removes it with all that is in it. What is missing is fine; it must not be mounted. */
export async function dropDisk(link: string, tools = DIRECT): Promise<void> {
  const image = imageOf(link);
  await tools.run(DETACH, [image, endOf(image)], dirname(link));
  const marks = [MARK, `${MARK}.new`].map((end) => `${image}${end}`);
  const all = [link, newLink(link), image, `${image}${PART}`, ...marks];
  await Promise.all(all.map((path) => rm(path, { force: true })));
}

/** The links of all disks of a directory, with what a crash has left of them. */
export async function listDisks(dir: string): Promise<string[]> {
  const found = (await namesIn(dir)).map(
    (name) => /^(.+)\.(?:img|img\.(?:part|check|check\.new)|dev|dev\.new)$/.exec(name)?.[1],
  );
  return [...new Set(found.filter((name) => name !== undefined))].map((name) => linkOf(dir, name));
}

/**
 * Takes away links that lead nowhere, or to a device that is somebody else's by now: such a disk is attached anew before
 * it is used. And detaches devices whose file has been removed.
 */
export async function forgetLostDevices(dir: string, tools = DIRECT): Promise<void> {
  if (!(await isThere(dir))) return;
  const known = new Map<string, string | null>();
  for (const link of await listDisks(dir)) known.set(link, await identityOf(link));
  const said = new Set((await tools.run(LOOK, [join(dir, 'any'), `/${basename(dir)}/`], dir)).split('\n'));
  for (const [link, identity] of known) {
    const device = await readlink(link).catch(() => null);
    if (device === null || said.has(`${device} ${imageOf(link)}`)) continue;
    await aloneWithDisk(nameOf(link), async () => {
      // It has been attached since, where it is another: a look for each would take minutes after a start of the machine.
      if ((await identityOf(link)) === identity) await rm(link, { force: true });
    });
  }
}

const identityOf = async (link: string): Promise<string | null> =>
  lstat(link, { bigint: true }).then(
    ({ ino, ctimeNs }) => `${ino} ${ctimeNs}`,
    () => null,
  );

const newLink = (link: string): string => `${link}.new`;

/** In one step: the link is there all the time, or it was never there. */
async function lead(link: string, device: string): Promise<void> {
  await rm(newLink(link), { force: true });
  await symlink(device, newLink(link));
  await rename(newLink(link), link);
}

async function isAttached(link: string): Promise<boolean> {
  const file = await backingFile(basename(await readlink(link).catch(() => '')));
  return file !== null && file === (await realpath(imageOf(link)).catch(() => null));
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
}

async function backingFile(loop: string): Promise<string | null> {
  if (loop === '') return null;
  // There only while it is attached.
  const text = await readFile(`/sys/block/${loop}/loop/backing_file`, 'utf8').catch(() => null);
  return text === null ? null : text.replace(/\n$/, '');
}

async function namesIn(dir: string): Promise<string[]> {
  return readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
}
