import { access, mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../log.ts';
import { ContainersError } from './errors.ts';
import { hostGit, splitCredentials, type Credentials } from './host-git.ts';

const TIMEOUT_MS = 15 * 60_000;
/** Pull requests of a forge are left out: there can be very many. */
const REFS = ['+refs/heads/*:refs/heads/*', '+refs/tags/*:refs/tags/*'];

export type MirrorRequest = {
  mirrorsDir: string;
  /** The address may carry credentials. */
  repository: { id: string | number; url: string };
  log: Log;
  signal: AbortSignal;
};

/** `notes` are for the sender: what one should know about the state of the mirror. */
export type Mirror = { path: string; notes: string[] };

/** Where the mirror of a repository lies: at the same path on the host and in containers. */
export function mirrorPathOf(mirrorsDir: string, repositoryId: string | number): string {
  return join(mirrorsDir, `${repositoryId}.git`);
}

const running = new Map<string, Promise<Mirror>>();

/**
 * Makes the bare clone of a repository, or brings it up to date. Workspaces borrow its objects, so none is ever removed
 * from it. It holds no credentials, as containers see it. One at a time for each repository: who comes meanwhile gets
 * the same result.
 *
 * An upstream that cannot be reached is no hindrance when there is a mirror of the same address already: then a note
 * says so.
 *
 * @throws {ContainersError} `REPOSITORY_UNAVAILABLE`; or the reason of `signal`
 */
export async function ensureMirror(request: MirrorRequest): Promise<Mirror> {
  const path = mirrorPathOf(request.mirrorsDir, request.repository.id);
  let making = running.get(path);
  if (!making) {
    making = makeOrFetch(path, request).finally(() => running.delete(path));
    running.set(path, making);
  }
  return making;
}

async function makeOrFetch(
  path: string,
  { mirrorsDir, repository, log, signal }: MirrorRequest,
): Promise<Mirror> {
  const { url, credentials } = splitCredentials(repository.url);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  await mkdir(mirrorsDir, { recursive: true, mode: 0o700 });
  const isThere = await access(path).then(
    () => true,
    () => false,
  );
  try {
    if (isThere) {
      await fetchInto(path, url, { credentials, signal: limit });
      await noteFetch(path);
    } else await makeMirror(path, url, { credentials, signal: limit });
    return { path, notes: [] };
  } catch (error) {
    signal.throwIfAborted();
    const words = limit.aborted ? `no end after ${TIMEOUT_MS / 60_000} minutes` : (error as Error).message;
    if (!isThere || !(await isMirrorOf(path, url, signal))) {
      throw new ContainersError(
        'REPOSITORY_UNAVAILABLE',
        `The repository cannot be fetched. git says: ${words}`,
        {
          cause: error,
        },
      );
    }
    log.warn({ repository: repository.id, reason: words }, 'the mirror cannot be brought up to date');
    const state = `${(await lastFetch(path)).toISOString().slice(0, 19)}Z`;
    return {
      path,
      notes: [`The repository could not be fetched; this is its state of ${state}. git says: ${words}`],
    };
  }
}

type GitOptions = { credentials: Credentials | null; signal: AbortSignal };

/** Under another name until it is whole. */
async function makeMirror(path: string, url: string, options: GitOptions): Promise<void> {
  const part = `${path}.part`;
  await rm(part, { recursive: true, force: true });
  try {
    await hostGit(['clone', '--quiet', '--bare', '-c', 'gc.auto=0', '--', url, part], options);
    // As `isMirrorOf` compares it: git changes some addresses.
    await hostGit(['--git-dir', part, 'config', 'remote.origin.url', url], options);
    await rename(part, path);
  } finally {
    await rm(part, { recursive: true, force: true });
  }
}

async function fetchInto(path: string, url: string, options: GitOptions): Promise<void> {
  const git = (...args: string[]) => hostGit(['--git-dir', path, ...args], options);
  await removeLocks(path);
  const isMoved = !(await isMirrorOf(path, url, options.signal));
  await git('fetch', '--quiet', '--prune', '--no-auto-gc', '--', url, ...REFS);
  // The default branch was renamed, or there was none before.
  const hasHead = await git('rev-parse', '--quiet', '--verify', 'HEAD').then(
    () => true,
    () => false,
  );
  if (hasHead && !isMoved) return;
  const head = /^ref: (refs\/heads\/\S+)\tHEAD$/m.exec(
    await git('ls-remote', '--symref', '--', url, 'HEAD'),
  )?.[1];
  if (head !== undefined) await git('symbolic-ref', 'HEAD', head);
  // Last: a crash before begins anew.
  if (isMoved) await git('config', 'remote.origin.url', url);
}

/** False when the repository has got another address since its mirror was brought up to date. */
async function isMirrorOf(path: string, url: string, signal: AbortSignal): Promise<boolean> {
  const args = ['--git-dir', path, 'config', '--get', 'remote.origin.url'];
  const known = await hostGit(args, { credentials: null, signal }).catch(() => '');
  signal.throwIfAborted();
  return known.replace(/\n$/, '') === url;
}

/** What a killed git leaves would stop every later one. Nobody else writes to a mirror: one bot, one fetch at a time. */
async function removeLocks(path: string): Promise<void> {
  const inside = async (dir: string, recursive: boolean) =>
    (await readdir(join(path, dir), { recursive }).catch(() => [])).map((name) => join(path, dir, name));
  const names = await Promise.all([inside('', false), inside('refs', true), inside('objects/info', true)]);
  const locks = names.flat().filter((name) => name.endsWith('.lock'));
  await Promise.all(locks.map((name) => rm(name, { force: true })));
}

/** Nobody writes to HEAD otherwise; FETCH_HEAD is begun anew by each fetch, and by those that fail as well. */
async function noteFetch(path: string): Promise<void> {
  const now = new Date();
  await utimes(join(path, 'HEAD'), now, now);
}

async function lastFetch(path: string): Promise<Date> {
  return (await stat(join(path, 'HEAD'))).mtime;
}
