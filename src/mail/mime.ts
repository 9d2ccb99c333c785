import { createHash } from 'node:crypto';
import type { EventEmitter } from 'node:events';
import { MailParser, type AttachmentStream, type MailParserOptions, type MessageText } from 'mailparser';
import { readCms } from './cms.ts';
import { essentialHeaders } from './essential-headers.ts';
import { unfold, type HeaderLine, type MimeContent, type MimePart, type Obstacle } from './mime-content.ts';
import { isCms, isFile, isOddlyEncodedText } from './part-kinds.ts';
import { readUsual } from './usual-mime.ts';

const LIMITS = { maxHeadSize: 1 << 20, maxChildNodes: 1000 };
const DEADLINE_MS = 30_000;
/** Each line is compared with the boundaries of all levels above it. */
const MOST_LEVELS = 50;
/** No command is so long, and its quotes are not worth the memory. */
const LONGEST_TEXT = 4 << 20;
/** Signed, and signed once more by a gateway. */
const MOST_SIGNATURES = 3;

/**
 * Reads a mail. Signed ones are read like others; beyond the limits, and of encrypted ones, there are only the headers.
 *
 * @throws with `code: 'UNREADABLE'` when it is no mail
 */
export async function readMime(raw: Buffer): Promise<MimeContent> {
  return readUsual(raw) ?? parseMime(raw);
}

/** The same with the parser, which reads all mail. @throws as {@link readMime} */
export async function parseMime(raw: Buffer): Promise<MimeContent> {
  const read = await readParts(raw);
  if ('fault' in read) {
    const head = await readParts(essentialHeaders(raw));
    const obstacle = obstacleOf(read.fault);
    if ('fault' in head || obstacle === null) throw unreadable(read.fault);
    return { ...head.content, text: '', html: '', obstacle };
  }
  return withoutSignature(read);
}

type Parts = { content: MimeContent; cms: Buffer | null };

/** The mail within an S/MIME signature (RFC 8551, 3.5.2), with the headers of the whole. */
async function withoutSignature(read: Parts, level = 0): Promise<MimeContent> {
  const { content, cms } = read;
  const hasNoText = content.text.trim() === '' && content.html.trim() === '';
  const isEncrypted =
    /^multipart\/encrypted\b/i.test(content.headers.get('content-type')?.[0] ?? '') ||
    (hasNoText && content.attachments.some(({ contentType }) => contentType === 'application/pgp-encrypted'));
  if (content.obstacle !== null) return content;
  if (isEncrypted) return { ...content, obstacle: 'encrypted' };
  if (cms === null || !hasNoText) return content;
  const held = readCms(cms);
  if (held?.kind !== 'signed' || level >= MOST_SIGNATURES) return { ...content, obstacle: 'encrypted' };
  const within = await readParts(held.content);
  if ('fault' in within) return { ...content, obstacle: obstacleOf(within.fault) ?? 'encrypted' };
  const { text, html, attachments, obstacle } = await withoutSignature(within, level + 1);
  return { ...content, text, html, attachments, obstacle };
}

const obstacleOf = (fault: Error): Obstacle | null => {
  if ((fault as { code?: string }).code === 'TOO_SLOW') return 'too-slow';
  if ((fault as { code?: string }).code !== 'EMAXLEN') return null;
  return fault.message.includes('header') ? 'headers-too-large' : 'too-many-parts';
};

const unreadable = (cause: Error) =>
  Object.assign(new Error(`The mail cannot be read: ${cause.message}`, { cause }), { code: 'UNREADABLE' });

type SplitNode = { filename: string | false; root: boolean; parentNode: SplitNode | false };
type ParsedNode = { isAttachment?: boolean; disposition?: string };
/** What mailparser does not declare; tests show that it is still there. */
type MailParserParts = {
  splitter: EventEmitter;
  createNode(node: SplitNode): ParsedNode;
  processHeaders(lines: readonly HeaderLine[]): unknown;
};
const MailParserWithParts = MailParser as unknown as new (
  options: MailParserOptions,
) => MailParser & MailParserParts;

/**
 * A text part that has a file's name is a file, also where its client shows it within the mail: Apple Mail does so with
 * patches, which would become part of the command.
 *
 * Of the mail's own header only the subject and what tells of its content are decoded: reading all addresses takes longer
 * than the rest of most mails, and those that matter are read by `parse.ts` as they came. Of mails within it all is, as it
 * becomes part of the text.
 */
class PartsParser extends MailParserWithParts {
  #isOfMail = false;
  hasOddText = false;

  override processHeaders(lines: readonly HeaderLine[]): unknown {
    const header = new Map(lines.map(({ key, line }) => [key, line]));
    this.hasOddText ||= isOddlyEncodedText(header, this.#isOfMail);
    const isRead = ({ key }: HeaderLine) => key === 'subject' || key.startsWith('content-');
    return super.processHeaders(this.#isOfMail ? lines.filter(isRead) : lines);
  }

  override createNode(node: SplitNode): ParsedNode {
    if (levelOf(node) > MOST_LEVELS) {
      const fault = Object.assign(new Error('too many parts within parts'), { code: 'EMAXLEN' });
      this.splitter.emit('error', fault);
    }
    this.#isOfMail = !node.parentNode;
    const made = super.createNode(node);
    if (node.filename && !node.root && made.disposition === 'inline') {
      Object.assign(made, { isAttachment: true, disposition: 'attachment' });
    }
    return made;
  }
}

function levelOf(node: SplitNode): number {
  let level = 0;
  for (let above = node.parentNode; above; above = above.parentNode) level += 1;
  return level;
}

/** The parts of a mail in their order; `onPart` has to read each one's content. @throws EMAXLEN, TOO_SLOW */
export async function parseParts(
  raw: Buffer,
  onPart: (part: AttachmentStream, fail: (error: Error) => void) => void,
): Promise<{ parser: MailParser & { hasOddText: boolean }; body: MessageText | null }> {
  const parser = new PartsParser({
    ...LIMITS,
    skipHtmlToText: true,
    skipTextToHtml: true,
    skipTextLinks: true,
    skipImageLinks: true,
    keepDeliveryStatus: true,
    ignoreEmbedded: true,
    checksumAlgo: false,
  });
  let body: MessageText | null = null;
  const { promise: ended, resolve, reject } = Promise.withResolvers<void>();
  const tooSlow = () => Object.assign(new Error(`not read after ${DEADLINE_MS} ms`), { code: 'TOO_SLOW' });
  const deadline = setTimeout(() => reject(tooSlow()), DEADLINE_MS);
  parser.on('error', reject);
  parser.on('end', resolve);
  parser.on('data', (part) => {
    if (part.type === 'text') body = part;
    else onPart(part, reject);
  });
  parser.end(raw);
  try {
    await ended;
  } catch (error) {
    parser.destroy();
    throw error;
  } finally {
    clearTimeout(deadline);
  }
  return { parser, body };
}

async function readParts(raw: Buffer): Promise<Parts | { fault: Error }> {
  const attachments: MimePart[] = [];
  const cms: Buffer[] = [];
  try {
    const { parser, body } = await parseParts(raw, (part, fail) => measure(part, { attachments, cms }, fail));
    const { text = '', html = '' } = (body ?? {}) as Partial<MessageText>;
    const headers = unfold(parser.headerLines || []);
    const isLong = text.length > LONGEST_TEXT;
    const obstacle = parser.hasOddText ? 'odd-encoding' : isLong ? 'text-too-long' : null;
    const content = {
      headers,
      subject: parser.subject ?? '',
      text: obstacle === null ? text : '',
      html: obstacle === null ? html || '' : '',
      attachments,
      obstacle,
    } satisfies MimeContent;
    return { content, cms: cms.length > 0 ? Buffer.concat(cms) : null };
  } catch (fault) {
    return { fault: fault as Error };
  }
}

function measure(
  part: AttachmentStream,
  { attachments, cms }: { attachments: MimePart[]; cms: Buffer[] },
  fail: (error: Error) => void,
): void {
  const hash = createHash('sha256');
  const isKept = isCms(part.contentType) && cms.length === 0;
  let sizeBytes = 0;
  part.content.on('error', fail);
  part.content.on('data', (chunk: Buffer) => {
    hash.update(chunk);
    sizeBytes += chunk.length;
    if (isKept) cms.push(chunk);
  });
  part.content.on('end', () => {
    const { filename = '', contentType } = part;
    const sha256 = hash.digest('hex');
    attachments.push({
      fileName: filename,
      contentType,
      sizeBytes,
      sha256,
      isFile: isFile({ ...part, sizeBytes }),
    });
    part.release?.();
  });
}
