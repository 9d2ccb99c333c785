import { momentInWords } from '../mail/moments.ts';
import { visibleLine } from '../mail/visible-text.ts';
import { JSON_OPTION, type CliCommand } from './command.ts';
import { withDatabase } from './database.ts';
import { printJson } from './table.ts';

const pauseCommand: CliCommand = {
  usage: 'pause',
  summary: 'has nothing started any more: mail is still taken, what runs goes on',
  options: {
    reason: { value: 'TEXT', summary: 'told to whoever sends a command meanwhile' },
    ...JSON_OPTION,
  },
  notes:
    'In force at once, and until threadbox resume, also after a restart. Senders are told once that their commands wait.\n' +
    'Words like status and extend are answered as ever.\n\n' +
    'Example: threadbox pause --reason "The machine is moved; back at 15:00 UTC"',
  async run(_, options) {
    const reason = (options['reason'] as string | undefined) ?? '';
    const pause = await withDatabase(async (db) =>
      (await import('../store/pause.ts')).startPause(db, reason),
    );
    if (options['json']) printJson({ paused: true, ...pause });
    else {
      console.log(`Paused since ${momentInWords(pause.since, new Date())}: no command is started.`);
      console.log('Those that come wait in their order. To go on: threadbox resume');
    }
  },
};

const resumeCommand: CliCommand = {
  usage: 'resume',
  summary: 'ends a pause: all commands that wait are run, in their order',
  options: JSON_OPTION,
  async run(_, options) {
    const { pause, waitingCommands: waiting } = await withDatabase(async (db) =>
      (await import('../store/pause.ts')).endPause(db),
    );
    if (options['json']) printJson({ paused: false, since: pause?.since ?? null, waiting });
    else if (pause === null) console.log('Threadbox was not paused.');
    else {
      const reason = pause.reason === '' ? '' : ` (${visibleLine(pause.reason, 200)})`;
      console.log(`The pause since ${momentInWords(pause.since, new Date())}${reason} is over.`);
      console.log(waiting === 0 ? 'No command waits.' : `Commands that wait and start now: ${waiting}`);
    }
  },
};

export const pauseCommands: readonly CliCommand[] = [pauseCommand, resumeCommand];
