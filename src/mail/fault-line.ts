import type { SqlFault } from './sql-results.ts';

/** A phone shows so much beside the number of the line without breaking it, which would put the caret below another word. */
const PHONE_LINE = 32;

/**
 * The line that an error is in, with a caret below the place; null where that is not known.
 *
 * @param longest of a longer line, so many characters around the place
 */
export function faultLine({ text, at }: Pick<SqlFault, 'text' | 'at'>, longest = PHONE_LINE): string | null {
  if (at === null || at > text.length) return null;
  const before = text.slice(0, at).split('\n');
  const lineNumber = before.length;
  const column = before.at(-1)?.length ?? 0;
  const line = (text.split('\n')[lineNumber - 1] ?? '').replaceAll('\t', ' ');
  const from = Math.max(0, column - Math.floor(longest / 2));
  const shown = `${from > 0 ? '…' : ''}${line.slice(from, from + longest)}`;
  const label = `LINE ${lineNumber}: `;
  return `${label}${shown}\n${' '.repeat(label.length + column - from + (from > 0 ? 1 : 0))}^`;
}
