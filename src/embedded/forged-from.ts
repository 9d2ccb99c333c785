import addressparser from 'nodemailer/lib/addressparser';

/**
 * Why a message cannot be the user's: it must have exactly one From with exactly one address (RFC 5322, 3.6.2), which
 * is theirs.
 *
 * @returns null when it is
 */
export function forgedFrom(message: Buffer, user: string): string | null {
  const end = /\r?\n\r?\n/.exec(message.toString('latin1', 0, Math.min(message.length, 1 << 20)));
  const head = message.toString('utf8', 0, end ? end.index : message.length);
  // Readers differ in what a lone CR is.
  if (/\r(?!\n)/.test(head)) return 'the header has a carriage return without a line feed';
  const fields = head.replace(/\r?\n[ \t]+/g, ' ').split(/\r?\n/);
  const froms = fields.filter((field) => /^from[ \t]*:/i.test(field));
  const [from] = froms;
  if (from === undefined || froms.length > 1) return `expected one From header, got ${froms.length}`;
  const parsed = addressparser(from.slice(from.indexOf(':') + 1));
  const [only] = parsed;
  if (only === undefined || parsed.length > 1 || !('address' in only)) return 'expected one address in From';
  const address = (only.address ?? '').toLowerCase();
  return address === user ? null : `you are ${user} and cannot write as ${address || 'nobody'}`;
}
