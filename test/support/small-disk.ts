import { execFile } from 'node:child_process';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { basename } from 'node:path';
import { promisify } from 'node:util';
import { engineHost } from './engine.ts';

/** Of no engine of ours: it sees what is mounted here. */
const HERE = 'self';

const run = promisify(execFile);

/**
 * A file system of its own at a directory, for who looks at it from here and for the engine: one of ours has mounts of its own,
 * and what is mounted later reaches it on some machines only.
 *
 * @returns takes it away again
 */
export async function mountSmallDisk(dir: string, megabytes: number): Promise<() => Promise<void>> {
  const image = `${dir}.ext4`;
  await run('truncate', ['-s', `${megabytes}M`, image]);
  await run('mkfs.ext4', ['-q', '-F', '-m', '0', image]);
  const { stdout: device } = await run('losetup', ['-f', '--show', image]);
  const places: (readonly string[])[] = [];
  const close = async (): Promise<void> => {
    for (const [program = '', ...args] of places) await run(program, [...args, 'umount', dir]);
  };
  try {
    for (const pid of new Set([HERE, await engineSees()])) {
      const place = ['nsenter', `--mount=/proc/${pid}/ns/mnt`] as const;
      await run(place[0], [place[1], 'mount', device.trim(), dir]);
      places.push(place);
    }
  } catch (error) {
    await close();
    throw error;
  } finally {
    // Goes with the last that has it mounted.
    await run('losetup', ['-d', device.trim()]);
  }
  return close;
}

/** The process whose mounts the engine has. */
async function engineSees(): Promise<string> {
  const own = await readlink('/proc/self/ns/mnt');
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
    if (basename(words[0] ?? '') !== 'dockerd' || !words.join(' ').includes(engineHost)) continue;
    return (await readlink(`/proc/${pid}/ns/mnt`)) === own ? HERE : pid;
  }
  return HERE;
}
