import { renderNotice } from '../mail/notices.ts';
import { messageToAnswer } from '../store/messages.ts';
import { markTold, owedToOne, type OwedMail } from '../store/owed-notices.ts';
import { answerMessage } from './answer-message.ts';
import type { SettleParts } from './settle.ts';

/** More of one sender get another mail. */
const MOST_AT_ONCE = 500;

export type OwingParts = SettleParts & {
  config: { maxMailAgeMs: number };
  wakeOutbox: () => void;
};

/**
 * Tells each sender of mails that were too old to be run: one mail for all of them, in the conversation of the newest.
 * Called when no message is left to be taken, so that none comes after it.
 */
export async function tellOwedNotices(parts: OwingParts): Promise<void> {
  for (;;) {
    const mails = await owedToOne(parts.db, 'too-old', MOST_AT_ONCE);
    const newest = mails.at(-1);
    if (!newest) return;
    await tellTooOld(parts, mails, newest);
  }
}

async function tellTooOld(
  { db, config, now, log, wakeOutbox }: OwingParts,
  mails: readonly OwedMail[],
  newest: OwedMail,
): Promise<void> {
  const message = await messageToAnswer(db, newest.id);
  const { maxMailAgeMs } = config;
  const content = renderNotice({ kind: 'too-old', mails, maxMailAgeMs, now: now() });
  await db.transaction(async (transaction) => {
    await markTold(
      transaction,
      mails.map(({ id }) => id),
    );
    await answerMessage(transaction, config, message, content, null, now());
  });
  wakeOutbox();
  log.info({ messages: mails.length }, 'a sender was told of mail that was too old to be run');
}
