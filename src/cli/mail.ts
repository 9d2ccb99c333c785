import { JSON_OPTION, usageError, type CliCommand, type Options } from './command.ts';
import { addressOf } from './user.ts';

const DEFAULT_WAIT_S = 300;
const LONGEST_WAIT_S = 86_400;

export const mailCommand: CliCommand = {
  usage: 'mail',
  summary: 'sends a mail to the bot as one of its users, and waits for the answer',
  options: {
    subject: { value: 'TEXT', short: 's', summary: 'its subject, as in "[my-react-app] Run the tests"' },
    body: { value: 'TEXT', short: 'b', summary: 'its body, the command; - reads it from standard input' },
    from: { value: 'ADDRESS', summary: 'who sends it (default: the only user there is)' },
    wait: {
      value: 'SECONDS',
      summary: `how long to wait for the answer (default: ${DEFAULT_WAIT_S}; 0: not at all)`,
    },
    ...JSON_OPTION,
  },
  notes:
    'On the embedded mail server every address has a mailbox. With a real one, set CLIENT_IMAP_URL and CLIENT_SMTP_URL\n' +
    "to the sender's mailbox. The exit code is 0 when an answer has come, whatever it says.\n\n" +
    'Example: threadbox mail --from john@example.com --subject "[my-react-app] Run the tests" --body "npm test"',
  async run(_, options) {
    const mail = mailOf(options);
    await (await import('./mail-run.ts')).writeMail(mail, options);
  },
};

export type WantedMail = { subject: string; body: string; from: string | null; waitMs: number };

/** @throws {CliError} */
function mailOf(options: Options): WantedMail {
  const subject = options['subject'] as string | undefined;
  const body = options['body'] as string | undefined;
  if (subject === undefined && body === undefined) {
    throw usageError('--subject or --body is missing: there is nothing to send. threadbox mail --help');
  }
  const wait = (options['wait'] as string | undefined) ?? String(DEFAULT_WAIT_S);
  if (!/^\d+(\.\d+)?$/.test(wait) || Number(wait) > LONGEST_WAIT_S) {
    throw usageError(`--wait: expected seconds, from 0 to ${LONGEST_WAIT_S}; got ${wait}`);
  }
  const from = options['from'] as string | undefined;
  return {
    subject: subject ?? '',
    body: body ?? '',
    from: from === undefined ? null : addressOf(from, '--from'),
    waitMs: Number(wait) * 1000,
  };
}
