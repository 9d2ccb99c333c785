import type { Db } from './database.ts';
import type { MessageOutcome } from './messages.ts';

/** What became of one incoming message so far. */
export type MessageFate = {
  outcome: MessageOutcome;
  /** Why it was dropped or has failed. */
  reason: string | null;
  /** Of the command it started. */
  commandState: string | null;
};

/** @returns null while no message with that Message-ID has been handled */
export async function messageFate(db: Db, messageId: string): Promise<MessageFate | null> {
  const row = await db('messages')
    .leftJoin('commands', 'commands.message_id', 'messages.id')
    .first<MessageFate | undefined>({
      outcome: 'messages.outcome',
      reason: 'messages.reason',
      commandState: 'commands.state',
    })
    .where({ 'messages.direction': 'in', 'messages.message_id': messageId })
    .orderBy('messages.id', 'desc');
  return row ?? null;
}
