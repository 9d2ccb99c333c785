/** A directory entry of Linux has at most 255 bytes; so a number fits, too. */
const LONGEST_NAME_BYTES = 180;
const LONGEST_ENDING_BYTES = 20;

const ENDINGS: Readonly<Record<string, string>> = {
  'message/rfc822': '.eml',
  'text/plain': '.txt',
  'text/html': '.html',
  'text/calendar': '.ics',
  'text/x-patch': '.patch',
  'text/x-diff': '.diff',
  'image/png': '.png',
  'image/jpeg': '.jpg',
  'image/gif': '.gif',
  'application/pdf': '.pdf',
  'application/zip': '.zip',
  'application/gzip': '.gz',
};

/**
 * Names for files that somebody else has named, in their order: one part of a path, which hides nothing, is no option of a
 * program and reads as it is. Letters of all scripts stay. A name that was there before gets a number.
 */
export function safeNames(files: readonly { name: string; contentType: string }[]): string[] {
  const taken = new Set<string>();
  return files.map((file) => {
    const name = safeName(file);
    const [stem, ending] = splitName(name);
    let unique = name;
    for (let number = 2; taken.has(unique); number += 1) unique = `${stem}-${number}${ending}`;
    taken.add(unique);
    return unique;
  });
}

function safeName({ name, contentType }: { name: string; contentType: string }): string {
  const last = name
    .toWellFormed()
    .normalize('NFC')
    .split(/[/\\]/)
    .findLast((part) => part.trim() !== '');
  const plain = (last ?? '')
    // Control characters, those that change the reading order, and invisible ones.
    .replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cn}\p{Co}\u{fffd}]/gu, '')
    .replaceAll(/\s+/gu, ' ')
    .replace(/^[\s.~-]+/, '')
    .replace(/[\s.]+$/, '');
  if (plain === '') {
    return `${contentType === 'message/rfc822' ? 'message' : 'attachment'}${ENDINGS[contentType] ?? ''}`;
  }
  const [stem, ending] = splitName(plain);
  return `${cut(stem, LONGEST_NAME_BYTES)}${ending}`;
}

function splitName(name: string): [stem: string, ending: string] {
  const at = /(?:\.tar)?\.[^.\s]+$/.exec(name)?.index ?? -1;
  const isEnding = at > 0 && Buffer.byteLength(name.slice(at)) <= LONGEST_ENDING_BYTES;
  return isEnding ? [name.slice(0, at), name.slice(at)] : [name, ''];
}

function cut(text: string, mostBytes: number): string {
  if (Buffer.byteLength(text) <= mostBytes) return text;
  return new TextDecoder()
    .decode(Buffer.from(text).subarray(0, mostBytes), { stream: true })
    .replace(/\u{fffd}$/u, '');
}
