import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connectEmbedded } from '../embedded/embedded.ts';
import { takeLock } from '../lock.ts';
import { CliError } from './command.ts';

export type DemoDir = {
  path: string;
  /** Whose containers an earlier demo, killed before it could tidy up, has left behind. */
  leftInstallation: string | null;
  /** Keeps for the next demo whose containers these are. */
  remember: (installation: string) => Promise<void>;
  release: () => Promise<void>;
};

/** Says that a directory is a demo's, so that it may be emptied. */
const MARK = 'threadbox-demo.json';

/** Below the project, wherever it is started from. */
export const defaultDemoDir = fileURLToPath(new URL('../../.threadbox/demo', import.meta.url));

/**
 * Takes a directory for one demo alone, and empties it.
 *
 * @throws {CliError} when another demo or bot runs on it, or something else lies there
 */
export async function takeDemoDir(dir: string): Promise<DemoDir> {
  const path = resolve(dir);
  // Before anything is written beside it.
  await leftBehind(path);
  await mkdir(dirname(path), { recursive: true, mode: 0o711 });
  const lock = await takeLock(`${path}.lock`, { kind: 'exclusive', waitMs: 0 });
  if (!lock) {
    throw new CliError(
      `another demo runs on ${path}.\nStop it with Ctrl-C where it runs, or give this one a directory of its own: --dir DIR`,
    );
  }
  try {
    const leftInstallation = await leftBehind(path);
    if (await connectEmbedded(path)) {
      throw new CliError(`a bot runs on ${path} (DATA_DIR). Stop it first.`);
    }
    await rm(path, { recursive: true, force: true });
    await mkdir(path, { mode: 0o711 });
    const remember = (installation: string | null): Promise<void> =>
      writeFile(join(path, MARK), `${JSON.stringify({ installation })}\n`);
    await remember(leftInstallation);
    return { path, leftInstallation, remember, release: () => lock.release() };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** @throws {CliError} when the directory is not a demo's */
async function leftBehind(path: string): Promise<string | null> {
  const names = await readdir(path).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  if (names.length === 0) return null;
  if (!names.includes(MARK)) {
    throw new CliError(
      `${path} holds something else than a demo, and would be emptied. Name a directory that is empty or new: --dir DIR`,
    );
  }
  try {
    return (JSON.parse(await readFile(join(path, MARK), 'utf8')) as { installation: string | null })
      .installation;
  } catch {
    // Cut off while it was written: that demo had not started anything yet.
    return null;
  }
}
