import { execFile } from 'node:child_process';
import {
  access,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  realpath,
  rename,
  rm,
  symlink,
  truncate,
} from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { SYSTEM_PATH } from '../root.ts';

/**
 * Disks of a set size that take no more room than is used of them: a sparse file with ext4 in it, on a loop device.
 * Each is known by a link to that device, which is what the engine mounts: devices get other numbers when the machine
 * is started again, the link's name stays. Needs root on the machine of the engine.
 *
 *   <name>.dev   the link
 *   <name>.img   the file; it comes to its name as a whole
 */
const LINK = '.dev';
const IMAGE = '.img';

/** So long may any of the tools take: a check of a large disk is the slowest. */
const TOOL_MS = 120_000;
/** Of large disks; it is never given back once it was used. */
const JOURNAL_MB = 32;
const LARGE_BYTES = 2 ** 30;

export const linkOf = (dir: string, name: string): string => join(dir, `${name}${LINK}`);
/** Of the volume. */
export const nameOf = (link: string): string => basename(link, LINK);
const imageOf = (link: string): string => `${link.slice(0, -LINK.length)}${IMAGE}`;

/** Whether the device of a volume is such a link. */
export const isDiskLink = (device: string): boolean => device.startsWith('/') && device.endsWith(LINK);

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

/**
 * Makes an empty disk, whose root belongs to the user of the commands, and attaches it.
 *
 * @throws where one is there already: there may be work in it
 */
export async function makeDisk(link: string, sizeBytes: number): Promise<void> {
  if (await hasDisk(link)) throw new Error(`${imageOf(link)} is there already`);
  await mkdir(dirname(link), { recursive: true, mode: 0o700 });
  await detachRemoved(imageOf(link));
  const part = `${imageOf(link)}.part`;
  const file = await open(part, 'w', 0o600);
  try {
    await file.truncate(sizeBytes);
  } finally {
    await file.close();
  }
  const journal = sizeBytes >= LARGE_BYTES ? `-J size=${JOURNAL_MB}` : '';
  // In one process of ours: to start another takes as long as the work in it.
  const device = await tool('sh', ['-c', MAKE.replace('JOURNAL', journal), 'sh', part, imageOf(link)]);
  await lead(link, device.trim());
}

/** The directory lost+found would be root's, and in everybody's way who looks through all of the workspace. */
const NO_LOST_AND_FOUND = "debugfs -w -R 'rmdir lost+found'";
const MAKE = `set -e
mkfs.ext4 -q -F -b 4096 -I 256 -m 0 JOURNAL -E lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=1000:1000 "$1"
${NO_LOST_AND_FOUND} "$1"
mv -nT -- "$1" "$2"
# It says nothing where it did nothing.
[ ! -e "$1" ] || { echo "$2 is there already" >&2; exit 1; }
losetup -f --show "$2"`;
const GROW = `set -e
losetup -c "$1"
# resize2fs wants one that was just checked. 1: something was mended, as it misses lost+found.
e2fsck -f -p "$1" || [ $? = 1 ]
resize2fs "$1"
${NO_LOST_AND_FOUND} "$1"`;

/**
 * Makes sure that the link leads to the disk, and that the disk is as large as it is to be: to be called before it is
 * mounted. It never shrinks.
 *
 * @param onFault gets what keeps it from growing: it can be used all the same
 * @returns false when the disk has gone
 */
export async function attachDisk(
  link: string,
  sizeBytes: number,
  onFault: (error: unknown) => void,
): Promise<boolean> {
  const image = imageOf(link);
  if (!(await isThere(image))) return false;
  if (!(await isAttached(link))) await attach(link);
  const hasBytes = await ext4Bytes(image);
  // The last block may not be whole.
  if (hasBytes !== null && sizeBytes - hasBytes >= BLOCK_BYTES) await grow(link, sizeBytes).catch(onFault);
  return true;
}

/** Detaches a disk and removes it with all that is in it. What is missing is fine; it must not be mounted. */
export async function dropDisk(link: string): Promise<void> {
  const image = imageOf(link);
  const devices = (await isThere(image)) ? await devicesOf(image) : [];
  for (const device of devices) await detach(device, await backingFile(basename(device)));
  await detachRemoved(image);
  const all = [link, newLink(link), image, `${image}.part`];
  await Promise.all(all.map((path) => rm(path, { force: true })));
}

/** Somebody has removed the file, or all of the directory. */
async function detachRemoved(image: string): Promise<void> {
  const dir = await realpath(dirname(image)).catch(() => dirname(image));
  const gone = deleted(join(dir, basename(image)));
  for (const [device, file] of await loopDevices()) if (file === gone) await detach(device, file);
}

/** One that was detached meanwhile is fine, and may be another's by now. */
async function detach(device: string, file: string | null): Promise<void> {
  const isStill = async () => file !== null && (await backingFile(basename(device))) === file;
  if (!(await isStill())) return;
  await tool('losetup', ['-d', device]).catch(async (error: unknown) => {
    if (await isStill()) throw error;
  });
}

/** The links of all disks of a directory, with what a crash has left of them. */
export async function listDisks(dir: string): Promise<string[]> {
  const names = await namesIn(dir);
  const found = names.map((name) => /^(.+)\.(?:img|img\.part|dev|dev\.new)$/.exec(name)?.[1]);
  return [...new Set(found.filter((name) => name !== undefined))].map((name) => linkOf(dir, name));
}

/**
 * Takes away links that lead nowhere, or to a device that is somebody else's by now: such a disk is attached anew before
 * it is used. And detaches devices whose file has been removed.
 */
export async function forgetLostDevices(dir: string): Promise<void> {
  for (const link of await listDisks(dir)) {
    await aloneWithDisk(nameOf(link), async () => {
      if (!(await isAttached(link))) await rm(link, { force: true });
    });
  }
  const own = await realpath(dir).catch(() => null);
  for (const [device, file] of own === null ? [] : await loopDevices()) {
    if (dirname(file) === own && file.endsWith(deleted(IMAGE))) await detach(device, file);
  }
}

async function attach(link: string): Promise<void> {
  const image = imageOf(link);
  const [known] = await devicesOf(image);
  await lead(link, known ?? (await tool('losetup', ['-f', '--show', image])).trim());
}

const newLink = (link: string): string => `${link}.new`;

/** In one step: the link is there all the time, or it was never there. */
async function lead(link: string, device: string): Promise<void> {
  await rm(newLink(link), { force: true });
  await symlink(device, newLink(link));
  await rename(newLink(link), link);
}

async function isAttached(link: string): Promise<boolean> {
  const device = await readlink(link).catch(() => '');
  const file = await backingFile(basename(device));
  return file !== null && file === (await realpath(imageOf(link)).catch(() => null));
}

/** It must not be mounted: the tools refuse it then. */
async function grow(link: string, sizeBytes: number): Promise<void> {
  await truncate(imageOf(link), sizeBytes);
  await tool('sh', ['-c', GROW, 'sh', await readlink(link)]);
}

const BLOCK_BYTES = 4096;
const SUPERBLOCK_AT = 1024;
const SUPERBLOCK_BYTES = 1024;
const MAGIC = 0xef53;

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
}

/** The size of the file system in an image, which may be smaller than its file. @returns null when there is none */
async function ext4Bytes(image: string): Promise<number | null> {
  const file = await open(image, 'r');
  try {
    const { buffer } = await file.read(Buffer.alloc(SUPERBLOCK_BYTES), 0, SUPERBLOCK_BYTES, SUPERBLOCK_AT);
    return sizeInSuperblock(buffer);
  } finally {
    await file.close();
  }
}

/** As the kernel's documentation has it (filesystems/ext4, "Super Block"). @returns null when it is none */
export function sizeInSuperblock(bytes: Buffer): number | null {
  if (bytes.length < SUPERBLOCK_BYTES || bytes.readUInt16LE(0x38) !== MAGIC) return null;
  const has64Bit = (bytes.readUInt32LE(0x60) & 0x80) !== 0;
  const high = has64Bit ? bytes.readUInt32LE(0x150) : 0;
  return (high * 2 ** 32 + bytes.readUInt32LE(0x4)) * 2 ** (10 + bytes.readUInt32LE(0x18));
}

async function devicesOf(image: string): Promise<string[]> {
  const said = await tool('losetup', ['-j', image, '-n', '-O', 'NAME']);
  return said.split('\n').filter((line) => line !== '');
}

async function loopDevices(): Promise<[device: string, file: string][]> {
  const names = (await namesIn('/sys/block')).filter((name) => name.startsWith('loop'));
  const found = await Promise.all(names.map(async (name) => [`/dev/${name}`, await backingFile(name)]));
  return found.filter((one): one is [string, string] => one[1] !== null);
}

/** As the kernel marks it. */
const deleted = (file: string): string => `${file} (deleted)`;

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

async function tool(name: string, args: readonly string[]): Promise<string> {
  const env = { PATH: SYSTEM_PATH, LC_ALL: 'C' };
  try {
    return (await promisify(execFile)(name, args, { env, timeout: TOOL_MS })).stdout;
  } catch (error) {
    const { stderr = '', code } = error as { stderr?: string; code?: unknown };
    const words = stderr.trim().replaceAll(/\s+/g, ' ').slice(-300);
    throw new Error(words === '' ? `${name} failed: ${String(code)}` : words, { cause: error });
  }
}
