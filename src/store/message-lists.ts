import type { CommandState } from './commands.ts';
import type { Db } from './database.ts';
import type { MessageOutcome } from './messages.ts';
import { listed, pageOf, whereContains, type Listed, type Page } from './pages.ts';
import { savedStateColumns, type ListedSave } from './saved-states.ts';

/** A message as an operator sees it: what became of it, not what it says. */
export type ListedMessage = {
  id: number;
  direction: 'in' | 'out';
  at: Date;
  address: string | null;
  subject: string | null;
  outcome: MessageOutcome | 'answer' | null;
  reason: string | null;
  threadId: string | null;
  sizeBytes: number;
  commandId: number | null;
  commandState: CommandState | null;
  /** Of one of ours: whether it has gone to all it is for. */
  delivery: 'waiting' | 'sent' | 'failed' | 'bounced' | null;
  deliveryError: string | null;
};

export type MessageFilter = {
  direction?: 'in' | 'out' | undefined;
  outcome?: MessageOutcome | undefined;
  /** Those alone of which nothing was run or answered. */
  isRefused?: boolean | undefined;
  threadId?: string | undefined;
  text?: string | undefined;
};

/** Messages, the newest first. */
export async function listMessages(
  db: Db,
  { direction, outcome, isRefused, threadId, text }: MessageFilter,
  page: Page,
): Promise<Listed<ListedMessage>> {
  const query = db('messages')
    .joinRaw(
      // Of one of ours: the command that it answers.
      `left join commands on commands.message_id =
         case messages.direction when 'in' then messages.id else messages.in_reply_to_message end`,
    )
    .joinRaw(
      `left join lateral (
         select state, last_error from outbox where outbox.message_id = messages.id
         order by state = 'sent', id limit 1
       ) delivery on true`,
    )
    .select<ListedMessage[]>({
      id: 'messages.id',
      direction: 'messages.direction',
      at: 'messages.received_at',
      address: 'messages.address',
      subject: 'messages.subject',
      outcome: 'messages.outcome',
      reason: 'messages.reason',
      threadId: 'messages.thread_id',
      sizeBytes: 'messages.size_bytes',
      commandId: 'commands.id',
      commandState: 'commands.state',
      delivery: 'delivery.state',
      deliveryError: 'delivery.last_error',
    });
  if (direction !== undefined) void query.where('messages.direction', direction);
  if (outcome !== undefined) void query.where('messages.outcome', outcome);
  if (isRefused === true) void query.whereIn('messages.outcome', ['dropped', 'failed']);
  if (threadId !== undefined) void query.where('messages.thread_id', threadId);
  whereContains(query, text, [
    'messages.address',
    'messages.subject',
    'messages.reason',
    'messages.thread_id',
  ]);
  pageOf(query, 'messages.id', page);
  return listed(await query, page, ({ id }) => id);
}

/** Saved states that are kept, the newest first. */
export async function listSaves(
  db: Db,
  { threadId, text }: { threadId?: string | undefined; text?: string | undefined },
  page: Page,
): Promise<Listed<ListedSave>> {
  const query = db('saved_states')
    .join('users', 'users.id', 'saved_states.user_id')
    .join('repositories', 'repositories.id', 'saved_states.repository_id')
    .select<ListedSave[]>({
      ...savedStateColumns,
      userAddress: 'users.address',
      repositoryName: 'repositories.name',
    })
    .whereIn('saved_states.state', ['current', 'aside'])
    .whereNotNull('saved_states.snapshot');
  if (threadId !== undefined) void query.where('saved_states.thread_id', threadId);
  whereContains(query, text, ['saved_states.thread_id', 'users.address', 'repositories.name']);
  pageOf(query, 'saved_states.id', page);
  return listed(await query, page, ({ id }) => id);
}
