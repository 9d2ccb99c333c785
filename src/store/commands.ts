import type { Db } from './database.ts';

export type CommandState =
  'queued' | 'running' | 'finished' | 'timed_out' | 'interrupted' | 'failed' | 'cancelled';

/** A control word that needs the thread's container: it waits in the thread's queue like a script. */
export type QueuedControl = {
  word: 'extend' | 'save' | 'stop' | 'fresh' | 'restore';
  /** Of `extend 2h`. */
  durationMs: number | null;
  /** Of `fresh` and `restore`, once they have begun. */
  plan?: SwapPlan;
  /** Of `stop`: it was about to remove a container. */
  hasBegun?: boolean;
  /** It was answered by the question whether it is meant. */
  hasAsked?: boolean;
};

/** Saved states by their ids: which one is put away, and which one takes its place. */
export type SwapPlan = { away: number | null; target: number | null };

/** A script of Threadbox's own. */
export type Builtin = 'apply';

export type Command = {
  id: number;
  threadId: string;
  messageId: number;
  script: string;
  /** null: `script` is run. */
  control: QueuedControl | null;
  /** Files come with its message. */
  hasFiles: boolean;
  /** Run instead of `script`. */
  builtin: Builtin | null;
  /** How long it may run, where its mail said so. */
  timeoutMs: number | null;
  state: CommandState;
  /** 0 before the first try to start it. */
  attempt: number;
  /** Of its first attempt. */
  startedAt: Date | null;
  /** Since when it is to be ended. */
  cancelRequestedAt: Date | null;
  /** By whom, when not by its sender. */
  cancelledBy: string | null;
  /** Its sender was told that it still runs, last when it had run for so long. */
  toldRunningMs: number;
  userId: number;
  userAddress: string;
  userName: string;
  repositoryId: number;
};

/** One command for one message, ever: a second for the same message breaks a unique constraint. */
export async function queueCommand(
  db: Db,
  command: {
    threadId: string;
    messageId: number;
    script: string;
    control?: QueuedControl | null;
    hasFiles?: boolean;
    builtin?: Builtin | null;
    timeoutMs?: number | null;
  },
): Promise<number> {
  const [row] = await db('commands')
    .insert({
      thread_id: command.threadId,
      message_id: command.messageId,
      script: command.script,
      control: command.control ?? null,
      has_files: command.hasFiles ?? false,
      builtin: command.builtin ?? null,
      timeout_ms: command.timeoutMs ?? null,
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
      control: 'commands.control',
      hasFiles: 'commands.has_files',
      builtin: 'commands.builtin',
      timeoutMs: 'commands.timeout_ms',
      state: 'commands.state',
      attempt: 'commands.attempt',
      startedAt: 'commands.started_at',
      cancelRequestedAt: 'commands.cancel_requested_at',
      cancelledBy: 'commands.cancelled_by',
      toldRunningMs: 'commands.told_running_ms',
      userId: 'users.id',
      userAddress: 'users.address',
      userName: 'users.name',
      repositoryId: 'threads.repository_id',
    });

/** Queued and running, in the order of their arrival: only by name, as there may be thousands, and each may have a megabyte. */
export async function listOpenCommands(
  db: Db,
): Promise<Pick<Command, 'id' | 'threadId' | 'cancelRequestedAt'>[]> {
  return db('commands')
    .select<Pick<Command, 'id' | 'threadId' | 'cancelRequestedAt'>[]>({
      id: 'id',
      threadId: 'thread_id',
      cancelRequestedAt: 'cancel_requested_at',
    })
    .whereIn('state', ['queued', 'running'])
    .orderByRaw(`state = 'queued', id`);
}

export async function findCommand(db: Db, id: number): Promise<Command | null> {
  const [row] = await openCommands(db).where('commands.id', id);
  return row ?? null;
}

export async function commandById(db: Db, id: number): Promise<Command> {
  const row = await findCommand(db, id);
  if (!row) throw new Error(`No command has the id ${id}`);
  return row;
}

/**
 * Says, before it is done, that the command is started once more.
 *
 * @param last the number of the attempt before, 0 for none
 * @returns the number of this attempt
 * @throws {CommandTaken} when another process has recorded one meanwhile, or the command has ended
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
  if (!row) throw new CommandTaken(id);
  return row.attempt;
}

/** A command is not as it was when it was looked at. Looked at again, it says what there is to do. */
export class CommandTaken extends Error {
  readonly code = 'COMMAND_TAKEN';

  constructor(id: number) {
    super(`Somebody else has taken up the command ${id}, or has ended it`);
    this.name = 'CommandTaken';
  }
}

/** @returns false when it has ended, or was told by somebody else meanwhile */
export async function recordToldRunning(
  db: Db,
  { id, toldRunningMs }: Pick<Command, 'id' | 'toldRunningMs'>,
  toldMs: number,
): Promise<boolean> {
  const changed = await db('commands')
    .where({ id, state: 'running', told_running_ms: toldRunningMs })
    .update({ told_running_ms: Math.round(toldMs) });
  return changed === 1;
}

/** Writes down what `fresh` or `restore` is about to do. */
export async function planSwap(db: Db, id: number, plan: SwapPlan): Promise<void> {
  await db('commands')
    .where({ id })
    .update({ control: db.raw(`control || ?::jsonb`, [JSON.stringify({ plan })]) });
}

/** Writes down that `stop` is about to remove the container: whoever is asked again finds none. */
export async function noteBegun(db: Db, id: number): Promise<void> {
  await db('commands')
    .where({ id })
    .update({ control: db.raw(`control || '{"hasBegun": true}'`) });
}

export async function noteAsked(db: Db, id: number): Promise<void> {
  await db('commands')
    .where({ id })
    .update({ control: db.raw(`control || '{"hasAsked": true}'`) });
}

/** True when the thread's command before this one was the same word, and was answered by a question. */
export async function hasAskedBefore(
  db: Db,
  { id, threadId }: Pick<Command, 'id' | 'threadId'>,
  word: string,
): Promise<boolean> {
  const [before] = await db('commands')
    .select<{ control: QueuedControl | null }[]>('control')
    .where({ thread_id: threadId })
    .where('id', '<', id)
    .orderBy('id', 'desc')
    .limit(1);
  return before?.control?.word === word && before.control.hasAsked === true;
}

/** @throws {CommandTaken} when it has ended already: whoever ended it has answered it, too */
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
  if (changed === 0) throw new CommandTaken(id);
}

export type LoggedCommand = {
  id: number;
  /** Of one that does not run the beginning: more of it is never told. */
  script: string;
  isControl: boolean;
  state: CommandState;
  exitCode: number | null;
  createdAt: Date;
  startedAt: Date | null;
  endedAt: Date | null;
  cancelRequestedAt: Date | null;
  durationMs: number | null;
};

export type LastCommand = Pick<LoggedCommand, 'script' | 'state' | 'exitCode' | 'endedAt'>;

/** More than is looked at for the first line of a script. */
const BEGINNING_CHARACTERS = 8_000;

const logged = (db: Db) =>
  db('commands').select<LoggedCommand[]>([
    'id',
    db.raw(`case when state = 'running' then script else left(script, ?) end as script`, [
      BEGINNING_CHARACTERS,
    ]),
    'state',
    'exit_code as exitCode',
    'created_at as createdAt',
    'started_at as startedAt',
    'ended_at as endedAt',
    'cancel_requested_at as cancelRequestedAt',
    'duration_ms as durationMs',
    db.raw('control is not null as "isControl"'),
  ]);

/** The last commands of a thread, the newest first. */
export async function lastCommands(db: Db, threadId: string, limit: number): Promise<LoggedCommand[]> {
  return logged(db).where({ thread_id: threadId }).orderBy('id', 'desc').limit(limit);
}

/** What runs in a thread, and what waits there, in the order of arrival. */
export async function openCommandsOfThread(db: Db, threadId: string): Promise<LoggedCommand[]> {
  return logged(db).where({ thread_id: threadId }).whereIn('state', ['queued', 'running']).orderBy('id');
}
