import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A project of some size: files of about 10 kB, in 100 directories. */
export const PROJECT_FILES = 5_000;
export const CHANGED_FILES = 100;

const DIRECTORIES = 10;
const LINES = 250;
const MODULUS = 2 ** 31 - 1;

/** Changes every 50th file, in one line in the middle, otherwise in every round: nobody has these bytes yet. */
export const changeScript = (round: number): string =>
  `git ls-files -z | sed -z -n '1~${PROJECT_FILES / CHANGED_FILES}p' | ` +
  `xargs -0 sed -i '${LINES / 2}s/$/ changed in round ${round}/'`;

/** Makes a repository with one commit. @returns its address, from which a clone gets a pack as from a server */
export async function makeProject(dir: string): Promise<string> {
  await run('git', ['init', '-q', '-b', 'main', dir]);
  const words = wordSource();
  for (let index = 0; index < PROJECT_FILES; index += 1) {
    const parent = join(
      dir,
      `part-${index % DIRECTORIES}`,
      `room-${Math.floor(index / DIRECTORIES) % DIRECTORIES}`,
    );
    if (index < DIRECTORIES * DIRECTORIES) await mkdir(parent, { recursive: true });
    const lines = Array.from({ length: LINES }, () => `  ${words()} = ${words()}(${words()}, ${words()});`);
    await writeFile(join(parent, `file-${String(index).padStart(4, '0')}.ts`), `${lines.join('\n')}\n`);
  }
  const git = (...args: string[]) =>
    run('git', ['-C', dir, '-c', 'user.name=Up Stream', '-c', 'user.email=up@stream.test', ...args]);
  await git('add', '-A');
  await git('-c', 'commit.gpgsign=false', 'commit', '-q', '-m', 'Start');
  return `file://${dir}`;
}

/** Names as in a program, always the same ones: they pack about as well as one (Lehmer's generator). */
function wordSource(): () => string {
  let state = 1;
  const next = (below: number): number => {
    state = (state * 48_271) % MODULUS;
    return Math.floor((state / MODULUS) * below);
  };
  const syllables = [
    're',
    'con',
    'ta',
    'mil',
    'or',
    'ven',
    'si',
    'pa',
    'lo',
    'den',
    'fu',
    'ka',
    'st',
    'ing',
    'per',
    'u',
  ];
  return () => Array.from({ length: 2 + next(3) }, () => syllables[next(syllables.length)]).join('');
}
