import type { Db } from './database.ts';
import { listed, pageOf, whereContains, type Listed, type Page } from './pages.ts';
import type { DueSession, Session } from './sessions.ts';

/** A container session as an operator sees it. */
export type ListedSession = Pick<Session, 'id' | 'containerId' | 'containerName' | 'state' | 'isSaved'> &
  Pick<
    DueSession,
    | 'threadId'
    | 'userAddress'
    | 'repositoryName'
    | 'lastActivityAt'
    | 'lastCommandAt'
    | 'keepUntil'
    | 'warnedAt'
    | 'userTimeoutMs'
    | 'repositoryTimeoutMs'
  > & {
    userName: string;
    isActive: boolean;
    /** A command runs, or waits. */
    isBusy: boolean;
    image: string;
    createdAt: Date;
    endedAt: Date | null;
    endReason: string | null;
    saveError: string | null;
    removalAskedAt: Date | null;
    workspaceUsedBytes: number | null;
    /** The repository's own limit. */
    repositoryWorkspaceBytes: number | null;
    runningId: number | null;
    runningScript: string | null;
    runningSince: Date | null;
    waitingCount: number;
  };

export type SessionFilter = {
  isActive?: boolean | undefined;
  user?: string | undefined;
  repository?: string | undefined;
  text?: string | undefined;
};

/** Container sessions, the newest first. */
export async function listSessions(
  db: Db,
  filter: SessionFilter,
  page: Page,
): Promise<Listed<ListedSession>> {
  const query = db('container_sessions')
    .join('users', 'users.id', 'container_sessions.user_id')
    .join('repositories', 'repositories.id', 'container_sessions.repository_id')
    // What runs comes along with the count: looked up by its number, PostgreSQL reads all commands there are for a search.
    .joinRaw(
      `left join lateral (
         select count(*) as total, count(*) filter (where state = 'queued') as waiting,
           max(id) filter (where state = 'running') as running_id,
           (array_agg(script order by id desc) filter (where state = 'running'))[1] as script,
           (array_agg(started_at order by id desc) filter (where state = 'running'))[1] as since
         from commands
         where commands.thread_id = container_sessions.thread_id and commands.state in ('queued', 'running')
           and container_sessions.is_active
       ) open on true`,
    )
    .select<ListedSession[]>(columns)
    .select(db.raw('open.total > 0 as "isBusy"'));
  const { isActive, user, repository, text } = filter;
  if (isActive !== undefined) void query.where('container_sessions.is_active', isActive);
  if (user !== undefined) void query.where('users.address', user.toLowerCase());
  if (repository !== undefined) void query.whereRaw('lower(repositories.name) = lower(?)', [repository]);
  whereContains(query, text, [
    'container_sessions.thread_id',
    'users.address',
    'users.name',
    'repositories.name',
    'container_sessions.container_name',
    'open.script',
  ]);
  pageOf(query, 'container_sessions.id', page);
  return listed((await query) as ListedSession[], page, ({ id }) => id);
}

/** What all of its workspace takes of the disk. @param usedBytes null: not known now; what was known last stays */
export async function noteWorkspaceUse(db: Db, id: number, usedBytes: number | null): Promise<void> {
  if (usedBytes === null) return;
  await db('container_sessions').where({ id }).update({ workspace_used_bytes: usedBytes });
}

const columns = {
  id: 'container_sessions.id',
  containerId: 'container_sessions.container_id',
  containerName: 'container_sessions.container_name',
  state: 'container_sessions.state',
  isActive: 'container_sessions.is_active',
  isSaved: 'container_sessions.is_saved',
  threadId: 'container_sessions.thread_id',
  image: 'container_sessions.image',
  userAddress: 'users.address',
  userName: 'users.name',
  repositoryName: 'repositories.name',
  lastActivityAt: 'container_sessions.last_activity_at',
  lastCommandAt: 'container_sessions.last_command_at',
  keepUntil: 'container_sessions.keep_until',
  warnedAt: 'container_sessions.warned_at',
  createdAt: 'container_sessions.created_at',
  endedAt: 'container_sessions.ended_at',
  endReason: 'container_sessions.end_reason',
  saveError: 'container_sessions.save_error',
  removalAskedAt: 'container_sessions.removal_asked_at',
  workspaceUsedBytes: 'container_sessions.workspace_used_bytes',
  repositoryWorkspaceBytes: 'repositories.workspace_bytes',
  userTimeoutMs: 'users.idle_timeout_ms',
  repositoryTimeoutMs: 'repositories.idle_timeout_ms',
  runningId: 'open.running_id',
  runningScript: 'open.script',
  runningSince: 'open.since',
  waitingCount: 'open.waiting',
};
