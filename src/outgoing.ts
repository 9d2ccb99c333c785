import type { Log } from './log.ts';
import type { Accounts } from './mail-accounts.ts';
import { readBounce } from './mail/bounce.ts';
import { newMessageId } from './mail/compose.ts';
import { startSentCopies } from './mail/inbox/sent-copies.ts';
import { lighterMail } from './mail/lighter.ts';
import { startOutboxSender } from './mail/outbox-sender.ts';
import type { Refusal } from './mail/refusal.ts';
import { connectSmtp, type TransportLimits } from './mail/transport.ts';
import type { Db } from './store/database.ts';
import type { MailboxLock } from './store/mailbox-lock.ts';
import { dueMails, markForRetry, markSent } from './store/outbox.ts';
import { copyBegun, copyFiled, copyLeft, dueCopies } from './store/sent-copies.ts';
import { mailOfOurs, recordFailure, type Failure, type SentMail } from './store/undelivered.ts';

export type OutgoingParts = {
  db: Db;
  /** Not held: another bot works on the database. */
  lock: Pick<MailboxLock, 'isHeld'>;
  accounts: Accounts;
  botAddress: string;
  mailbox: string;
  /** Copies of what was sent are put into the Sent mailbox. */
  makesCopies: boolean;
  log: Log;
  smtpLimits: TransportLimits | undefined;
  /** The server has answered, or (with why) has not. */
  onServer: (error: Error | null) => void;
};

export type Outgoing = {
  /** There is a new mail: send it now. */
  wake: () => void;
  /** Takes note of a mail that says that one of ours did not arrive; of any other, nothing. */
  noteBounce: (raw: Buffer) => Promise<void>;
  close: () => Promise<void>;
};

/** Sends what lies in the outbox, and follows what becomes of it. */
export function startOutgoing(parts: OutgoingParts): Outgoing {
  const { db, lock, accounts, log, makesCopies } = parts;
  const copies = makesCopies
    ? startSentCopies({
        ...accounts.imap,
        mailbox: parts.mailbox,
        due: async (limit) => (lock.isHeld() ? dueCopies(db, limit) : []),
        begun: (id) => copyBegun(db, id),
        filed: (id) => copyFiled(db, id),
        left: (id) => copyLeft(db, id),
        log,
      })
    : null;
  const outbox = startOutboxSender({
    transport: connectSmtp(accounts.smtp.server, accounts.smtp.password, parts.smtpLimits),
    due: async (limit) => (lock.isHeld() ? dueMails(db, limit) : []),
    sent: async (id) => {
      await markSent(db, id, { makesCopy: makesCopies });
      copies?.wake();
    },
    retryLater: (id, error, afterMs) => markForRetry(db, id, error, afterMs),
    failed: async (mail, refusal) => {
      await giveUp(parts, mail, 'failed', refusal);
      outbox.wake();
    },
    onServer: parts.onServer,
    log,
  });
  return {
    wake: () => outbox.wake(),
    async noteBounce(raw) {
      const bounce = readBounce(raw);
      const mail = bounce && (await mailOfOurs(db, bounce));
      if (!mail) return;
      await giveUp(parts, mail, 'bounced', bounce);
      outbox.wake();
    },
    async close() {
      await Promise.all([outbox.close(), copies?.close()]);
    },
  };
}

/**
 * A mail has not arrived and will not. What was too large with its attachment goes out again without it: a mail of its
 * own, under a Message-ID of its own (RFC 5322, 3.6.4: one for each version), stored with the end of the first.
 */
async function giveUp(
  { db, botAddress, log }: OutgoingParts,
  mail: SentMail,
  state: Failure['state'],
  { error, statusCode, isTooLarge }: Refusal,
): Promise<void> {
  const messageId = newMessageId(botAddress);
  const raw = isTooLarge ? await lighterMail(mail.raw, messageId) : null;
  // PostgreSQL takes no NUL, and a bounce may say anything.
  const failure = { state, statusCode, error: error.replaceAll('\0', '').slice(0, 1_000) };
  if (!(await recordFailure(db, mail.id, failure, raw && { raw, messageId }))) return;
  const facts = { outbox: mail.id, statusCode, reason: failure.error };
  if (raw) log.warn(facts, 'a mail was too large; it is sent again without its attachment');
  else if (state === 'bounced') log.error(facts, 'a mail has come back: it could not be delivered');
  else log.error(facts, 'a mail is given up');
}
