import { plural } from './amounts.ts';
import { atMoment, momentInWords } from './moments.ts';
import { example, fine, reply, words, type Told } from './notice-blocks.ts';
import { visibleLine } from './visible-text.ts';

/** A command has moved the repository's directory away, or removed it: nothing of it can be saved. */
export type MissingNotice = {
  kind: 'repository-missing';
  repositoryName: string;
  threadId: string;
  /** null: the container was stopped just now. */
  warning: { goesAt: Date; minutesRemaining: number } | null;
  /** Of the last save, which stands; null without any. */
  savedAt: Date | null;
  now: Date;
};

export function repositoryMissing({ repositoryName, threadId, warning, savedAt, now }: MissingNotice): Told {
  const name = visibleLine(repositoryName, 80);
  const which = warning ? 'first command after that' : 'next command';
  const back =
    savedAt === null
      ? `Your ${which} starts from the repository, in its place.`
      : `Your ${which} brings back your work of ${momentInWords(savedAt, now)} in its place; what happened after that is not in it.`;
  const stays = `${back} Everything else in /workspace stays as it is, also what you may have moved there.`;
  const gone = `/workspace/${name} is not there any more: a command has moved it, or removed it. So nothing of it can be saved.`;
  return {
    title: warning
      ? `Your container is stopped ${atMoment(warning.goesAt, now)}, in ${plural(warning.minutesRemaining, 'minute')}`
      : `The directory of ${name} has gone from its workspace`,
    blocks: warning
      ? [
          words(
            `Nothing has run in ${name} for a while. ${gone} The container is kept then, with everything in it.`,
          ),
          words(
            `To have it saved, move it back to /workspace/${name}. To look where it is, reply for example with:`,
          ),
          example(repositoryName, 'ls -la /workspace'),
          words('To keep the container running, reply with this one word:'),
          reply('extend'),
          words(`Or do nothing. ${stays}`),
          fine(`Thread ${visibleLine(threadId)}`),
        ]
      : [
          words(`${gone} The container is stopped, and kept with everything in it.`),
          words(stays),
          words('To look what is there, reply for example with:'),
          example(repositoryName, 'ls -la /workspace'),
          fine(`Thread ${visibleLine(threadId)}`),
        ],
  };
}
