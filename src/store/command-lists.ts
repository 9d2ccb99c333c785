import type { CommandState } from './commands.ts';
import type { Db } from './database.ts';
import { listed, pageOf, whereContains, type Listed, type Page } from './pages.ts';

/** A command as an operator sees it. */
export type ListedCommand = {
  id: number;
  threadId: string;
  messageId: number;
  script: string;
  /** The control word, where it is one. */
  controlWord: string | null;
  state: CommandState;
  attempt: number;
  exitCode: number | null;
  error: string | null;
  branch: string | null;
  outputBytes: number | null;
  durationMs: number | null;
  createdAt: Date;
  startedAt: Date | null;
  endedAt: Date | null;
  cancelRequestedAt: Date | null;
  cancelledBy: string | null;
  userAddress: string;
  repositoryName: string;
};

const columns = {
  id: 'commands.id',
  threadId: 'commands.thread_id',
  messageId: 'commands.message_id',
  script: 'commands.script',
  state: 'commands.state',
  attempt: 'commands.attempt',
  exitCode: 'commands.exit_code',
  error: 'commands.error',
  branch: 'commands.branch',
  outputBytes: 'commands.output_bytes',
  durationMs: 'commands.duration_ms',
  createdAt: 'commands.created_at',
  startedAt: 'commands.started_at',
  endedAt: 'commands.ended_at',
  cancelRequestedAt: 'commands.cancel_requested_at',
  cancelledBy: 'commands.cancelled_by',
  userAddress: 'users.address',
  repositoryName: 'repositories.name',
};

const commands = (db: Db) =>
  db('commands')
    .join('threads', 'threads.id', 'commands.thread_id')
    .join('users', 'users.id', 'threads.user_id')
    .join('repositories', 'repositories.id', 'threads.repository_id')
    .select<ListedCommand[]>(columns)
    .select(db.raw(`commands.control->>'word' as "controlWord"`));

export type CommandFilter = {
  threadId?: string | undefined;
  state?: CommandState | undefined;
  text?: string | undefined;
};

/** Commands, the newest first. */
export async function listCommands(
  db: Db,
  { threadId, state, text }: CommandFilter,
  page: Page,
): Promise<Listed<ListedCommand>> {
  const query = commands(db);
  if (threadId !== undefined) void query.where('commands.thread_id', threadId);
  if (state !== undefined) void query.where('commands.state', state);
  // Within one thread its name is no help.
  whereContains(query, text, ['commands.script', ...(threadId === undefined ? ['commands.thread_id'] : [])]);
  pageOf(query, 'commands.id', page);
  return listed((await query) as ListedCommand[], page, ({ id }) => id);
}

export async function listedCommand(db: Db, id: number): Promise<ListedCommand | null> {
  const [row] = (await commands(db).where('commands.id', id)) as ListedCommand[];
  return row ?? null;
}

/** A thread as an operator sees it. */
export type ListedThread = {
  id: string;
  userAddress: string;
  userName: string;
  repositoryName: string;
  label: string;
  createdAt: Date;
  lastCommandId: number;
  lastCommandAt: Date;
  commandCount: number;
  hasContainer: boolean;
};

/** Threads that ever had a command, the one that had it last first. */
export async function listThreads(
  db: Db,
  {
    user,
    repository,
    text,
  }: { user?: string | undefined; repository?: string | undefined; text?: string | undefined },
  page: Page,
): Promise<Listed<ListedThread>> {
  const query = db('threads')
    .join('users', 'users.id', 'threads.user_id')
    .join('repositories', 'repositories.id', 'threads.repository_id')
    .joinRaw(
      `join lateral (
         select id, created_at from commands where commands.thread_id = threads.id order by id desc limit 1
       ) last on true`,
    )
    .select<ListedThread[]>({
      id: 'threads.id',
      userAddress: 'users.address',
      userName: 'users.name',
      repositoryName: 'repositories.name',
      label: 'threads.label',
      createdAt: 'threads.created_at',
      lastCommandId: 'last.id',
      lastCommandAt: 'last.created_at',
    })
    .select(
      // After the portion is cut: of a thread with thousands it is a long count.
      db.raw('(select count(*) from commands where thread_id = threads.id) as "commandCount"'),
      db.raw(
        'exists (select from container_sessions where thread_id = threads.id and is_active) as "hasContainer"',
      ),
    );
  if (user !== undefined) void query.where('users.address', user.toLowerCase());
  if (repository !== undefined) void query.whereRaw('lower(repositories.name) = lower(?)', [repository]);
  whereContains(query, text, ['threads.id', 'users.address', 'users.name', 'repositories.name']);
  pageOf(query, 'last.id', page);
  return listed((await query) as ListedThread[], page, ({ lastCommandId }) => lastCommandId);
}
