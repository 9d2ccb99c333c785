/** Longer than anything here may last; a number without end would be no date. */
const LONGEST_MS = 365 * 86_400_000;
const UNIT_MS: readonly [names: RegExp, milliseconds: number][] = [
  [/^s(?:ecs?|econds?)?$/, 1000],
  [/^m(?:ins?|inutes?)?$/, 60_000],
  [/^h(?:rs?|ours?)?$/, 3_600_000],
  [/^d(?:ays?)?$/, 86_400_000],
  [/^w(?:eeks?)?$/, 604_800_000],
];

/** In ms, of lower-case words: `2h`, `90 minutes`, `1h30m`, `1.5 hours`, `for 1 hour and 30 minutes`; null for anything else. */
export function durationOf(words: string): number | null {
  const amount = String.raw`(\d{1,9}(?:[.,]\d{1,3})?|an?(?= )) ?([a-z]+)`;
  const whole = new RegExp(String.raw`^(?:for |by )?${amount}(?:(?: |, ?| and )?${amount})*$`);
  if (!whole.test(words)) return null;
  let sumMs = 0;
  for (const [, count = '', unit = ''] of words
    .replace(/^(?:for|by) /, '')
    .matchAll(new RegExp(amount, 'g'))) {
    const unitMs = UNIT_MS.find(([names]) => names.test(unit))?.[1];
    if (unitMs === undefined) return null;
    sumMs += (count.startsWith('a') ? 1 : Number(count.replace(',', '.'))) * unitMs;
  }
  return Math.min(Math.round(sumMs), LONGEST_MS);
}
