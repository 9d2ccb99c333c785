/* oxlint-disable no-control-regex -- counts control characters */

const SAMPLE_BYTES = 4096;
/** Fewer than this are shown as they are: a stray byte does not make a text binary. */
const LEAST_ODD = 24;
const ODD_SHARE = 0.1;
const DUMP_COLUMNS = 8;

/** Whether these bytes would be no use to a reader as text: many of them are no UTF-8, or control characters. */
export function looksBinary(head: Buffer, tail: Buffer): boolean {
  const sample = [head.subarray(0, SAMPLE_BYTES), tail.subarray(-SAMPLE_BYTES)]
    .map((bytes) => bytes.toString('utf8'))
    .join('');
  const odd = sample.match(/[\0-\x06\x0e-\x1a\x1c-\x1f\x7f\ufffd]/g)?.length ?? 0;
  return odd >= LEAST_ODD && odd > sample.length * ODD_SHARE;
}

/** Rows of eight bytes, in hexadecimal and as ASCII: narrow enough for a phone. */
export function hexDump(bytes: Buffer): string {
  const rows = [];
  for (let at = 0; at < bytes.length; at += DUMP_COLUMNS) {
    const row = bytes.subarray(at, at + DUMP_COLUMNS);
    const hex = (row.toString('hex').match(/../g) ?? []).join(' ').padEnd(DUMP_COLUMNS * 3 - 1);
    const ascii = row.toString('latin1').replace(/[^\x20-\x7e]/g, '.');
    rows.push(`${at.toString(16).padStart(4, '0')}  ${hex}  ${ascii}`);
  }
  return rows.join('\n');
}

/** Decodes a piece of a stream of UTF-8 without the character that was cut through at its end or start. */
export function wholeCharacters(bytes: Buffer, cutAt: 'start' | 'end'): string {
  const isContinuation = (at: number) => ((bytes[at] ?? 0) & 0xc0) === 0x80;
  if (cutAt === 'start') {
    let start = 0;
    while (start < 3 && isContinuation(start)) start += 1;
    return bytes.toString('utf8', start);
  }
  let last = bytes.length - 1;
  while (last > bytes.length - 4 && isContinuation(last)) last -= 1;
  const first = bytes[last] ?? 0;
  const expected = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
  return bytes.toString('utf8', 0, bytes.length - last < expected ? last : bytes.length);
}
