import type { Db } from './database.ts';

export type CommandState = 'queued' | 'running' | 'finished' | 'timed_out' | 'interrupted' | 'failed';

export type Command = {
  id: number;
  threadId: string;
  messageId: number;
  script: string;
  state: CommandState;
  /** 0 before the first try to start it. */
  attempt: number;
  /** Of its first attempt. */
  startedAt: Date | null;
  userId: number;
  userAddress: string;
  userName: string;
  repositoryId: number;
};

/** One command for one message, ever: a second for the same message breaks a unique constraint. */
export async function queueCommand(
  db: Db,
  command: { threadId: string; messageId: number; script: string },
): Promise<number> {
  const [row] = await db('commands')
    .insert({
      thread_id: command.threadId,
      message_id: command.messageId,
      script: command.script,
      state: 'queued',
    })
    .returning<{ id: number }[]>('id');
  return (row as { id: number }).id;
}

const openCommands = (db: Db) =>
  db('commands')
    .join('threads', 'threads.id', 'commands.thread_id')
    .join('users', 'users.id', 'threads.user_id')
    .select<Command[]>({
      id: 'commands.id',
      threadId: 'commands.thread_id',
      messageId: 'commands.message_id',
      script: 'commands.script',
      state: 'commands.state',
      attempt: 'commands.attempt',
      startedAt: 'commands.started_at',
      userId: 'users.id',
      userAddress: 'users.address',
      userName: 'users.name',
      repositoryId: 'threads.repository_id',
    });

/** Queued and running, in the order of their arrival. */
export async function listOpenCommands(db: Db): Promise<Command[]> {
  return openCommands(db).whereIn('commands.state', ['queued', 'running']).orderBy('commands.id');
}

export async function commandById(db: Db, id: number): Promise<Command> {
  const [row] = await openCommands(db).where('commands.id', id);
  if (!row) throw new Error(`No command has the id ${id}`);
  return row;
}

/**
 * Says, before it is done, that the command is started once more.
 *
 * @param last the number of the attempt before, 0 for none
 * @returns the number of this attempt
 * @throws when another process has recorded one meanwhile, or has ended the command
 */
export async function recordAttempt(db: Db, id: number, last: number): Promise<number> {
  const [row] = await db('commands')
    .where({ id, attempt: last })
    .whereIn('state', ['queued', 'running'])
    .update({
      state: 'running',
      attempt: db.raw('attempt + 1'),
      started_at: db.raw('coalesce(started_at, now())'),
    })
    .returning<{ attempt: number }[]>('attempt');
  if (!row) throw new Error(`Another process has taken up the command ${id}`);
  return row.attempt;
}

/** @throws when it has ended already: whoever ended it has answered it, too */
export async function endCommand(
  db: Db,
  id: number,
  end: {
    state: Exclude<CommandState, 'queued' | 'running'>;
    sessionId?: number | null;
    exitCode?: number | null;
    error?: string | null;
    branch?: string | null;
    outputBytes?: number | null;
    durationMs?: number | null;
  },
): Promise<void> {
  const changed = await db('commands')
    .where({ id })
    .whereIn('state', ['queued', 'running'])
    .update({
      state: end.state,
      container_session_id: end.sessionId ?? null,
      exit_code: end.exitCode ?? null,
      error: end.error ?? null,
      branch: end.branch ?? null,
      output_bytes: end.outputBytes ?? null,
      duration_ms: end.durationMs ?? null,
      ended_at: db.fn.now(),
    });
  if (changed === 0) throw new Error(`The command ${id} has ended already`);
}
