import type { Log } from './log.ts';
import type { Accounts } from './mail-accounts.ts';
import { startOutboxSender, type OutboxSender } from './mail/outbox-sender.ts';
import { connectSmtp, type TransportLimits } from './mail/transport.ts';
import type { Db } from './store/database.ts';
import type { MailboxLock } from './store/mailbox-lock.ts';
import { dueMails, markFailed, markForRetry, markSent } from './store/outbox.ts';

export type OutgoingParts = {
  db: Db;
  lock: MailboxLock;
  accounts: Accounts;
  log: Log;
  now: () => Date;
  smtpLimits: TransportLimits | undefined;
};

/** Sends what lies in the outbox. */
export function startOutgoing({ db, lock, accounts, log, now, smtpLimits }: OutgoingParts): OutboxSender {
  return startOutboxSender({
    transport: connectSmtp(accounts.smtp.server, accounts.smtp.password, smtpLimits),
    due: async (limit) => (lock.isHeld() ? dueMails(db, limit) : []),
    sent: (id) => markSent(db, id),
    retryLater: (id, error, at) => markForRetry(db, id, error, at),
    failed: (id, error) => markFailed(db, id, error),
    now,
    log,
  });
}
