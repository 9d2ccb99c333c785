import { momentInWords } from '../mail/moments.ts';
import type { InboxMessage } from '../store/inbox.ts';
import { JSON_OPTION, usageError, type CliCommand } from './command.ts';
import { withDatabase } from './database.ts';
import { printList } from './table.ts';

const LIMIT = 20;
const MOST = 10_000;

export const inboxCommand: CliCommand = {
  usage: 'inbox',
  summary: 'shows the newest mail, and what became of each',
  options: {
    refused: { summary: 'only mail of which nothing was run or answered, with the reason' },
    limit: { value: 'NUMBER', summary: `how many, the newest first (${LIMIT})` },
    ...JSON_OPTION,
  },
  notes: 'Example: threadbox inbox --refused --limit 50',
  async run(_, options) {
    const limit = readLimit(options['limit'] as string | undefined);
    const isRefused = options['refused'] === true;
    const messages = await withDatabase(
      async (db) => (await import('../store/inbox.ts')).listInbox(db, { limit, isRefused }),
      { ifNew: [] },
    );
    const now = new Date();
    printList(messages, {
      asJson: options['json'] === true,
      heading: ['received', 'sender', 'subject', 'outcome', 'reason', 'thread'],
      row: (message: InboxMessage) => [
        momentInWords(message.receivedAt, now),
        message.address ?? '',
        (message.subject ?? '').slice(0, 60),
        message.outcome ?? 'waiting',
        reasonOf(message),
        message.threadId ?? '',
      ],
      empty: isRefused ? 'No mail was refused.' : 'No mail has come yet. To send one: threadbox mail --help',
    });
  },
};

function reasonOf({ outcome, reason, commandState, exitCode }: InboxMessage): string {
  if (outcome !== 'command') return reason ?? '';
  return exitCode === null ? (commandState ?? '') : `${commandState}, exit code ${exitCode}`;
}

/** @throws {CliError} */
function readLimit(written: string | undefined): number {
  if (written === undefined) return LIMIT;
  const limit = Number(written);
  if (/^\d+$/.test(written) && limit >= 1 && limit <= MOST) return limit;
  throw usageError(`--limit: expected a whole number from 1 to ${MOST}, got ${written}`);
}
