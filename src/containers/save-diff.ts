import { parseNumstat, type ChangedFile } from './facts.ts';
import { refOf, savedCommit } from './saves-store.ts';
import { startStoreGit, storeGit, TooMuchSaid } from './store-git.ts';

export type SaveDiff = {
  files: ChangedFile[];
  /** null when nothing is changed, or it is larger than a mail should be: then `isCut`. */
  patch: Buffer | null;
  isCut: boolean;
};

const MAX_PATCH_BYTES = 8 * 1024 ** 2;
/** Names of files: all that follows waits while they are taken apart. */
const MAX_NAMES_BYTES = 8 * 1024 ** 2;

/**
 * What the saved work of a thread has changed since it left its upstream, committed or not, ignored files aside.
 *
 * @param commit HEAD at the save; null without any
 * @throws with git's words; {@link TooMuchSaid}; or the reason of `signal`
 */
export async function diffSave(
  of: { storePath: string; mirrorPath: string; savedStateId: number; commit: string | null },
  signal: AbortSignal,
): Promise<SaveDiff> {
  const { storePath, mirrorPath, savedStateId, commit } = of;
  const saved = await savedCommit(storePath, refOf(savedStateId));
  if (saved === null) return { files: [], patch: null, isCut: false };
  const git = (...args: string[]) =>
    storeGit(['--git-dir', storePath, ...args], { signal, maxBytes: MAX_NAMES_BYTES });
  const from = (await base(git, mirrorPath, commit, signal)) ?? (await emptyTree(storePath, signal));
  const trees = [from, `${saved}:work`];
  const added = await git('diff-tree', '-r', '--diff-filter=A', '--name-only', '-z', ...trees);
  const paths = ['--', '.', ...secretFiles(added)];
  const numstat = await git('diff-tree', '-r', '-M', '--numstat', '-z', ...trees, ...paths);
  const files = parseNumstat(numstat);
  if (files.length === 0) return { files, patch: null, isCut: false };
  const patch = await atMost(
    ['--git-dir', storePath, 'diff-tree', '-p', '-M', '--binary', ...trees, ...paths],
    signal,
  );
  return { files, patch, isCut: patch === null };
}

/** More would be no command line. */
const MOST_EXCLUDED = 1_000;

/**
 * New `.env` files are saved although git ignores them; a mail is no place for what they hold.
 *
 * @throws {TooMuchSaid}
 */
function secretFiles(names: Buffer): string[] {
  const secret = names
    .toString()
    .split('\0')
    .filter((name) => /(?:^|\/)\.env(?:\.[^/]*)?$/.test(name));
  if (secret.length > MOST_EXCLUDED) throw new TooMuchSaid(`${MOST_EXCLUDED} new .env files`);
  return secret.map((name) => `:(top,exclude,literal)${name}`);
}

/** Where the work left what the upstream has. */
async function base(
  git: (...args: string[]) => Promise<Buffer>,
  mirrorPath: string,
  commit: string | null,
  signal: AbortSignal,
): Promise<string | null> {
  if (commit === null) return null;
  const args = ['--git-dir', mirrorPath, 'for-each-ref', '--format=%(objectname)', 'refs/heads'];
  const tips = (await storeGit(args, { signal })).toString().split('\n').filter(Boolean);
  // No common ancestor is told by status 1.
  const found = await git('merge-base', commit, ...tips).catch(() => Buffer.alloc(0));
  signal.throwIfAborted();
  return found.toString().trim().split('\n')[0] || null;
}

async function emptyTree(storePath: string, signal: AbortSignal): Promise<string> {
  const args = ['--git-dir', storePath, 'hash-object', '-t', 'tree', '-w', '--stdin'];
  return (await storeGit(args, { signal })).toString().trim();
}

/** @returns null when it is too large */
async function atMost(args: readonly string[], signal: AbortSignal): Promise<Buffer | null> {
  const ending = new AbortController();
  const git = startStoreGit(args, { signal: AbortSignal.any([signal, ending.signal]) });
  git.stdin.end();
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of git.stdout as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_PATCH_BYTES) {
      ending.abort(new Error('larger than a mail should be'));
      return null;
    }
    chunks.push(chunk);
  }
  await git.ended;
  return Buffer.concat(chunks);
}
