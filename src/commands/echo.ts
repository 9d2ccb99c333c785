import { renderNotice } from '../mail/notices.ts';
import type { Builtin, LastCommand } from '../store/commands.ts';
import { settleMessage, type MessageFacts, type ReceivedMessage } from '../store/messages.ts';
import { tellsNow } from '../store/told-notices.ts';
import { answerMessage } from './answer-message.ts';
import { masksFor, type SecretsOf } from './repository-secrets.ts';
import { messageOf, type SettleParts, type Taken } from './settle.ts';

const HOUR_MS = 3_600_000;
/** Nobody reads an answer and sends the same again so quickly; programs that answer by themselves do. */
const AT_ONCE_MS = 20_000;
/** A mail server tells the time of an arrival in whole seconds. */
const SECOND_MS = 1_000;
/** What bash exits with when the first word of a line is no command: as the first word of prose. */
const NOT_FOUND = 127;

type Asked = {
  script: string;
  builtin: Builtin | null;
  /** Files are attached to it. */
  hasFiles: boolean;
  isReply: boolean;
  receivedAt: Date;
};

/**
 * True when a command seems to come from a program that answers our answers and does not say so, such as "I am away until
 * Monday": the very text that was run last in its thread, and failed as prose fails, again. What comes with files, or is
 * a word of ours, is a person's: corrected files come with the same text.
 */
export function isEcho(
  { script, builtin, hasFiles, isReply, receivedAt }: Asked,
  last: LastCommand | null,
): boolean {
  if (hasFiles || builtin !== null) return false;
  if (!last?.endedAt || last.state !== 'finished' || last.script !== script) return false;
  const afterMs = receivedAt.getTime() - last.endedAt.getTime();
  // Sent before there was an answer.
  if (afterMs < -SECOND_MS) return false;
  if (last.exitCode === NOT_FOUND) return afterMs < HOUR_MS;
  return isReply && last.exitCode !== 0 && afterMs < AT_ONCE_MS;
}

const REASON = 'the same text again, right after it had failed: taken for an automatic answer';

/** Drops such a message. Its sender, who may be a person after all, is told; once in an hour, so that a loop ends. */
export async function dropEcho(
  parts: SettleParts & { secretsOf: SecretsOf },
  received: ReceivedMessage,
  facts: MessageFacts,
  { script, threadId, repositoryId }: { script: string; threadId: string; repositoryId: number },
): Promise<Taken> {
  const { db, config, now, log } = parts;
  const command = (await masksFor(parts, { id: repositoryId }, script)).text(script);
  const isTold = await db.transaction(async (transaction) => {
    const settled = { outcome: 'dropped', reason: REASON, threadId: null } as const;
    await settleMessage(transaction, received.id, settled, facts);
    const message = messageOf(received, facts);
    const anHourAgo = new Date(now().getTime() - HOUR_MS);
    if (!(await tellsNow(transaction, message.address, 'echo', anHourAgo))) return false;
    const notice = renderNotice({ kind: 'looks-automatic', command });
    await answerMessage(transaction, config, message, notice, threadId, now());
    return true;
  });
  log.info({ message: received.id, thread: threadId }, `dropped: ${REASON}`);
  return { kind: 'dropped', reason: REASON, isTold };
}
