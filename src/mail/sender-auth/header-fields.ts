/** One field of a mail's header, from top to bottom as it came; the value unfolded, one character a byte. */
export type HeaderField = { name: string; value: string };

const LARGEST_HEAD_BYTES = 256 * 1024;
const MOST_FIELDS = 1000;

/** RFC 5322, 3.6: at most one of each in a mail. With two of them, two programs may read two different mails. */
const SINGLE = [
  'from',
  'sender',
  'reply-to',
  'to',
  'cc',
  'date',
  'subject',
  'message-id',
  'in-reply-to',
  'references',
  'mime-version',
  'content-type',
  'content-transfer-encoding',
];

/**
 * The header fields of a mail, read strictly (RFC 5322, 2.2): whatever two programs could read in two ways is a fault,
 * as who sent a mail hangs on where each field begins. Takes LF as well as CRLF, since servers store either.
 */
export function headerFields(raw: Buffer): HeaderField[] | { fault: string } {
  const start = raw.toString('latin1', 0, LARGEST_HEAD_BYTES);
  const end = /\r?\n\r?\n/.exec(start);
  if (!end && raw.length > LARGEST_HEAD_BYTES) {
    return { fault: `its header is larger than ${LARGEST_HEAD_BYTES / 1024} KB` };
  }
  const head = (end ? start.slice(0, end.index) : start).replace(/\r?\n$/, '');
  if (head.includes('\0')) return { fault: 'its header has a NUL' };
  if (/\r(?!\n)/.test(head)) return { fault: 'its header has a carriage return without a line feed' };
  const unfolded: string[][] = [];
  for (const line of head.split(/\r?\n/)) {
    if (/^[ \t]/.test(line)) {
      const field = unfolded.at(-1);
      if (!field) return { fault: 'its header begins with a continued line' };
      field.push(line);
    } else {
      unfolded.push([line]);
    }
  }
  if (unfolded.length > MOST_FIELDS) return { fault: `its header has more than ${MOST_FIELDS} fields` };
  const fields: HeaderField[] = [];
  for (const lines of unfolded) {
    const parts = /^([\x21-\x39\x3b-\x7e]+)[ \t]*:([^]*)$/.exec(lines.join(''));
    if (!parts) return { fault: 'a line of its header is no field' };
    fields.push({ name: (parts[1] ?? '').toLowerCase(), value: (parts[2] ?? '').trim() });
  }
  const twice = SINGLE.find((single) => fields.filter(({ name }) => name === single).length > 1);
  return twice === undefined ? fields : { fault: `it has more than one field ${twice}` };
}
