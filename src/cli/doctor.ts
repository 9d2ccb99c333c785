import { JSON_OPTION, usageError, type CliCommand } from './command.ts';

export const doctorCommand: CliCommand = {
  usage: 'doctor',
  summary: 'looks at your mailbox, and proposes how to verify who sent a mail',
  options: {
    mail: { summary: 'read the newest 50 mails of IMAP_URL; nothing is changed there, and nothing is run' },
    ...JSON_OPTION,
  },
  notes:
    'It works before SENDER_AUTH is set: that is the line it proposes for .env. docs/sender-verification.md explains it.\n\n' +
    'Example: threadbox doctor --mail',
  async run(_, options) {
    if (!options['mail']) throw usageError('doctor looks at one thing: threadbox doctor --mail');
    return (await import('./doctor-mail.ts')).examineMailbox({ asJson: options['json'] === true });
  },
};
