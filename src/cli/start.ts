import type { CliCommand } from './command.ts';

export const startCommand: CliCommand = {
  usage: 'start',
  summary: 'runs the bot until Ctrl-C or SIGTERM',
  options: {
    'take-mailbox': {
      summary: 'read the mailbox though another installation has claimed it: that one is gone for good',
    },
  },
  notes:
    'All settings are checked first; every fault is told at once. What is not set falls back to an embedded part.\n' +
    'Running commands go on in their containers when the bot stops, and are answered after its next start.\n' +
    'On a terminal the log is for people; elsewhere it is one JSON line for each event.',
  run: async (_, options) => (await import('./start-run.ts')).runBot(options['take-mailbox'] === true),
};
