import { hash } from 'node:crypto';
import { unfold, type HeaderLine, type MimeContent, type MimePart } from './mime-content.ts';
import { isFile } from './part-kinds.ts';

/** What is larger is read by the parser, which gives turns to others meanwhile. */
const LARGEST_BYTES = 256 * 1024;
const MOST_LEVELS = 5;
const MOST_PARTS = 50;
const MOST_LINES = 1000;

/**
 * Reads mail of the usual make, in one go: text and HTML in UTF-8 and files, within each other as mail clients put them. It
 * is what nearly all mail is, and the parser, made of streams, takes some ten times as long over it. Whatever is not written
 * exactly as it should be, or may be read in two ways, is left to the parser: what comes of a mail must not depend on
 * which of the two has read it.
 *
 * @returns null for all other mail
 */
export function readUsual(raw: Buffer): MimeContent | null {
  if (raw.length > LARGEST_BYTES) return null;
  const text = raw.toString('latin1');
  // Programs do not agree on whether it ends a line.
  if (/\r(?!\n)/.test(text)) return null;
  const head = readHead(text, 0);
  if (head === null || head.lines.length === 0) return null;
  const subject = onlyValue(head.lines, 'subject');
  if (subject === null || subject.includes('=?')) return null;
  const mail: Mail = { raw, text, leaves: [] };
  const end = readEntity(mail, head, { boundaries: [], isAlternative: false });
  if (end === null || end.boundary !== null) return null;
  return contentOf(mail, unfold(head.lines), subject);
}

type Mail = { raw: Buffer; text: string; leaves: Leaf[] };
/** Something that is no multipart. `from`, `to`: where its content stands. */
type Leaf = Kind & { from: number; to: number; isAlternative: boolean };
type Kind = {
  contentType: string;
  encoding: string;
  boundary: string;
  fileName: string;
  isAttached: boolean;
};
/** `boundaries`: of the multiparts around it, the innermost first. */
type Around = { boundaries: readonly string[]; isAlternative: boolean };
/** A line that divides parts, and where what follows it begins; `boundary` is null at the end of the mail. */
type Delimiter = { boundary: string | null; isClosing: boolean; at: number; next: number };

type Head = { lines: HeaderLine[]; end: number };

/** A header block of printable ASCII, with nothing but fields in it; `end`: where the content begins. */
function readHead(text: string, at: number): Head | null {
  const lines: HeaderLine[] = [];
  for (let from = at, count = 0; count < MOST_LINES; count += 1) {
    const lf = text.indexOf('\n', from);
    if (lf === -1) return null;
    const end = lf > from && text[lf - 1] === '\r' ? lf - 1 : lf;
    if (end === from) return { lines, end: lf + 1 };
    const line = text.slice(from, end);
    if (/[^\t\x20-\x7e]/.test(line) || line.startsWith('--')) return null;
    const last = lines.at(-1);
    if (line[0] !== ' ' && line[0] !== '\t') {
      const name = /^[!-9;-~]+(?=:)/.exec(line)?.[0];
      if (name === undefined) return null;
      lines.push({ key: name.toLowerCase(), line });
    } else if (last) last.line += `\r\n${line}`;
    else return null;
    from = lf + 1;
  }
  return null;
}

/** The value of a field, '' where there is none; null where there are several, or nothing stands in it. */
function onlyValue(lines: readonly HeaderLine[], key: string): string | null {
  const found = lines.filter((line) => line.key === key);
  const [field] = found;
  if (field === undefined) return '';
  if (found.length > 1) return null;
  const value = field.line
    .slice(key.length + 1)
    .replace(/\r\n[ \t]*/g, ' ')
    .trim();
  return value === '' ? null : value;
}

/** @returns what ended it */
function readEntity(mail: Mail, head: Head, around: Around): Delimiter | null {
  const { text, leaves } = mail;
  const kind = kindOf(head.lines, around.boundaries.length === 0);
  if (kind === null || leaves.length >= MOST_PARTS) return null;
  if (kind.boundary !== '') return readMultipart(mail, head, { ...around, kind });
  const [boundary = null] = around.boundaries;
  const end = nextDelimiter(text, head.end, around.boundaries);
  if (end === null || end.boundary !== boundary) return null;
  // The line end before a delimiter belongs to it.
  const isTrimmed = boundary !== null;
  const to = isTrimmed ? end.at - (text[end.at - 2] === '\r' ? 2 : 1) : end.at;
  if (isTrimmed && to <= head.end) return null;
  leaves.push({ ...kind, from: head.end, to, isAlternative: around.isAlternative });
  return end;
}

function readMultipart(
  mail: Mail,
  head: Head,
  { boundaries, isAlternative, kind }: Around & { kind: Kind },
): Delimiter | null {
  const { text } = mail;
  const { boundary, contentType } = kind;
  const isAlike = (other: string) => other.startsWith(boundary) || boundary.startsWith(other);
  if (boundaries.length >= MOST_LEVELS || boundaries.some(isAlike)) return null;
  const within = {
    boundaries: [boundary, ...boundaries],
    isAlternative: isAlternative || contentType === 'multipart/alternative',
  };
  let delimiter = nextDelimiter(text, head.end, within.boundaries);
  if (delimiter?.isClosing) return null;
  while (delimiter?.boundary === boundary && !delimiter.isClosing) {
    const part = readHead(text, delimiter.next);
    delimiter = part && readEntity(mail, part, within);
  }
  if (delimiter?.boundary !== boundary) return null;
  const end = nextDelimiter(text, delimiter.next, within.boundaries);
  const [outer = null] = boundaries;
  return end?.boundary === outer ? end : null;
}

/** The first line from a place on that is one of the delimiters; null where a line only seems to be one. */
function nextDelimiter(text: string, from: number, boundaries: readonly string[]): Delimiter | null {
  const none = { boundary: null, isClosing: true, at: text.length, next: text.length };
  if (boundaries.length === 0) return none;
  for (let at = from; ;) {
    const boundary = text.startsWith('--', at) && boundaries.find((one) => text.startsWith(one, at + 2));
    const lf = text.indexOf('\n', at);
    const next = lf === -1 ? text.length : lf + 1;
    if (boundary) {
      const rest = /^(--)?[ \t]{0,100}(?:\r?\n|$)/.exec(text.slice(at + 2 + boundary.length, next));
      const isClosing = rest?.[1] !== undefined;
      return rest && (isClosing || lf !== -1) ? { boundary, isClosing, at, next } : null;
    }
    const dashes = lf === -1 ? -1 : text.indexOf('\n--', lf);
    if (dashes === -1) return none;
    at = dashes + 1;
  }
}

const MULTIPARTS = /^multipart\/(?:mixed|alternative|related)$/;
const TEXTS = /^text\/(?:plain|html)$/;
/** They hold mail, or say more by their names. */
const ODD = /^(?:message|multipart)\/|pkcs7|pgp|^application\/octet-stream$/;
const CHARSETS = new Set(['ascii', 'usascii', 'utf8']);
const ENCODINGS = new Set(['', '7bit', '8bit', 'binary', 'base64', 'quoted-printable']);

/** What a part is; null where the parser has to find out. */
function kindOf(lines: readonly HeaderLine[], isRoot: boolean): Kind | null {
  const type = structured(onlyValue(lines, 'content-type'), 'text/plain');
  const disposition = structured(onlyValue(lines, 'content-disposition'), '');
  const encoding = onlyValue(lines, 'content-transfer-encoding')?.toLowerCase();
  if (!type || !disposition || encoding === undefined || !ENCODINGS.has(encoding)) return null;
  if (!['', 'inline', 'attachment'].includes(disposition.value)) return null;
  const { value: contentType, params } = type;
  const boundary = params.get('boundary') ?? '';
  const fileName = disposition.params.get('filename') ?? params.get('name') ?? '';
  const kind = { contentType, encoding, boundary, fileName };
  if (MULTIPARTS.test(contentType)) {
    const isUsual = boundary !== '' && boundary === boundary.trimEnd() && fileName === '';
    const isDecoded = encoding === 'base64' || encoding === 'quoted-printable';
    return isUsual && !isDecoded && disposition.value === '' ? { ...kind, isAttached: false } : null;
  }
  if (boundary !== '' || ODD.test(contentType) || !contentType.includes('/')) return null;
  const isAttached = !TEXTS.test(contentType) || fileName !== '' || disposition.value === 'attachment';
  // Without a type, the parser goes by the file's name.
  if (isAttached && !lines.some(({ key }) => key === 'content-type')) return null;
  if (isAttached)
    return isRoot || lines.some(({ key }) => key === 'content-id') ? null : { ...kind, isAttached };
  const charset = (params.get('charset') ?? 'utf-8').toLowerCase().replace(/[^a-z0-9]+/g, '');
  return CHARSETS.has(charset) && !params.has('format') ? { ...kind, isAttached } : null;
}

const PARAMETER = /\s*;\s*([a-z][a-z0-9-]*)=(?:"([^"\\]+)"|([^\s"\\();]+))/giy;

/** A value with parameters (RFC 2045, 5.1), each at most once, and without comments and encoded words. */
function structured(
  field: string | null,
  none: string,
): { value: string; params: Map<string, string> } | null {
  const params = new Map<string, string>();
  if (field === '') return { value: none, params };
  const value = /^[\w.+-]+(?:\/[\w.+-]+)?(?=\s*(?:;|$))/.exec(field ?? '')?.[0];
  if (field === null || value === undefined || field.includes('=?')) return null;
  PARAMETER.lastIndex = value.length;
  let at = value.length;
  for (let found = PARAMETER.exec(field); found; found = PARAMETER.exec(field)) {
    const [, name = '', quoted, token] = found;
    if (params.has(name.toLowerCase())) return null;
    params.set(name.toLowerCase(), quoted ?? token ?? '');
    at = PARAMETER.lastIndex;
  }
  const rest = field.slice(at).trim();
  return rest === '' || rest === ';' ? { value: value.toLowerCase(), params } : null;
}

function contentOf(mail: Mail, headers: Map<string, string[]>, subject: string): MimeContent | null {
  const { leaves } = mail;
  const texts: string[] = [];
  const htmls: string[] = [];
  const attachments: MimePart[] = [];
  const shown = leaves.filter(({ isAttached }) => !isAttached);
  const hasText = shown.some(({ contentType }) => contentType === 'text/plain');
  const hasHtml = shown.some(({ contentType }) => contentType === 'text/html');
  for (const leaf of leaves) {
    const bytes = decoded(mail, leaf);
    if (bytes === null) return null;
    const { contentType, fileName, isAttached, isAlternative } = leaf;
    if (isAttached) {
      const sizeBytes = bytes.length;
      const part = { contentType, filename: fileName, sizeBytes };
      attachments.push({
        fileName,
        contentType,
        sizeBytes,
        sha256: hash('sha256', bytes),
        isFile: isFile(part),
      });
      continue;
    }
    const lines = bytes.toString().replace(/\r?\n/g, '\n');
    if (lines === '') continue;
    if (contentType === 'text/plain') {
      texts.push(lines);
      // Where the two stand beside each other, each leaves its place in the other's.
      if (!isAlternative && hasHtml) htmls.push('');
    } else {
      if (!isAlternative && hasText) texts.push('');
      htmls.push(lines);
    }
  }
  return {
    headers,
    subject,
    text: texts.join('\n'),
    html: htmls.join('<br/>\n'),
    attachments,
    obstacle: null,
  };
}

function decoded({ raw, text }: Mail, { from, to, encoding }: Leaf): Buffer | null {
  if (encoding === 'base64') {
    const body = text.slice(from, to);
    const letters = body.replace(/[\r\n]+/g, '');
    return letters.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(letters)
      ? Buffer.from(letters, 'base64')
      : null;
  }
  if (encoding !== 'quoted-printable') return raw.subarray(from, to);
  const body = text.slice(from, to);
  if (/[ \t](?=[\r\n]|$)|=(?![0-9a-f]{2}|\r?\n)/i.test(body)) return null;
  if (!body.includes('=')) return raw.subarray(from, to);
  const bytes = body
    .replace(/=\r?\n/g, '')
    .replace(/=([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1');
}
