import { durationInWords, plural } from './amounts.ts';
import { cancelled, type CancelledNotice } from './cancel-notice.ts';
import { atMoment, momentInWords } from './moments.ts';
import { example, list, quote, reply, words, type Tellers, type Told } from './notice-blocks.ts';
import { visibleLine, visibleText } from './visible-text.ts';
import { leftOutBlocks, shortHash, workInWords } from './work-in-words.ts';

/** What is answered to a control word that did something, or could not. */
export type ControlNotice =
  | {
      kind: 'extended';
      until: Date;
      isCapped: boolean;
      capHours: number;
      wasRestored: { savedAt: Date } | null;
      now: Date;
    }
  | {
      kind: 'saved';
      savedAt: Date;
      filesModified: number;
      unpushedCommits: number;
      commit: string | null;
      leftOut: readonly string[];
      now: Date;
    }
  | {
      kind: 'stopped';
      savedAt: Date;
      expiresAt: Date;
      filesModified: number;
      hasCommitted: boolean;
      commit: string | null;
      leftOut: readonly string[];
      now: Date;
    }
  | { kind: 'fresh'; savedAt: Date | null; now: Date; keptDays?: number }
  | { kind: 'restored'; savedAt: Date; filesRestored: number; isSwapped: boolean; now: Date }
  | { kind: 'would-lose'; word: string; leftOut: readonly string[] }
  | { kind: 'at-limit'; until: Date; capHours: number; now: Date }
  | { kind: 'not-done'; word: string; reason: string; isUnderWay: boolean }
  | { kind: 'help'; repositoryName: string | null; idleMinutes: number }
  | { kind: 'keep'; expiresAt: Date; now: Date }
  | { kind: 'later'; word: string; ahead: number }
  | CancelledNotice
  | { kind: 'operator-removes'; word: string; repositoryName: string }
  | { kind: 'nothing-there'; word: string; repositoryName: string }
  | { kind: 'not-understood'; fault: string };

const NEXT = 'Reply with your next command.';

export const CONTROL_TELLERS: Tellers<ControlNotice> = {
  extended: ({ until, isCapped, capHours, wasRestored, now }) => ({
    title: `${wasRestored ? 'Restored, and kept' : 'Kept'} until ${momentInWords(until, now)}`,
    blocks: [
      ...(wasRestored
        ? [
            words(
              `The container had gone already. A new one has your work of ${momentInWords(wasRestored.savedAt, now)}.`,
            ),
          ]
        : []),
      ...(isCapped
        ? [words(`Longer is not possible: ${durationInWords(capHours * 3_600_000)} after the last command.`)]
        : []),
      words('Reply with your next command; it starts the time anew.'),
    ],
  }),
  saved,
  stopped,
  fresh: ({ savedAt, now, keptDays = 7 }) => ({
    title: 'Your next command starts from the repository',
    blocks:
      savedAt === null
        ? [words('There was nothing to be put aside.')]
        : [
            words(
              `What you had ${atMoment(savedAt, now)} is put aside for ${plural(keptDays, 'day')}. To have it back, reply with this one word:`,
            ),
            reply('restore'),
          ],
  }),
  restored: ({ savedAt, filesRestored, isSwapped, now }) => ({
    // What was saved as a commit changes no file beside it.
    title: `Your work of ${momentInWords(savedAt, now)} is back${filesRestored === 0 ? '' : `: ${plural(filesRestored, 'file')}`}`,
    blocks: isSwapped
      ? [
          words('What was there until now is put aside in its place. To swap the two again, reply with:'),
          reply('restore'),
          words('Or reply with your next command, which goes on from here.'),
        ]
      : [words('Reply with your next command, which goes on from here.')],
  }),
  'would-lose': ({ word, leftOut }) => ({
    title: 'Something would be lost: is that meant?',
    blocks: [
      words('Nothing was done yet. This cannot be saved, and would be gone with the workspace:'),
      list(leftOut, 200),
      words('To go on all the same, reply with this one word:'),
      reply(visibleLine(word, 20)),
      words('Or reply with a command that brings it somewhere else first.'),
    ],
  }),
  'at-limit': ({ until, capHours, now }) => ({
    title: `It stays until ${momentInWords(until, now)}, and cannot be kept longer`,
    blocks: [
      words(
        `A container is kept for ${durationInWords(capHours * 3_600_000)} after the last command at the most. Your work is saved when it goes, and comes back with your next command; any command starts the time anew.`,
      ),
    ],
  }),
  'not-done': ({ word, reason, isUnderWay }) => ({
    title: `"${visibleLine(word, 20)}" could not be done${isUnderWay ? ' to its end' : ''}`,
    blocks: [
      words('Nothing is lost. This is what stood in the way:'),
      quote(visibleText(reason.slice(0, 500)).trim()),
      words(
        isUnderWay
          ? 'It is finished by itself as soon as it can be; there is no need to send the word again. Your next command goes on from there.'
          : 'Everything is as it was. Try again later; if it stays like this, ask whoever runs this Threadbox.',
      ),
    ],
  }),
  help,
  keep: ({ expiresAt, now }) => ({
    title: `Kept until ${momentInWords(expiresAt, now)}`,
    blocks: [words('Until then, your next command finds everything as you left it.')],
  }),
  later: ({ word, ahead }) => ({
    title: `Understood: ${visibleLine(word, 20)}, as soon as it can be done`,
    blocks: [
      words(
        ahead > 1
          ? `${plural(ahead, 'command')} of this thread come first.`
          : 'A command of this thread comes first.',
      ),
      words('Another mail tells you when it is done.'),
    ],
  }),
  cancelled,
  'operator-removes': ({ word, repositoryName }) => ({
    title: `An operator is removing the container of ${visibleLine(repositoryName, 80)}`,
    blocks: [
      words(
        `So "${visibleLine(word, 20)}" was not done. Your work is saved before the container goes. Your next command brings all of it back, in a new one.`,
      ),
    ],
  }),
  'nothing-there': nothingThere,
  'not-understood': ({ fault }) => ({
    title: 'This was not understood',
    blocks: [words('Nothing was done, and nothing was run.'), words(visibleLine(fault, 500))],
  }),
};

function saved(notice: Extract<ControlNotice, { kind: 'saved' }>): Told {
  const { savedAt, filesModified, unpushedCommits, commit, leftOut, now } = notice;
  const work = workInWords(filesModified, unpushedCommits);
  const head = commit === null ? '' : ` HEAD is ${shortHash(commit)}.`;
  return {
    title: work === null ? 'Saved; nothing is changed, everything is pushed' : `Saved: ${work}`,
    blocks: [
      words(
        `This is the state of ${momentInWords(savedAt, now)}, kept outside of the container. The workspace stays as it is.${head}`,
      ),
      ...leftOutBlocks(leftOut, 'the container'),
      words(NEXT),
    ],
  };
}

function stopped(notice: Extract<ControlNotice, { kind: 'stopped' }>): Told {
  const { savedAt, expiresAt, filesModified, hasCommitted, commit, leftOut, now } = notice;
  const where = hasCommitted && commit !== null ? `, in the commit ${shortHash(commit)}` : '';
  const work =
    filesModified === 0
      ? 'No files were changed since the last commit.'
      : `${plural(filesModified, 'changed file')} ${filesModified === 1 ? 'is' : 'are'} kept${where}.`;
  return {
    title: 'Stopped, and your work is saved',
    blocks: [
      words(`${work} This is the state of ${momentInWords(savedAt, now)}; the container is removed.`),
      ...leftOutBlocks(leftOut, 'the workspace itself, which is kept while there is space for it'),
      words(
        `Your next command, until ${momentInWords(expiresAt, now)}, gets a new container and finds ${leftOut.length === 0 ? 'everything' : 'the rest'} as you left it.`,
      ),
    ],
  };
}

function help({ repositoryName, idleMinutes }: Extract<ControlNotice, { kind: 'help' }>): Told {
  const minutes = plural(idleMinutes, 'minute');
  return {
    title: 'What you can mail to Threadbox',
    blocks: [
      words('A command, or a script of several lines. It runs in your own container, which stays as it was:'),
      example(repositoryName ?? 'my-app', 'git pull\nnpm test'),
      words('Or one of these words, alone in a reply:'),
      {
        kind: 'facts',
        isCode: true,
        rows: [
          { label: 'status', value: 'what runs, what waits, and how much time is left' },
          { label: 'cancel', value: 'end the command that runs; cancel all: those that wait, too' },
          { label: 'diff', value: 'what is changed, with a patch' },
          { label: 'log', value: 'the last commands' },
          { label: 'extend', value: `keep the container for ${minutes} from now; extend 2h for two hours` },
          { label: 'save', value: 'save everything now' },
          { label: 'stop', value: 'save everything and remove the container now' },
          { label: 'fresh', value: 'save, then start over from the repository' },
          { label: 'restore', value: 'have back what fresh has put aside' },
          { label: 'keep', value: 'keep saved work longer' },
          { label: 'apply', value: 'apply the patches attached to that mail' },
          { label: 'help', value: 'this mail' },
        ],
      },
      words(
        'Files attached to a command are in $THREADBOX_INBOX while it runs; what it puts into $THREADBOX_OUTBOX comes back attached to its answer.',
      ),
      words(
        `After ${minutes} without a command the container is saved and removed; a mail warns you before. Your next command brings everything back.`,
      ),
    ],
  };
}

const MISSING: Readonly<Record<string, string>> = {
  restore: 'Nothing is put aside for',
  keep: 'No saved work is about to expire for',
};

function nothingThere({ word, repositoryName }: Extract<ControlNotice, { kind: 'nothing-there' }>): Told {
  const name = visibleLine(repositoryName, 80);
  const title = MISSING[word] ?? 'There is no container now for';
  const next =
    word === 'keep'
      ? 'Saved work is kept by itself for as long as its container is there, and for days after.'
      : 'Your next command starts one.';
  return {
    title: `${title} ${name}`,
    blocks: [
      words(
        `So there was nothing to be done for "${visibleLine(word, 20)}". ${word === 'restore' ? NEXT : next}`,
      ),
    ],
  };
}
