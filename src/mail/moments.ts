const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const;
const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');
const YEAR_TOLD_AFTER_MS = 300 * 86_400_000;

/** A moment for a person: `14:32 UTC` on the day of `now`, else `Mon 23 Nov, 14:32 UTC`. */
export function momentInWords(moment: Date, now: Date): string {
  const time = `${moment.toISOString().slice(11, 16)} UTC`;
  if (isSameDay(moment, now)) return time;
  const isFar = Math.abs(moment.getTime() - now.getTime()) > YEAR_TOLD_AFTER_MS;
  const year = isFar ? ` ${moment.getUTCFullYear()}` : '';
  return `${DAYS[moment.getUTCDay()]} ${moment.getUTCDate()} ${MONTHS[moment.getUTCMonth()]}${year}, ${time}`;
}

/** The same with the word before it that makes it part of a sentence: `at 14:32 UTC`, `on Mon 23 Nov, 14:32 UTC`. */
export function atMoment(moment: Date, now: Date): string {
  return `${isSameDay(moment, now) ? 'at' : 'on'} ${momentInWords(moment, now)}`;
}

const isSameDay = (one: Date, other: Date) =>
  one.toISOString().slice(0, 10) === other.toISOString().slice(0, 10);
