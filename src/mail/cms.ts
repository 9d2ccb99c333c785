/** What an S/MIME part holds: the mail within a signature, or something that only its recipient can read. */
export type CmsContent = { kind: 'signed'; content: Buffer } | { kind: 'sealed' };

const SIGNED_DATA = '2a864886f70d010702';
/** Nested deeper than any program nests it. */
const MOST_LEVELS = 16;

/**
 * Reads a Cryptographic Message Syntax part (RFC 5652, 3 and 5.1; RFC 8551, 3.5.2). The signature is not looked at: who
 * sent a mail is found out in other ways.
 *
 * @returns null when it is no such thing, or damaged
 */
export function readCms(bytes: Buffer): CmsContent | null {
  try {
    const [type, holder] = children(elementAt(bytes, 0, 0));
    if (type?.tag !== OBJECT_IDENTIFIER || !holder) return null;
    if (type.content.toString('hex') !== SIGNED_DATA) return { kind: 'sealed' };
    const [signedData] = children(holder);
    const encapsulated = children(expect(signedData)).find(({ tag }) => tag === SEQUENCE);
    const [, wrapper] = children(expect(encapsulated));
    const [content] = children(expect(wrapper));
    return { kind: 'signed', content: octets(expect(content), 0) };
  } catch (error) {
    if (error instanceof NotBer) return null;
    throw error;
  }
}

/** One element of BER (X.690, 8.1): its contents, and where the next one begins. */
type Element = { tag: number; isConstructed: boolean; content: Buffer; next: number };

const OBJECT_IDENTIFIER = 0x06;
const SEQUENCE = 0x30;
const CONSTRUCTED = 0x20;
const LONG_TAG = 0x1f;
const INDEFINITE = 0x80;

class NotBer extends Error {}

function elementAt(bytes: Buffer, at: number, level: number): Element {
  const tag = byteAt(bytes, at);
  const first = byteAt(bytes, at + 1);
  if ((tag & LONG_TAG) === LONG_TAG || level > MOST_LEVELS) throw new NotBer();
  const isConstructed = (tag & CONSTRUCTED) !== 0;
  if (first === INDEFINITE) {
    if (!isConstructed) throw new NotBer();
    let end = at + 2;
    while (byteAt(bytes, end) !== 0 || byteAt(bytes, end + 1) !== 0)
      end = elementAt(bytes, end, level + 1).next;
    return { tag, isConstructed, content: bytes.subarray(at + 2, end), next: end + 2 };
  }
  const lengthBytes = first < INDEFINITE ? 0 : first - INDEFINITE;
  const start = at + 2 + lengthBytes;
  if (lengthBytes > 4 || start > bytes.length) throw new NotBer();
  const length = lengthBytes === 0 ? first : bytes.readUIntBE(at + 2, lengthBytes);
  if (start + length > bytes.length) throw new NotBer();
  return { tag, isConstructed, content: bytes.subarray(start, start + length), next: start + length };
}

function children({ isConstructed, content }: Element): Element[] {
  const found: Element[] = [];
  if (!isConstructed) throw new NotBer();
  for (let at = 0; at < content.length;) {
    const element = elementAt(content, at, 0);
    found.push(element);
    at = element.next;
  }
  return found;
}

/** A string of octets may come in pieces (X.690, 8.7.3). */
function octets(element: Element, level: number): Buffer {
  if (!element.isConstructed) return element.content;
  if (level > MOST_LEVELS) throw new NotBer();
  return Buffer.concat(children(element).map((piece) => octets(piece, level + 1)));
}

function byteAt(bytes: Buffer, at: number): number {
  const byte = bytes[at];
  if (byte === undefined) throw new NotBer();
  return byte;
}

function expect(element: Element | undefined): Element {
  if (!element) throw new NotBer();
  return element;
}
