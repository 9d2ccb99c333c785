import { durationInWords, durationToType } from './amounts.ts';

/** How long a command may run, the most that its mail could have asked for, and whether it can leave work behind. */
export type TimeAllowed = { timeoutMs: number; mostMs: number; keepsBackground: boolean };

/** How the next command gets more time. */
export function moreTime({ timeoutMs, mostMs, keepsBackground }: TimeAllowed): string {
  const more = durationToType(Math.min(2 * timeoutMs, mostMs));
  return [
    timeoutMs >= mostMs
      ? 'That is the most a command is given here.'
      : `A mail that begins with the line "timeout ${more}" gives its command more, up to ${durationInWords(mostMs)}.`,
    ...(keepsBackground
      ? ['Work that takes longer can go on in the background: long-command > log.txt 2>&1 &']
      : []),
  ].join(' ');
}
