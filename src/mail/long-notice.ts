import { durationInWords } from './amounts.ts';
import { atMoment } from './moments.ts';
import { fine, lastOutput, reply, words, type Told } from './notice-blocks.ts';
import { moreTime, type TimeAllowed } from './time-in-words.ts';

/** What is told of a command that runs for long, at growing distances. */
export type StillRunningNotice = {
  kind: 'still-running';
  command: string;
  ranMs: number;
  /** null: it could not be looked at. */
  lastLines: string | null;
  /** By the time limit. */
  endsAt: Date;
  timeAllowed: TimeAllowed;
  /** The end is near. */
  isLast: boolean;
  now: Date;
};

export function stillRunning(notice: StillRunningNotice): Told {
  const { command, ranMs, lastLines, endsAt, timeAllowed, isLast, now } = notice;
  const end = atMoment(endsAt, now);
  const limit = `the time limit of ${durationInWords(timeAllowed.timeoutMs)}`;
  const output = lastOutput(command, lastLines);
  const title = `Still running after ${durationInWords(wholeMinutes(ranMs))}${isLast ? `; it will be stopped ${end}` : ''}`;
  return {
    title,
    preheader: output.lastLine === '' ? title : `${title} · ${output.lastLine}`,
    blocks: [
      isLast
        ? words(
            `Then ${limit} is reached, and everything it has started is ended with it. You get its output as far as it came. ${moreTime(timeAllowed)}`,
          )
        : words(`Its answer comes when it has ended: ${end} at the latest, by ${limit}.`),
      output.block,
      words('To end it now, reply with this one word:'),
      reply('cancel'),
      fine('To hear how it stands, at any time, reply: status'),
    ],
  };
}

/** The mail is for a point of time; a second more or less says nothing. */
function wholeMinutes(ms: number): number {
  return ms < 60_000 ? ms : Math.floor(ms / 60_000) * 60_000;
}
