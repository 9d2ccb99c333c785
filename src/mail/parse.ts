import { hash } from 'node:crypto';
import { essentialHeaders } from './essential-headers.ts';
import { htmlToText } from './html-text.ts';
import { firstName, mailboxesIn } from './mailboxes.ts';
import { readMime } from './mime.ts';
import type { MimeContent, Obstacle } from './mime-content.ts';
import { isPgpEncrypted, withoutPgpArmour } from './pgp.ts';
import { plainAddress, singleAddress } from './sender.ts';
import { unwrap } from './unwrap.ts';

/** One mail as values. Nothing in it is verified; every field was written by whoever sent it. */
export type ParsedMessage = {
  /** With its angle brackets. */
  messageId: string | null;
  inReplyTo: string | null;
  /** Oldest first. */
  references: string[];
  /** The one address of the one From field, lower case; null where that is not so. */
  sender: string | null;
  senderName: string;
  /** Everybody in To, Cc, Delivered-To and X-Original-To, lower case. */
  recipients: string[];
  /** Those of To and Cc alone: whom the sender wrote to. */
  addressees: string[];
  /** Decoded, on one line. */
  subject: string;
  date: Date | null;
  /** With LF; of mail that has only HTML, the lines typed there. */
  text: string;
  /** Unfolded, not decoded, from top to bottom; names in lower case. */
  headers: Map<string, string[]>;
  attachments: { fileName: string; contentType: string; sizeBytes: number; isFile: boolean }[];
  /** Why there is no text, where it could not be read. */
  obstacle: Obstacle | null;
  /** The same for two copies of one mail: of subject, text and attachments. */
  bodyHash: string;
};

/** RFC 5322, 2.1.1: no line is longer, so no Message-ID is. PostgreSQL's indexes would not take a longer one either. */
const LONGEST_ID = 998;
const LONGEST_SUBJECT = 2000;
const LONGEST_NAME = 200;
const MOST_REFERENCES = 200;
const MOST_RECIPIENTS = 1000;

/**
 * Bytes of a mail to values; those of its headers alone do as well. Odd mail is read as far as it can be.
 *
 * @throws with `code: 'UNREADABLE'` when it is no mail.
 */
export async function parseMessage(raw: Buffer): Promise<ParsedMessage> {
  const content = await readMime(raw);
  const { headers } = content;
  const from = headers.get('from') ?? [];
  const subject = oneLine(content.subject, LONGEST_SUBJECT);
  const written = typedLines(content);
  const obstacle = content.obstacle ?? (isPgpEncrypted(written) ? 'encrypted' : null);
  const text = obstacle === null ? withoutPgpArmour(written) : '';
  const [sender = ''] = from;
  const addressees = addressesIn(headers, ['to', 'cc']);
  return {
    messageId: messageIds(headers, 'message-id')[0] ?? bareId(headers.get('message-id')?.[0]),
    inReplyTo: messageIds(headers, 'in-reply-to')[0] ?? null,
    references: messageIds(headers, 'references').slice(-MOST_REFERENCES),
    sender: from.length === 1 ? singleAddress(sender) : null,
    senderName: oneLine(firstName(sender), LONGEST_NAME),
    recipients: [
      ...new Set([...addressees, ...addressesIn(headers, ['delivered-to', 'x-original-to'])]),
    ].slice(0, MOST_RECIPIENTS),
    addressees,
    subject,
    date: date(headers.get('date')?.[0]),
    text,
    headers,
    attachments: content.attachments.map(({ fileName, contentType, sizeBytes, isFile }) => ({
      fileName: oneLine(fileName, LONGEST_NAME),
      contentType,
      sizeBytes,
      isFile,
    })),
    obstacle,
    bodyHash: hash(
      'sha256',
      JSON.stringify([subject, text, content.attachments.map(({ sha256 }) => sha256)]),
    ),
  };
}

/** As {@link parseMessage}, and of what is no mail why it is none. */
export async function readMessage(raw: Buffer): Promise<ParsedMessage | { unreadable: string }> {
  try {
    return await parseMessage(raw);
  } catch (error) {
    return { unreadable: (error as Error).message };
  }
}

/** The header alone, as of a mail that has ended each process which read the whole. */
export async function readHeader(raw: Buffer): Promise<ParsedMessage | { unreadable: string }> {
  const message = await readMessage(essentialHeaders(raw));
  return 'unreadable' in message ? message : { ...message, text: '', obstacle: 'deadly' };
}

function typedLines({ text, html }: MimeContent): string {
  const lines = withoutNul(text.replace(/\r*\n|\r/g, '\n').replace(/^\u{feff}/u, ''));
  if (html === '') return lines;
  const htmlLines = withoutNul(htmlToText(html));
  if (lines.trim() === '') return htmlLines;
  // An HTML editor writes no-break spaces where spaces were typed, and its client leaves them in the text part.
  return unwrap(lines.replaceAll('\u{a0}', ' '), htmlLines);
}

/** Neither PostgreSQL nor an argument of a process can hold it. */
const withoutNul = (text: string) => text.replaceAll('\0', '');

function oneLine(text: string, longest: number): string {
  const line = text.replace(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ').trim();
  return line.length <= longest ? line : line.slice(0, longest).toWellFormed().trim();
}

function messageIds(headers: Map<string, string[]>, name: string): string[] {
  const ids = (headers.get(name) ?? []).flatMap((value) => value.match(/<[^<>\s]+>/g) ?? []);
  return [...new Set(ids.filter((id) => id.length <= LONGEST_ID).map((id) => id.replaceAll('\0', '')))];
}

/** Some programs leave the brackets out. */
function bareId(value = ''): string | null {
  const id = value.trim().replaceAll('\0', '');
  return /^[^<>\s]+$/.test(id) && id.length <= LONGEST_ID ? `<${id}>` : null;
}

/** The plain addresses of some fields, lower case. @param names of the fields, lower case */
export function addressesIn(headers: Map<string, string[]>, names: readonly string[]): string[] {
  const addresses = names
    .flatMap((name) => headers.get(name) ?? [])
    .flatMap(mailboxesIn)
    .map(({ address }) => plainAddress(address))
    .filter((address) => address !== null);
  return [...new Set(addresses)].slice(0, MOST_RECIPIENTS);
}

function date(value: string | undefined): Date | null {
  const parsed = new Date(value ?? Number.NaN);
  return Number.isNaN(parsed.getTime()) ? null : parsed;
}
