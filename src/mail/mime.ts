import { createHash } from 'node:crypto';
import { MailParser, type AttachmentStream, type MessageText } from 'mailparser';

/** What a mail's MIME structure holds. Attachments are measured, not kept. */
export type MimeContent = {
  headers: Map<string, string[]>;
  subject: string;
  text: string;
  html: string;
  attachments: { fileName: string; contentType: string; sizeBytes: number; sha256: string }[];
};

const LIMITS = { maxHeadSize: 1 << 20, maxChildNodes: 1000 };
const DEADLINE_MS = 30_000;

/** @throws with `code: 'UNREADABLE'` beyond the limits of headers, parts or time. */
export async function readMime(raw: Buffer): Promise<MimeContent> {
  const parser = new MailParser({
    ...LIMITS,
    skipHtmlToText: true,
    skipTextToHtml: true,
    skipTextLinks: true,
    skipImageLinks: true,
    keepDeliveryStatus: true,
    ignoreEmbedded: true,
    checksumAlgo: false,
  });
  const attachments: MimeContent['attachments'] = [];
  let body: MessageText | null = null;
  const { promise: ended, resolve, reject } = Promise.withResolvers<void>();
  const deadline = setTimeout(() => reject(new Error(`not read after ${DEADLINE_MS} ms`)), DEADLINE_MS);
  parser.on('error', reject);
  parser.on('end', resolve);
  parser.on('data', (part) => {
    if (part.type === 'text') body = part;
    else measure(part, attachments, reject);
  });
  parser.end(raw);
  try {
    await ended;
  } catch (cause) {
    parser.destroy();
    throw Object.assign(new Error(`The mail cannot be read: ${(cause as Error).message}`, { cause }), {
      code: 'UNREADABLE',
    });
  } finally {
    clearTimeout(deadline);
  }
  const { text = '', html = '' } = (body ?? {}) as Partial<MessageText>;
  return {
    headers: unfold(parser.headerLines || []),
    subject: parser.subject ?? '',
    text,
    html,
    attachments,
  };
}

function measure(
  part: AttachmentStream,
  attachments: MimeContent['attachments'],
  fail: (error: Error) => void,
): void {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  part.content.on('error', fail);
  part.content.on('data', (chunk: Buffer) => {
    hash.update(chunk);
    sizeBytes += chunk.length;
  });
  part.content.on('end', () => {
    const { filename = '', contentType } = part;
    attachments.push({ fileName: filename, contentType, sizeBytes, sha256: hash.digest('hex') });
    part.release?.();
  });
}

/** The parser gives header lines as they came, one character a byte. */
function unfold(lines: Iterable<{ key: string; line: string }>): Map<string, string[]> {
  const headers = new Map<string, string[]>();
  for (const { key, line } of lines) {
    const value = Buffer.from(line.slice(line.indexOf(':') + 1), 'latin1')
      .toString()
      .replace(/[\r\n\0]+/g, '')
      .trim();
    const values = headers.get(key);
    if (key === '') continue;
    if (values) values.push(value);
    else headers.set(key, [value]);
  }
  return headers;
}
