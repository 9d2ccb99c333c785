import { plural } from './amounts.ts';
import { firstLine, list, quote, reply, words, type Block, type Told } from './notice-blocks.ts';
import { visibleLine } from './visible-text.ts';

/** Scripts: what is being ended, what will not run, and what still will; and control words still to be done. */
export type CancelledNotice = {
  kind: 'cancelled';
  running: string | null;
  /** It was cancelled before, and is being ended. */
  isRepeated: boolean;
  dropped: readonly string[];
  waiting: readonly string[];
  controls: readonly string[];
};

/** What is answered to `cancel`, at once; the command that is ended has an answer of its own. */
export function cancelled(notice: CancelledNotice): Told {
  const { running, isRepeated, dropped, waiting, controls } = notice;
  return {
    title: titleOf(notice),
    blocks: [
      ...(running === null
        ? []
        : [
            words(
              `${isRepeated ? 'It is being ended since your first word on it. ' : ''}Its answer follows within seconds, with what it has written so far. Should it come to its own end first, that answer says so.`,
            ),
            quote(`$ ${firstLine(running)}`),
          ]),
      ...(dropped.length === 0
        ? []
        : [
            words(`${dropped.length === 1 ? 'This one' : 'These'} waited and will not run:`),
            list(dropped.map(firstLine), 120),
          ]),
      ...waitingBlocks(waiting),
      ...(controls.length === 0
        ? []
        : [words(`Still to be done: ${controls.map((word) => visibleLine(word, 20)).join(', ')}.`)]),
      ...(running === null && dropped.length === 0 && waiting.length === 0
        ? [words('So there was nothing to cancel. Reply with your next command.')]
        : []),
    ],
  };
}

function titleOf({ running, dropped }: CancelledNotice): string {
  if (running === null && dropped.length === 0) return 'Nothing is running';
  const waited = plural(dropped.length, 'waiting command');
  if (running === null) return `Cancelled: ${waited}; nothing of it was run`;
  return `Cancelled: the running command${dropped.length === 0 ? '' : ` and ${waited}`}`;
}

function waitingBlocks(waiting: readonly string[]): Block[] {
  if (waiting.length === 0) return [];
  return [
    words(waiting.length === 1 ? 'This one runs next:' : 'These run next, one after the other:'),
    list(waiting.map(firstLine), 120),
    words('To cancel all that waits, reply with:'),
    reply('cancel all'),
  ];
}
