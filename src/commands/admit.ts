import type { Config } from '../config.ts';
import { loopReason } from '../mail/loop-guard.ts';
import { addressesIn, type ParsedMessage } from '../mail/parse.ts';
import { isSameMailbox } from '../mail/sender.ts';
import { replayReason } from '../mail/sender-auth/replay.ts';
import type { SenderCheck } from '../mail/sender-auth/sender-check.ts';
import type { ReceivedMessage } from '../store/messages.ts';
import type { SharedQueries } from '../store/shared-queries.ts';
import { isLetInBy } from './let-in.ts';

export type AdmitParts = {
  queries: Pick<SharedQueries, 'isRegistered' | 'isRepeated'>;
  config: Pick<
    Config,
    'allowedLists' | 'allowedSenders' | 'botAddress' | 'botAliases' | 'senderAuth' | 'dateToleranceMs'
  >;
  checkSender: SenderCheck;
};

/** A mail that may be run and answered, or why not: it is dropped then, without a word to whoever stands in its From. */
export type Admission = { sender: string; signatureIds: string[] } | { dropped: string };

/**
 * Whether a message is for us to act on, the cheap questions first. Nobody is answered before it is known that they
 * wrote: what was forged would be answered to somebody who knows nothing of it.
 *
 * @throws with `code: 'SENDER_UNKNOWN_YET'` when that cannot be found out now; and when the database cannot be asked
 */
export async function admit(
  { queries, config, checkSender }: AdmitParts,
  received: ReceivedMessage,
  message: ParsedMessage,
): Promise<Admission> {
  const loop = loopReason(message, config);
  if (loop !== null) return { dropped: loop };
  const { sender, date, messageId, bodyHash } = message;
  if (sender === null) return { dropped: 'From is not one single address' };
  if (!(await isLetInBy(config, sender, queries.isRegistered)))
    return { dropped: 'the sender is not allowed' };

  const { raw, isTruncated, receivedAt } = received;
  const verdict = await checkSender({ raw, isTruncated, sender, receivedAt });
  if (verdict.kind === 'later') {
    const words = `The sender of message ${received.id} cannot be verified now: ${verdict.reason}`;
    throw Object.assign(new Error(words), { code: 'SENDER_UNKNOWN_YET' });
  }
  if (verdict.kind === 'refused') return { dropped: `sender not verified: ${verdict.reason}` };
  const isVerified = config.senderAuth !== 'none';
  if (isVerified) {
    const misuse =
      replayReason({ date, arrivedAt: receivedAt }, config.dateToleranceMs) ??
      notForUs(message, config, verdict.hasLooseCc);
    if (misuse !== null) return { dropped: misuse };
  }
  // Only now: a stranger could claim somebody else's Message-ID beforehand.
  const { signatureIds } = verdict;
  const mail = { id: received.id, address: sender, messageId, bodyHash, signatureIds, isVerified };
  if (await queries.isRepeated(mail)) return { dropped: 'the same mail was taken before' };
  return { sender, signatureIds };
}

/** Waiting is all that helps. */
export const isSenderUnknownYet = (error: unknown): boolean =>
  (error as { code?: string }).code === 'SENDER_UNKNOWN_YET';

/** Whoever gets a signed mail can send it on to us, as it is: what was not written to us is nothing for us. */
function notForUs(
  { headers, addressees }: ParsedMessage,
  { botAddress, botAliases }: AdmitParts['config'],
  hasLooseCc: boolean,
): string | null {
  const own = [botAddress, ...botAliases];
  const all = hasLooseCc ? addressesIn(headers, ['to']) : addressees;
  const isOurs = all.some((address) => own.some((one) => isSameMailbox(address, one)));
  if (isOurs) return null;
  const where = hasLooseCc ? 'To has it not, and Cc is not signed' : 'neither To nor Cc has it';
  return `not written to ${botAddress}: ${where} (BOT_ALIASES may name others)`;
}
