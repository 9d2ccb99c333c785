/** All that decides who sent a mail, where it belongs and whether it is answered. */
const ESSENTIAL =
  /^(?:from|to|cc|subject|date|message-id|in-reply-to|references|return-path|delivered-to|x-original-to|content-type|auto-submitted|precedence|list-id|x-auto[\w-]*|x-failed-recipients|x-threadbox|authentication-results|received-spf|dkim-signature)[ \t]*:/i;
const LONGEST_FIELD = 64 * 1024;
/** More of one name tells nothing more. */
const MOST_OF_ONE = 20;

/**
 * The header block of a mail whose headers are too large, or whose body cannot be read, less what nobody needs: the rest
 * can be read in bounded time. A field that is too long is left out, all but `From`: that there is a second one must not
 * be hidden by its length.
 */
export function essentialHeaders(raw: Buffer): Buffer {
  const end = /\r?\n\r?\n/.exec(raw.toString('latin1'));
  const block = raw.subarray(0, end?.index ?? raw.length).toString('latin1');
  const counts = new Map<string, number>();
  const kept: string[] = [];
  for (const field of block.split(/\r?\n(?![ \t])/)) {
    const name = ESSENTIAL.exec(field)?.[0].toLowerCase();
    if (name === undefined) continue;
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    if (count > MOST_OF_ONE) continue;
    if (field.length <= LONGEST_FIELD) kept.push(field);
    else if (name.startsWith('from')) kept.push('From: (too long)');
  }
  return Buffer.from(`${kept.join('\r\n')}\r\n\r\n`, 'latin1');
}
