import { plural } from './amounts.ts';
import { atMoment, momentInWords } from './moments.ts';
import { fine, quote, reply, words, type Tellers, type Told } from './notice-blocks.ts';
import { visibleLine } from './visible-text.ts';
import { workInWords } from './work-in-words.ts';

/** What is told without anybody having asked. */
export type UnaskedNotice =
  | {
      kind: 'idle-warning';
      repositoryName: string;
      threadId: string;
      goesAt: Date;
      minutesRemaining: number;
      /** `null`: could not be looked up. */
      filesModified: number | null;
      unpushedCommits: number;
      keptDays: number;
      now: Date;
    }
  | {
      kind: 'expiring';
      repositoryName: string;
      savedAt: Date;
      expiresAt: Date;
      filesModified: number;
      now: Date;
    }
  | {
      kind: 'save-failed';
      forWhom: 'owner' | 'admin';
      threadId: string;
      repositoryName: string;
      reason: string;
      retryAt: Date;
      now: Date;
    }
  | { kind: 'no-room'; limit: 'user' | 'host'; maximum: number };

export const UNASKED_TELLERS: Tellers<UnaskedNotice> = {
  'idle-warning': (notice) => {
    const { goesAt, minutesRemaining, filesModified, unpushedCommits, keptDays, now } = notice;
    const work = filesModified === null ? null : workInWords(filesModified, unpushedCommits);
    const saved =
      filesModified === null
        ? 'All your work in it is saved first.'
        : work === null
          ? 'Nothing in it is changed, and everything is pushed.'
          : `Your work is saved first: ${work}.`;
    return {
      title: `Your container goes ${atMoment(goesAt, now)}, in ${plural(minutesRemaining, 'minute')}`,
      blocks: [
        words(`Nothing has run in ${visibleLine(notice.repositoryName, 80)} for a while. ${saved}`),
        words('To keep the container, reply with this one word:'),
        reply('extend'),
        words('For two hours: extend 2h'),
        words(
          `Or do nothing. Nothing is lost: your next command, within ${plural(keptDays, 'day')}, finds everything as you left it.`,
        ),
        fine(`Thread ${visibleLine(notice.threadId)}`),
      ],
    };
  },
  expiring: ({ repositoryName, savedAt, expiresAt, filesModified, now }) => {
    const work = workInWords(filesModified, 0);
    return {
      title: `Your saved work in ${visibleLine(repositoryName, 80)} expires ${atMoment(expiresAt, now)}`,
      blocks: [
        words(
          `It is of ${momentInWords(savedAt, now)}${work === null ? '' : `: ${work}`}. To keep it for longer, reply with this one word:`,
        ),
        reply('keep'),
        words('Or with your next command, which goes on from there.'),
        words('If you need it no more, do nothing. A later command starts from the repository.'),
      ],
    };
  },
  'save-failed': (notice) => (notice.forWhom === 'owner' ? failedForOwner(notice) : failedForAdmin(notice)),
  'no-room': ({ limit, maximum }) => ({
    title: 'Your command is waiting for room',
    blocks: [
      words(
        `${limit === 'user' ? 'You' : 'This machine'} can have ${plural(maximum, 'container')} at the same time, and ${maximum === 1 ? 'it is' : 'all of them are'} at work.`,
      ),
      words('It is not lost. It runs by itself as soon as there is room; there is no need to send it again.'),
    ],
  }),
};

type SaveFailed = Extract<UnaskedNotice, { kind: 'save-failed' }>;

function failedForOwner({ threadId, repositoryName, reason, retryAt, now }: SaveFailed): Told {
  return {
    title: `Your work in ${visibleLine(repositoryName, 80)} could not be saved yet`,
    blocks: [
      words(
        `Nothing is lost: the container is stopped, not removed, with everything in it. Saving is tried again ${atMoment(retryAt, now)}. This is what stood in the way:`,
      ),
      quote(reason),
      words(
        'There is nothing you have to do. Whoever runs this Threadbox can help if it is about space or about Docker.',
      ),
      fine(`Thread ${visibleLine(threadId)}`),
    ],
  };
}

function failedForAdmin({ threadId, repositoryName, reason, retryAt, now }: SaveFailed): Told {
  return {
    title: `A save failed in ${visibleLine(repositoryName, 80)}`,
    blocks: [
      words(
        `The work of the thread ${visibleLine(threadId)} could not be saved. Its container is stopped and kept, and its owner has been told. This is the reason:`,
      ),
      quote(reason),
      words(
        `It is tried again ${atMoment(retryAt, now)}. Make sure that there is space on the disk and that Docker runs; the log of Threadbox tells more.`,
      ),
    ],
  };
}
