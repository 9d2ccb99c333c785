import type { ParsedMessage } from './parse.ts';
import type { Typed } from './reply-text.ts';
import { shellBlocks } from './shell-blocks.ts';

/**
 * What was typed, with a doubt where its program breaks long lines of plain text as it sends them and says nothing of it:
 * of one long command it makes two. Where the mail has an HTML part, or is format=flowed, the lines are whole by now.
 */
export function doubtBrokenLines(
  typed: Typed,
  { headers, text }: Pick<ParsedMessage, 'headers' | 'text'>,
): Typed {
  const limit = breaksAfter(headers);
  if (limit === null || typed.doubt !== null || !mayBeBroken(typed.text, limit)) return typed;
  return isFenced(typed.text, text) ? typed : { ...typed, doubt: 'broken-lines' };
}

/** The most characters of a line that such a program sends; null for all others. */
function breaksAfter(headers: ReadonlyMap<string, readonly string[]>): number | null {
  const first = (name: string) => headers.get(name)?.[0] ?? '';
  const type = first('content-type');
  if ((type !== '' && !/^text\/plain\b/i.test(type)) || /format\s*=\s*"?flowed/i.test(type)) return null;
  // Gmail's page in plain text mode. Its apps always send HTML, too.
  if (/@mail\.gmail\.com>\s*$/i.test(first('message-id'))) return 78;
  // As it is set, unless somebody has changed it.
  return /^microsoft outlook\b/i.test(first('x-mailer')) ? 76 : null;
}

/** A line after which a break makes no other command of it. */
const ENDS = /(?:[;\\|&{(]|(?:^|\s)(?:do|then|else))\s*$/;

/** True where the first word of a line would have had no room in the line before. */
function mayBeBroken(text: string, limit: number): boolean {
  const lines = text.split('\n');
  const blocks = shellBlocks(lines);
  const isLonger = (line: string) => line.length > limit && line.trimStart().slice(0, limit).includes(' ');
  if (lines.some(isLonger)) return false;
  return lines.some((line, at) => {
    const [word = ''] = /^\S+/.exec(lines[at + 1] ?? '') ?? [];
    const hasNoRoom = word !== '' && line.trim() !== '' && line.length + 1 + word.length > limit;
    return hasNoRoom && blocks[at] === null && !ENDS.test(line);
  });
}

/** It was set between lines of backticks, and is to be run as it stands. */
function isFenced(typed: string, text: string): boolean {
  const before = text.slice(0, Math.max(0, text.indexOf(typed))).trimEnd();
  return before
    .slice(before.lastIndexOf('\n') + 1)
    .trimStart()
    .startsWith('```');
}
