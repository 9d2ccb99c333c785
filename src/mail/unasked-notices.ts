import { plural, sizeInWords } from './amounts.ts';
import { repositoryMissing, type MissingNotice } from './missing-notice.ts';
import { stillRunning, type StillRunningNotice } from './long-notice.ts';
import { atMoment, momentInWords } from './moments.ts';
import { fine, quote, reply, words, type Tellers, type Told } from './notice-blocks.ts';
import { visibleLine } from './visible-text.ts';
import { leftOutBlocks, workInWords } from './work-in-words.ts';

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
      /** What is too large to be saved. */
      leftOut: readonly string[];
      keptDays: number;
      /** By an admin, since its last command: no mail about it is taken until it is added again. */
      isRepositoryRemoved: boolean;
      now: Date;
    }
  | {
      kind: 'expiring';
      repositoryName: string;
      /** It was put aside by `fresh` or `restore`. */
      isAside: boolean;
      savedAt: Date;
      expiresAt: Date;
      filesModified: number;
      /** As above. */
      isRepositoryRemoved: boolean;
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
  | MissingNotice
  | StillRunningNotice
  | { kind: 'lost'; repositoryName: string; savedAt: Date | null; now: Date }
  | {
      kind: 'operator-removed';
      repositoryName: string;
      savedAt: Date | null;
      expiresAt: Date;
      leftOut: readonly string[];
      now: Date;
    }
  | { kind: 'no-room'; limit: 'user' | 'host'; maximum: number }
  /** For admins. */
  | { kind: 'disk-short'; dir: string; freeBytes: number; leastBytes: number };

export const UNASKED_TELLERS: Tellers<UnaskedNotice> = {
  'disk-short': ({ dir, freeBytes, leastBytes }) => ({
    title: 'Commands wait, as the disk of workspaces is nearly full',
    blocks: [
      words(`Below this directory ${sizeInWords(freeBytes)} are left:`),
      quote(dir),
      words(
        `Workspaces are disk images there, which may hold more together than that. What they write beyond it is lost, so no command is started below ${sizeInWords(leastBytes)}. Those that run go on.`,
      ),
      words(
        'Make room on that disk, or make it larger: the commands run by themselves then. "stop" in a thread saves its work and gives its container up; npx threadbox doctor shows what is left.',
      ),
    ],
  }),
  'idle-warning': (notice) => {
    const { goesAt, minutesRemaining, filesModified, unpushedCommits, leftOut, keptDays, now } = notice;
    const work = filesModified === null ? null : workInWords(filesModified, unpushedCommits);
    const saved =
      filesModified === null
        ? 'All your work in it is saved first.'
        : work === null
          ? 'Nothing in it is changed, and everything is pushed.'
          : `Your work is saved first: ${work}.`;
    const name = visibleLine(notice.repositoryName, 80);
    const title = `Your container goes ${atMoment(goesAt, now)}, in ${plural(minutesRemaining, 'minute')}`;
    const kept = leftOutBlocks(leftOut, 'the workspace itself, which is kept while there is space for it');
    if (notice.isRepositoryRemoved) {
      return {
        title,
        blocks: [
          words(
            `An admin has removed ${name} from Threadbox, so nothing can run in it, nor can it be kept. ${saved}`,
          ),
          ...kept,
          words(
            `It stays for ${plural(keptDays, 'day')}. If ${name} is added again within that time, your next command goes on from there; an admin can also get the work out for you.`,
          ),
          fine(`Thread ${visibleLine(notice.threadId)}`),
        ],
      };
    }
    return {
      title,
      blocks: [
        words(`Nothing has run in ${name} for a while. ${saved}`),
        words('To keep the container, reply with this one word:'),
        reply('extend'),
        words('For two hours: extend 2h'),
        ...kept,
        words(
          `Or do nothing. ${leftOut.length === 0 ? 'Nothing is lost: your' : 'Your'} next command, within ${plural(keptDays, 'day')}, finds ${leftOut.length === 0 ? 'all your files' : 'the rest'} again. Programs that still run in the background are ended.`,
        ),
        fine(`Thread ${visibleLine(notice.threadId)}`),
      ],
    };
  },
  expiring: ({ repositoryName, isAside, savedAt, expiresAt, filesModified, isRepositoryRemoved, now }) => {
    const work = workInWords(filesModified, 0);
    const name = visibleLine(repositoryName, 80);
    const title = `${isAside ? 'The work you put aside' : 'Your saved work'} in ${name} expires ${atMoment(expiresAt, now)}`;
    const whatItIs = `It is of ${momentInWords(savedAt, now)}${work === null ? '' : `: ${work}`}.`;
    if (isRepositoryRemoved) {
      return {
        title,
        blocks: [
          words(`${whatItIs} An admin has removed ${name} from Threadbox, so it cannot be kept by a reply.`),
          words(
            'If you still need it, ask an admin before then to add the repository again, or to get the work out.',
          ),
        ],
      };
    }
    return {
      title,
      blocks: [
        words(`${whatItIs} To keep it for longer, reply with this one word:`),
        reply('keep'),
        ...(isAside
          ? [
              words('To go on from there instead:'),
              reply('restore'),
              words('If you need it no more, do nothing.'),
            ]
          : [
              words('Or with your next command, which goes on from there.'),
              words('If you need it no more, do nothing. A later command starts from the repository.'),
            ]),
      ],
    };
  },
  'save-failed': (notice) => (notice.forWhom === 'owner' ? failedForOwner(notice) : failedForAdmin(notice)),
  'repository-missing': repositoryMissing,
  'still-running': stillRunning,
  lost: ({ repositoryName, savedAt, now }) => ({
    title: `The container and the workspace of ${visibleLine(repositoryName, 80)} were gone`,
    blocks: [
      words(
        savedAt === null
          ? 'Somebody has removed them, or the machine was lost. Nothing had been changed since the repository was fetched, or it had not been saved yet. Your next command starts from the repository.'
          : `Somebody has removed them, or the machine was lost. Your work of ${momentInWords(savedAt, now)} is saved, and comes back with your next command; what happened after that is gone.`,
      ),
    ],
  }),
  'operator-removed': ({ repositoryName, savedAt, expiresAt, leftOut, now }) => ({
    title: `An operator has removed the container of ${visibleLine(repositoryName, 80)}`,
    blocks: [
      ...(savedAt === null ? [] : [words(`Your work of ${momentInWords(savedAt, now)} is saved.`)]),
      ...leftOutBlocks(leftOut, 'the workspace itself, which is kept while there is space for it'),
      words(
        savedAt === null
          ? 'Nothing was changed in it. Your next command gets a new one.'
          : `Your next command, until ${momentInWords(expiresAt, now)}, gets a new container and finds ${leftOut.length === 0 ? 'everything' : 'the rest'} as you left it.`,
      ),
    ],
  }),
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
        `Nothing is lost: the container is kept, with everything in it. Saving is tried again ${atMoment(retryAt, now)}. This is what stood in the way:`,
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
        `The work of the thread ${visibleLine(threadId)} could not be saved. Its container is kept, and its owner has been told. This is the reason:`,
      ),
      quote(reason),
      words(
        `It is tried again ${atMoment(retryAt, now)}. Make sure that there is space on the disk and that Docker runs; the log of Threadbox tells more.`,
      ),
    ],
  };
}
