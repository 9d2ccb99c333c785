import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** What a bot has found when it tried how workspaces can be limited: only it makes disks for that, and the doctor has to tell. */
export type LimitNote = { way: string; obstacles: Readonly<Record<string, string>>; at: Date };

const noteIn = (dataDir: string): string => join(dataDir, 'workspaces', 'limit.json');

export async function writeLimitNote(dataDir: string, note: LimitNote): Promise<void> {
  const file = noteIn(dataDir);
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await writeFile(`${file}.new`, `${JSON.stringify(note)}\n`);
  await rename(`${file}.new`, file);
}

/** @returns null where no bot has written one that can be read */
export async function readLimitNote(dataDir: string): Promise<LimitNote | null> {
  try {
    const { way, obstacles, at } = JSON.parse(await readFile(noteIn(dataDir), 'utf8')) as {
      way: string;
      obstacles: Record<string, string>;
      at: string;
    };
    return { way, obstacles, at: new Date(at) };
  } catch (error) {
    // Another user's; or emptied, as after a power cut.
    if (
      error instanceof SyntaxError ||
      ['ENOENT', 'EACCES'].includes((error as { code?: string }).code ?? '')
    )
      return null;
    throw error;
  }
}
