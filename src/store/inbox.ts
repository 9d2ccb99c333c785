import type { Db } from './database.ts';
import type { CommandState } from './commands.ts';
import type { MessageOutcome } from './messages.ts';

/** A message that came in, and what became of it. */
export type InboxMessage = {
  id: number;
  receivedAt: Date;
  /** null: not known, or not handled yet. */
  address: string | null;
  subject: string | null;
  /** null: not handled yet. */
  outcome: MessageOutcome | null;
  /** Why it was dropped, has failed, or how it was answered. */
  reason: string | null;
  threadId: string | null;
  commandId: number | null;
  commandState: CommandState | null;
  exitCode: number | null;
  filedAt: Date | null;
};

/** The newest messages, the newest first. @param isRefused only those of which nothing was run or answered */
export async function listInbox(
  db: Db,
  { limit, isRefused }: { limit: number; isRefused: boolean },
): Promise<InboxMessage[]> {
  const messages = db('messages')
    .leftJoin('commands', 'commands.message_id', 'messages.id')
    .select<InboxMessage[]>({
      id: 'messages.id',
      receivedAt: 'messages.received_at',
      address: 'messages.address',
      subject: 'messages.subject',
      outcome: 'messages.outcome',
      reason: 'messages.reason',
      threadId: 'messages.thread_id',
      commandId: 'commands.id',
      commandState: 'commands.state',
      exitCode: 'commands.exit_code',
      filedAt: 'messages.filed_at',
    })
    .where('messages.direction', 'in')
    .orderBy('messages.id', 'desc')
    .limit(limit);
  return isRefused ? messages.whereIn('messages.outcome', ['dropped', 'failed']) : messages;
}
