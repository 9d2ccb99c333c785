import type { Builtin } from './commands.ts';
import type { Db } from './database.ts';
import { SETTLED, type MessageFacts, type Settled } from './messages.ts';
import { asNumberedRows } from './rows.ts';
import { ensureThread } from './threads.ts';
import { ensureUser } from './users.ts';

/** What a message came to, where nobody is answered: nothing, or a command. */
export type TakenMessage = {
  id: number;
  facts: MessageFacts | null;
  settled: Omit<Settled, 'threadId'>;
  command: CommandToStore | null;
};

type CommandToStore = {
  /** Made when missing, under this id or one like it. */
  thread: { id: string; repositoryId: number; label: string };
  sender: { address: string; name: string };
  /** Thread and sender are there already: nothing has to be made. */
  isKnown: boolean;
  script: string;
  builtin: Builtin | null;
  hasFiles: boolean;
  timeoutMs: number | null;
};

/** `commandId`: null where there is no command. */
export type StoredTaken = { commandId: number | null; threadId: string | null };

/**
 * Stores what some messages came to, all of it or nothing: in one statement where nothing has to be made first, for that
 * is the way of nearly all mail.
 *
 * @returns null for each that another process has handled: nothing is stored of it
 * @throws what breaks `messages_same_mail` when two are the same mail
 */
export async function storeTaken(db: Db, messages: readonly TakenMessage[]): Promise<(StoredTaken | null)[]> {
  if (messages.every(({ command }) => command === null || command.isKnown)) return store(db, messages);
  return db.transaction(async (transaction) => {
    const made: TakenMessage[] = [];
    for (const message of messages) {
      const { command } = message;
      made.push({ ...message, command: command && (await withThread(transaction, command)) });
    }
    return store(transaction, made);
  });
}

async function withThread(db: Db, command: CommandToStore): Promise<CommandToStore> {
  if (command.isKnown) return command;
  const user = await ensureUser(db, command.sender.address, command.sender.name);
  const thread = await ensureThread(db, { ...command.thread, userId: user.id });
  return { ...command, thread };
}

async function store(db: Db, messages: readonly TakenMessage[]): Promise<(StoredTaken | null)[]> {
  const asked = messages.map(({ id, facts, settled, command }) => ({
    id,
    ...settled,
    ...facts,
    ...(command && {
      threadId: command.thread.id,
      script: command.script,
      builtin: command.builtin,
      hasFiles: command.hasFiles,
      timeoutMs: command.timeoutMs,
    }),
  }));
  const { rows } = await db.raw<{ rows: { id: number; commandId: number | null }[] }>(
    `with ${SETTLED},
     queued as (
       insert into commands (thread_id, message_id, script, builtin, has_files, timeout_ms, state)
       select asked."threadId", id, asked.script, asked.builtin, asked."hasFiles", asked."timeoutMs", 'queued'
       from asked join settled using (id) where asked.script is not null order by asked.n
       returning id, message_id)
     select settled.id, queued.id as "commandId" from settled left join queued on queued.message_id = settled.id`,
    [asNumberedRows(asked), messages.map(({ id }) => id)],
  );
  const stored = new Map(rows.map(({ id, commandId }) => [id, commandId]));
  return messages.map(({ id, command }) => {
    const commandId = stored.get(id);
    return commandId === undefined ? null : { commandId, threadId: command && command.thread.id };
  });
}
