import type { ThreadBy } from '../config.ts';
import type { Network } from '../network-choice.ts';
import type { Db } from './database.ts';
import { checkSessionsNow } from './sessions.ts';

export type Repository = {
  id: number;
  name: string;
  /** May carry credentials: show it only through `shownUrl`. */
  url: string;
  /** `null`: the default branch of the upstream. */
  branch: string | null;
  /** `null`: as the server is set. */
  threadBy: ThreadBy | null;
  /** `null`: as its user or the server is set. */
  idleTimeoutMs: number | null;
  /** What comes back after a removal: the Auto-save commit, or changes as uncommitted as they were. */
  restore: RestoreStyle;
  /** What its commands may use. `null`: as the server is set. */
  commandTimeoutMs: number | null;
  memoryBytes: number | null;
  cpus: number | null;
  /** What the workspace of each thread may hold. */
  workspaceBytes: number | null;
  /** What becomes of processes that a command leaves behind. */
  backgroundProcesses: 'keep' | 'end' | null;
  /** What its containers reach. */
  network: Network;
  /** Its commands are root in their container, and may write to all of its file system. */
  root: boolean;
  createdAt: Date;
};

type RestoreStyle = 'commit' | 'uncommitted';

const columns = [
  'id',
  'name',
  'url',
  'branch',
  'thread_by as threadBy',
  'idle_timeout_ms as idleTimeoutMs',
  'restore',
  'command_timeout_ms as commandTimeoutMs',
  'memory_bytes as memoryBytes',
  'cpus',
  'workspace_bytes as workspaceBytes',
  'background_processes as backgroundProcesses',
  'network',
  'as_root as root',
  'created_at as createdAt',
] as const;

/** What the subject's `[name]` may be; the table has the same rule. */
export const REPOSITORY_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** Those in use. */
export async function listRepositories(db: Db): Promise<Repository[]> {
  return db('repositories').select<Repository[]>(columns).whereNull('removed_at').orderByRaw('lower(name)');
}

/** Those in use that this address may use: all, unless its user was restricted to some. */
export async function listRepositoriesFor(db: Db, address: string): Promise<Repository[]> {
  const [repositories = []] = await listRepositoriesForEach(db, [address]);
  return repositories;
}

/** The same for several addresses. */
export async function listRepositoriesForEach(db: Db, addresses: readonly string[]): Promise<Repository[][]> {
  const asked = addresses.map((address) => address.toLowerCase());
  const rows = await db('repositories')
    .select<(Repository & { deniedTo: string[] })[]>([
      ...columns,
      // Few, where most may use all.
      db.raw(
        `array(select users.address from users where address = any(?::text[]) and is_restricted and not exists (
           select from user_repositories where user_id = users.id and repository_id = repositories.id)) as "deniedTo"`,
        [asked],
      ),
    ])
    .whereNull('removed_at')
    .orderByRaw('lower(name)');
  return asked.map((address) => rows.filter(({ deniedTo }) => !deniedTo.includes(address)));
}

/** Those whose containers reach some hosts by name, and whether they have a container. */
export async function repositoriesWithList(
  db: Db,
): Promise<(Pick<Repository, 'id' | 'network'> & { hasContainer: boolean })[]> {
  const hasContainer = db.raw(
    'exists (select from container_sessions where repository_id = repositories.id and is_active) as "hasContainer"',
  );
  return db('repositories').select('id', 'network', hasContainer).where('network', 'like', 'allow:%');
}

/** By id, in use or removed: its threads go on having it. */
export async function repositoryById(db: Db, id: number): Promise<Repository> {
  const row = await db('repositories').first<Repository | undefined>(columns).where({ id });
  if (!row) throw new Error(`No repository has the id ${id}`);
  return row;
}

/** In use or removed. @returns null where there never was one of that name */
export async function repositoryIdOf(db: Db, name: string): Promise<number | null> {
  const row = await db('repositories').first<{ id: number } | undefined>('id').whereRaw('lower(name) = lower(?)', [name]); // prettier-ignore
  return row?.id ?? null;
}

/** Registers a repository; one removed earlier comes back, under the same id and with its threads. */
export async function addRepository(
  db: Db,
  repository: Pick<Repository, 'name' | 'url' | 'branch' | 'threadBy'>,
): Promise<'added' | 'exists'> {
  const { name, url, branch, threadBy } = repository;
  const rows = await db.raw<{ rowCount: number }>(
    `insert into repositories (name, url, branch, thread_by) values (?, ?, ?, ?)
     on conflict (lower(name)) do update
       set name = excluded.name, url = excluded.url, branch = excluded.branch,
           thread_by = excluded.thread_by, removed_at = null
       where repositories.removed_at is not null
     returning id`,
    [name, url, branch, threadBy],
  );
  return rows.rowCount > 0 ? 'added' : 'exists';
}

/** Takes it out of use. Its threads, their containers and their history stay. */
export async function removeRepository(db: Db, name: string): Promise<boolean> {
  const changed = await db('repositories')
    .whereRaw('lower(name) = lower(?)', [name])
    .whereNull('removed_at')
    .update({ removed_at: db.fn.now() });
  return changed > 0;
}

export type RepositoryLimits = Pick<
  Repository,
  'commandTimeoutMs' | 'memoryBytes' | 'cpus' | 'workspaceBytes' | 'backgroundProcesses' | 'root'
>;
export type RepositoryChange = Partial<
  Pick<Repository, 'branch' | 'idleTimeoutMs' | 'restore' | 'network'> & RepositoryLimits
>;

/**
 * Changes what is given, and has the sweep look at the repository's containers anew.
 *
 * @returns false when there is no such repository in use
 */
export async function setRepository(db: Db, name: string, change: RepositoryChange): Promise<boolean> {
  return db.transaction(async (transaction) => {
    const [row] = await transaction('repositories')
      .whereRaw('lower(name) = lower(?)', [name])
      .whereNull('removed_at')
      .update({
        // Something has to be set: an empty change changes nothing.
        name: transaction.ref('name'),
        ...(change.branch !== undefined && { branch: change.branch }),
        ...(change.idleTimeoutMs !== undefined && { idle_timeout_ms: change.idleTimeoutMs }),
        ...(change.restore !== undefined && { restore: change.restore }),
        ...(change.commandTimeoutMs !== undefined && { command_timeout_ms: change.commandTimeoutMs }),
        ...(change.memoryBytes !== undefined && { memory_bytes: change.memoryBytes }),
        ...(change.cpus !== undefined && { cpus: change.cpus }),
        ...(change.workspaceBytes !== undefined && { workspace_bytes: change.workspaceBytes }),
        ...(change.backgroundProcesses !== undefined && { background_processes: change.backgroundProcesses }),
        ...(change.network !== undefined && { network: change.network }),
        ...(change.root !== undefined && { as_root: change.root }),
      })
      .returning<{ id: number }[]>('id');
    if (row) await checkSessionsNow(transaction, { repository_id: row.id });
    return row !== undefined;
  });
}

/** The URL without the user name and password it may carry. */
export function shownUrl(url: string): string {
  if (!URL.canParse(url)) return url;
  const parsed = new URL(url);
  if (parsed.protocol === 'ssh:') parsed.password = '';
  else parsed.username = parsed.password = '';
  return parsed.href;
}
