import { plural } from '../mail/amounts.ts';
import { JSON_OPTION, type CliCommand } from './command.ts';
import { printJson } from './table.ts';

const backupCommand: CliCommand = {
  usage: 'backup FILE',
  summary: 'writes the database, saved states and settings into one file, while the bot runs',
  options: JSON_OPTION,
  notes:
    'FILE: a tar.gz that only its owner can read, as there are secrets in it: .env, the tokens of repositories, all mail.\n' +
    'Not in it: what variables of the environment say, the mailboxes of the embedded mail server, the images of Docker, and\n' +
    'work that no command has saved yet.\n\n' +
    'Example: threadbox backup /backups/threadbox-$(date +%F).tar.gz',
  async run([file = ''], options) {
    const { writeBackup } = await import('./backup-write.ts');
    const done = await writeBackup(file);
    if (options['json']) printJson(done);
    else {
      const settings = done.hasSettings ? '.env' : 'no .env (there is none in this directory)';
      console.log(
        `Wrote ${done.file}: ${plural(done.rows, 'row')}, ${plural(done.savedThreads, 'thread')} with saved work, ${settings}.\n` +
          'There are secrets in it: keep it where nobody else reads it. threadbox restore FILE puts it back.',
      );
    }
  },
};

const restoreCommand: CliCommand = {
  usage: 'restore FILE',
  summary: 'puts a backup into an empty installation',
  options: JSON_OPTION,
  notes:
    'The installation is the one of DATA_DIR and DATABASE_URL, as they are set now; it must be empty, and no bot run on it.\n' +
    'Afterwards it is paused: see docs/operations.md for what to look at before threadbox resume.\n\n' +
    'Example: DATA_DIR=/var/lib/threadbox threadbox restore threadbox-2026-11-23.tar.gz',
  async run([file = ''], options) {
    const { restoreBackup } = await import('./backup-restore.ts');
    const done = await restoreBackup(file);
    if (options['json']) {
      printJson(done);
      return;
    }
    const { madeAt, rows, savedThreads, openCommands, settings } = done;
    const lines = [
      `Restored the backup of ${madeAt}: ${plural(rows, 'row')}, ${plural(savedThreads, 'thread')} with saved work.`,
      ...(settings === null
        ? []
        : [`Its settings are in ${settings}: take over to .env what holds here, and delete it.`]),
      ...(openCommands === 0
        ? []
        : [
            `${plural(openCommands, 'command')} waited or ran then, and may have been run since: threadbox sql "SELECT * FROM commands WHERE state IN ('queued', 'running')"`,
          ]),
      'It is paused, so that nothing is run twice unseen: start the bot, look, and then: threadbox resume',
    ];
    console.log(lines.join('\n'));
  },
};

export const backupCommands: readonly CliCommand[] = [backupCommand, restoreCommand];
