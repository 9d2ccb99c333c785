import { momentInWords } from '../mail/moments.ts';
import { visibleLine } from '../mail/visible-text.ts';
import type { ListedMail } from '../store/undelivered.ts';
import { JSON_OPTION, type CliCommand } from './command.ts';
import { withDatabase } from './database.ts';
import { printList } from './table.ts';

const MOST_LISTED = 100;

/** What became of the mails that the bot wrote. */
export const outboxCommand: CliCommand = {
  usage: 'outbox',
  summary: 'lists the newest mails of the bot, and what became of them',
  options: { failed: { summary: 'only those that did not arrive' }, ...JSON_OPTION },
  notes:
    'waiting: tried until the mail server takes it. failed: refused for good, or put off for two days.\n' +
    'bounced: taken by the mail server, and sent back by another one.',
  async run(_, options) {
    const now = new Date();
    const isFailed = options['failed'] === true;
    const mails = await withDatabase(
      async (db) =>
        (await import('../store/undelivered.ts')).listOutbox(db, { isFailed, limit: MOST_LISTED }),
      { ifNew: [] },
    );
    printList(mails, {
      asJson: options['json'] === true,
      heading: ['id', 'written', 'to', 'subject', 'state', 'tries', 'code', 'reason'],
      row: (mail: ListedMail) => [
        String(mail.id),
        momentInWords(mail.createdAt, now),
        mail.to,
        visibleLine(mail.subject, 40),
        mail.state,
        String(mail.attempts),
        mail.statusCode ?? '',
        reasonOf(mail),
      ],
      empty: isFailed ? 'No mail has failed.' : 'No mail has been written yet.',
    });
  },
};

function reasonOf({ error, replacedBy }: ListedMail): string {
  const words = visibleLine(error ?? '', 120);
  return replacedBy === null ? words : `sent again without its attachment as ${replacedBy}; ${words}`;
}
