import { createHash, randomBytes } from 'node:crypto';
import {
  access,
  chmod,
  copyFile,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { sync } from './quarantine.ts';
import { storeGit } from './store-git.ts';
import { withStore } from './store-writers.ts';

/** Where the saved states of a thread lie. The name of a thread is no name for a directory. */
export function storePathOf(savesDir: string, threadId: string): string {
  return join(savesDir, `${createHash('sha256').update(threadId).digest('hex').slice(0, 32)}.git`);
}

/** Makes the store when it is missing, and clears away what a killed bot left in it. For its writer. */
export async function ensureStore(storePath: string, mirrorPath: string): Promise<void> {
  if (!(await exists(join(storePath, 'HEAD')))) {
    const part = `${storePath}.part`;
    await rm(part, { recursive: true, force: true });
    const format = await formatOf(mirrorPath);
    await storeGit(['init', '--quiet', '--bare', '--template=', `--object-format=${format}`, '--', part]);
    await mkdir(join(part, 'objects', 'info'), { recursive: true });
    // For its owner alone, with all that is in it.
    await chmod(part, 0o700);
    // It is no whole store any more, and may hold work all the same.
    if (await exists(storePath)) await rename(storePath, `${storePath}.damaged-${Date.now()}`);
    await rename(part, storePath);
  }
  const alternates = join(storePath, 'objects', 'info', 'alternates');
  const wanted = `${join(mirrorPath, 'objects')}\n`;
  if ((await readFile(alternates, 'utf8').catch(() => '')) !== wanted) {
    await mkdir(join(alternates, '..'), { recursive: true });
    await writeFile(`${alternates}.new`, wanted);
    await rename(`${alternates}.new`, alternates);
  }
  await clearLeftovers(storePath);
}

async function formatOf(mirrorPath: string): Promise<string> {
  const said = await storeGit(['--git-dir', mirrorPath, 'rev-parse', '--show-object-format']);
  return said.toString().trim();
}

/** What git, or a bot, that was killed has left in it. For the store's writer. */
export async function clearLeftovers(storePath: string): Promise<void> {
  const inside = async (dir: string, recursive: boolean) =>
    (await readdir(join(storePath, dir), { recursive }).catch(() => [])).map((name) =>
      join(storePath, dir, name),
    );
  const names = await Promise.all([
    inside('', false),
    inside('refs', true),
    inside('objects', false),
    inside('objects/info', false),
    inside('objects/pack', false),
  ]);
  const left = names
    .flat()
    .filter((name) => /\.lock$|\/(incoming|export)-[0-9a-f]+$|\/tmp_[^/]*$|\/\.tmp-[^/]*$/.test(name));
  await Promise.all(left.map((name) => rm(name, { recursive: true, force: true })));
}

export function refOf(savedStateId: number): string {
  if (!Number.isSafeInteger(savedStateId) || savedStateId < 0) {
    throw new Error(`Expected the id of a saved state, got ${savedStateId}`);
  }
  return `refs/saves/${savedStateId}`;
}

/** The state before, or one before that: no younger than so when it was put there. */
const BEFORE_MS = 6 * 3600_000;

/** Gives a verified save its name. An older one stays reachable beside it: should the new one be of the wrong thing. */
export async function nameSave(
  storePath: string,
  { savedStateId, snapshot }: { savedStateId: number; snapshot: string },
): Promise<void> {
  const ref = refOf(savedStateId);
  const current = await currentOf(storePath, ref);
  if (current === snapshot) return;
  const before = beforeRefOf(savedStateId);
  if (current !== null) {
    const older = await stat(join(storePath, before)).catch(() => null);
    if (!older || Date.now() - older.mtimeMs >= BEFORE_MS) await writeRef(storePath, before, current);
  }
  await writeRef(storePath, ref, snapshot);
}

/** As git does it, without starting it: a store has one writer at a time, and its refs are files. */
async function writeRef(storePath: string, ref: string, hash: string): Promise<void> {
  const path = join(storePath, ref);
  await mkdir(dirname(path), { recursive: true });
  const file = await open(`${path}.lock`, 'wx');
  try {
    await file.writeFile(`${hash}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.lock`, path);
  await sync(dirname(path));
}

function beforeRefOf(savedStateId: number): string {
  return `${refOf(savedStateId)}-before`;
}

export async function hasSave(storePath: string, savedStateId: number): Promise<boolean> {
  return (await savedCommit(storePath, refOf(savedStateId))) !== null;
}

/** What a ref of ours names, without git: they lie there as files. @returns null where it may be elsewhere */
async function namedBy(storePath: string, ref: string): Promise<string | null> {
  const text = await readFile(join(storePath, ref), 'utf8').catch(() => '');
  return /^([0-9a-f]{40}|[0-9a-f]{64})\n$/.exec(text)?.[1] ?? null;
}

/** The same where somebody may have packed the refs. */
async function currentOf(storePath: string, ref: string): Promise<string | null> {
  const named = await namedBy(storePath, ref);
  if (named !== null || !(await exists(join(storePath, 'packed-refs')))) return named;
  return savedCommit(storePath, ref);
}

/** The same as a base of the next save: what the saved state has now was verified when it became that. */
export async function baseCommit(
  storePath: string,
  { savedStateId, base }: { savedStateId: number; base: string | null },
): Promise<string | null> {
  const isThere = base !== null && (await exists(join(storePath, 'HEAD')));
  if (!isThere) return null;
  if (base === (await namedBy(storePath, refOf(savedStateId)))) return base;
  return savedCommit(storePath, base);
}

/** @returns null when the store has no such commit, or is not there */
export async function savedCommit(storePath: string, name: string): Promise<string | null> {
  if (!(await exists(join(storePath, 'HEAD')))) return null;
  const args = ['--git-dir', storePath, 'rev-parse', '--quiet', '--verify', '--end-of-options'];
  const said = await storeGit([...args, `${name}^{commit}`]).catch(() => null);
  return said === null ? null : said.toString().trim();
}

/**
 * Forgets a saved state, and all that only it held. The store goes with its last one. What is missing already is fine.
 */
export async function dropSave(storePath: string, savedStateId: number): Promise<void> {
  const ref = refOf(savedStateId);
  await withStore(storePath, async () => {
    if (!(await exists(join(storePath, 'HEAD')))) return;
    await clearLeftovers(storePath);
    const git = (...args: string[]) => storeGit(['--git-dir', storePath, ...args]);
    await git('update-ref', '-d', ref);
    await git('update-ref', '-d', beforeRefOf(savedStateId));
    const left = await git('for-each-ref', '--count=1', 'refs/saves');
    if (left.length === 0) {
      await rm(storePath, { recursive: true, force: true });
      return;
    }
    await repack(storePath);
    await git('prune', '--expire=now');
  });
}

/** Makes one pack of all, without what no saved state holds any more. For the store's writer. */
export async function repack(storePath: string, signal?: AbortSignal): Promise<void> {
  await storeGit(['--git-dir', storePath, 'repack', '-a', '-d', '-l', '-q', '-n'], { signal });
}

/**
 * Writes a saved state into one file that `git clone FILE` takes: HEAD, branches, tags and stash under their own names,
 * with all of the upstream's history they stand on. Under `refs/threadbox/saved` is everything else: what was not
 * committed is the tree `work` in it.
 *
 * @throws when there is no such saved state, or with git's words
 */
export async function exportSave(storePath: string, savedStateId: number, file: string): Promise<void> {
  await withStore(storePath, async () => {
    const saved = await savedCommit(storePath, refOf(savedStateId));
    if (saved === null) throw new Error(`There is no saved state ${savedStateId}`);
    await clearLeftovers(storePath);
    const part = join(storePath, `export-${randomBytes(6).toString('hex')}`);
    const git = (args: string[], input: string | Buffer = '') =>
      storeGit(['--git-dir', part, ...args], { input });
    const blob = (name: string) =>
      storeGit(['--git-dir', storePath, 'cat-file', 'blob', `${saved}:${name}`]).catch(() => null);
    try {
      const format = await formatOf(storePath);
      await storeGit(['init', '--quiet', '--bare', '--template=', `--object-format=${format}`, '--', part]);
      await mkdir(join(part, 'objects', 'info'), { recursive: true });
      await writeFile(join(part, 'objects', 'info', 'alternates'), `${join(storePath, 'objects')}\n`);
      const tags = await blob('tags.pack');
      if (tags) await git(['index-pack', '--stdin'], tags);
      const meta = (await blob('meta'))?.toString() ?? '';
      const refs = await presentRefs(git, (await blob('refs'))?.toString() ?? '');
      const head = /^head ([0-9a-f]{40,64})$/m.exec(meta)?.[1];
      const branch = /^branch (\S+)$/m.exec(meta)?.[1];
      const updates = [...refs, `${saved} refs/threadbox/saved`].map((line) => {
        const [hash, name] = line.split(' ');
        return `create ${name} ${hash}\n`;
      });
      if (branch !== undefined) await git(['symbolic-ref', 'HEAD', `refs/heads/${branch}`]);
      else if (head !== undefined) await git(['update-ref', '--no-deref', 'HEAD', head]);
      await git(['update-ref', '--stdin'], updates.join(''));
      await git([
        'bundle',
        'create',
        '--quiet',
        `${part}/bundle`,
        '--all',
        ...(head === undefined ? [] : ['HEAD']),
      ]);
      await chmod(`${part}/bundle`, 0o600);
      await copyFile(`${part}/bundle`, file);
    } finally {
      await rm(part, { recursive: true, force: true });
    }
  });
}

/** The refs of a list that comes out of a container; those whose objects had been lost there already are not in it. */
async function presentRefs(
  git: (args: string[], input: string) => Promise<Buffer>,
  list: string,
): Promise<string[]> {
  const refs = list.split('\n').filter((line) => /^[0-9a-f]{40,64} refs\/\S+$/.test(line));
  const asked = refs.map((line) => `${line.split(' ')[0]}\n`).join('');
  const types = (await git(['cat-file', '--batch-check=%(objecttype)'], asked)).toString().split('\n');
  return refs.filter((_, index) => /^(commit|tag|tree|blob)$/.test(types[index] ?? ''));
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
