/**
 * Whether mail of this address is taken at all. Who really sent it is another question.
 *
 * @param patterns lower case: addresses, or `*@domain` for a whole domain
 * @param isKnownUser the address belongs to a registered user
 */
export function isAllowedSender(address: string, patterns: readonly string[], isKnownUser: boolean): boolean {
  if (isKnownUser) return true;
  const sender = address.toLowerCase();
  const domain = sender.slice(sender.lastIndexOf('@'));
  return patterns.some((pattern) =>
    pattern.startsWith('*@') ? pattern.slice(1) === domain : pattern === sender,
  );
}

/** RFC 5321, 4.5.3.1.3: a path has at most 256 octets, its brackets included. */
const LONGEST_ADDRESS = 254;
const ATOM = "[a-z0-9!#$%&'*+/=?^_`{|}~-]+";
/**
 * A dot-atom at a host name (RFC 5322, 3.4.1), in ASCII only: other letters may fold into ASCII ones when they are
 * lower-cased, and would name somebody else.
 */
const ADDRESS = new RegExp(
  `^${ATOM}(?:\\.${ATOM})*@[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$`,
  'i',
);

/** An address in lower case, or null when it is not a plain one. */
export function plainAddress(text: string): string | null {
  return text.length <= LONGEST_ADDRESS && ADDRESS.test(text) ? text.toLowerCase() : null;
}

/**
 * The address of a From field, in lower case: exactly one mailbox (RFC 5322, 3.6.2), read strictly. Null for anything
 * that two programs could read as two different senders: several addresses, groups, an address in the display name
 * that is not the one in brackets.
 */
export function singleAddress(field: string): string | null {
  const outside = withoutComments(field);
  if (outside === null) return null;
  const { text, names } = outside;
  const parts = /^([^<>@,;:]*)<([^<>]*)>\s*$/.exec(text);
  if (!parts) {
    // Some clients repeat the address before the brackets, without the quotes it would need.
    const repeated = /^\s*'?([^\s<>,;:"']+)'?\s*<([^<>]*)>\s*$/.exec(text);
    if (repeated) return sameAddress(repeated[1] ?? '', repeated[2] ?? '');
    return names === 0 ? plainAddress(text.trim()) : null;
  }
  return plainAddress((parts[2] ?? '').trim());
}

function sameAddress(name: string, bracketed: string): string | null {
  const address = plainAddress(bracketed.trim());
  return address !== null && plainAddress(name) === address ? address : null;
}

/** Takes comments and quoted strings out (RFC 5322, 3.2.2 and 3.2.4). Null when one does not end. */
function withoutComments(field: string): { text: string; names: number } | null {
  let text = '';
  let names = 0;
  let depth = 0;
  let isQuoted = false;
  for (let at = 0; at < field.length; at += 1) {
    const character = field.charAt(at);
    if (character === '\\' && (isQuoted || depth > 0)) at += 1;
    else if (isQuoted) isQuoted = character !== '"';
    else if (character === '(') depth += 1;
    else if (depth > 0) depth -= character === ')' ? 1 : 0;
    else if (character === '"') {
      isQuoted = true;
      names += 1;
    } else text += character;
  }
  return isQuoted || depth > 0 ? null : { text, names };
}

/** `bot+anything@example.com` is the mailbox of `bot@example.com`. */
export function isSameMailbox(address: string, bot: string): boolean {
  const at = bot.lastIndexOf('@');
  const tagged = address.startsWith(`${bot.slice(0, at)}+`) && address.endsWith(bot.slice(at));
  return address === bot || tagged;
}
