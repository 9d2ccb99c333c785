import { JSON_OPTION, type CliCommand } from './command.ts';

export const doctorCommand: CliCommand = {
  usage: 'doctor',
  summary:
    'looks at every part and setting, and tells what to do; with --mail, how to verify who sent a mail',
  options: {
    mail: {
      summary: 'read the newest 50 mails of IMAP_URL, and propose SENDER_AUTH; nothing else is looked at',
    },
    ...JSON_OPTION,
  },
  notes:
    'Nothing is changed, nothing is run and no mail is sent. Exit code 0: all works; 1: something does not.\n' +
    '--mail works before SENDER_AUTH is set: that is the line it proposes. docs/sender-verification.md explains it.\n\n' +
    'Example: threadbox doctor\n' +
    'Example: threadbox doctor --mail',
  async run(_, options) {
    const how = { asJson: options['json'] === true };
    if (options['mail']) return (await import('./doctor-mail.ts')).examineMailbox(how);
    return (await import('./doctor-all.ts')).examineAll(how);
  },
};
