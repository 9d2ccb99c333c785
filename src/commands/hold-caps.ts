import { renderNotice } from '../mail/notices.ts';
import type { Caps, HourlyCaps, ReachedCap } from '../store/hourly.ts';
import { settleMessage, type MessageFacts, type ReceivedMessage } from '../store/messages.ts';
import { tellsNow } from '../store/told-notices.ts';
import { answerMessage } from './answer-message.ts';
import { messageOf, type SettleParts, type Taken } from './settle.ts';

const HOUR_MS = 3_600_000;

const REASONS: Record<keyof Caps, string> = {
  writtenPerAddress: 'mails to this address in one hour',
  perSender: 'mails of one sender in one hour',
  perThread: 'mails of one thread in one hour',
  overall: 'mails of all senders in one hour',
};

/**
 * Drops a message that is one too many for this hour. Its sender is told once, for each cap, until the time at which there
 * is room again, as the mail says; of too many mails to that very address nobody is told anything. A control word passes the other caps: whoever has sent too much must be able to cancel.
 *
 * @returns null when there is room for it
 */
export async function dropOverCap(
  parts: SettleParts & { hourlyCaps: HourlyCaps },
  received: ReceivedMessage,
  facts: MessageFacts,
  { threadId, isControl }: { threadId: string | null; isControl: boolean },
): Promise<Taken | null> {
  const { db, hourlyCaps, now, log } = parts;
  const address = facts.address as string;
  const reached = await hourlyCaps.reached({ address, threadId, messageId: received.id });
  if (!reached || (isControl && reached.cap !== 'writtenPerAddress')) return null;
  const reason = `more than ${reached.maximum} ${REASONS[reached.cap]}`;
  const isTold = await db.transaction(async (transaction) => {
    await settleMessage(transaction, received.id, { outcome: 'dropped', reason, threadId: null }, facts);
    return tell(parts, transaction, { message: messageOf(received, facts), threadId, reached });
  });
  log.warn({ message: received.id, againAt: reached.againAt, now: now() }, `dropped: ${reason}`);
  return { kind: 'dropped', reason, isTold };
}

async function tell(
  { config, now }: SettleParts,
  transaction: SettleParts['db'],
  {
    message,
    threadId,
    reached: { cap, maximum, againAt },
  }: { message: ReturnType<typeof messageOf>; threadId: string | null; reached: ReachedCap },
): Promise<boolean> {
  if (cap === 'writtenPerAddress') return false;
  const anHourAgo = new Date(now().getTime() - HOUR_MS);
  const kind = cap === 'perThread' ? (`cap:${cap}:${threadId}` as const) : (`cap:${cap}` as const);
  if (!(await tellsNow(transaction, message.address, kind, anHourAgo, againAt))) return false;
  const limit = ({ perSender: 'sender', perThread: 'thread', overall: 'all' } as const)[cap];
  const notice = renderNotice({ kind: 'too-many', limit, maximum, againAt, now: now() });
  await answerMessage(transaction, config, message, notice, null, now());
  return true;
}
