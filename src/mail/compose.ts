import { randomUUID } from 'node:crypto';
import MailComposer from 'nodemailer/lib/mail-composer';
import { LOOP_HEADER } from './headers.ts';
import { stripAnswerPrefixes } from './reply-prefixes.ts';

type Mailbox = { name: string; address: string };

/** One mail to be written. Text and HTML with LF. */
export type MailToCompose = {
  from: Mailbox;
  to: Mailbox;
  /** Where answers go, when not to `from`. */
  replyTo?: Mailbox | undefined;
  copyTo?: readonly string[];
  subject: string;
  /** Of the message this one answers. */
  inReplyTo: string | null;
  /** The References of the message this one answers, the oldest first. */
  references: readonly string[];
  messageId: string;
  date: Date;
  text: string;
  html: string;
  attachments?: readonly { fileName: string; contentType: string; content: Buffer }[];
  headers?: Readonly<Record<string, string>>;
};

/** Mail clients find their thread by the first and by the last ones; the header's length is limited. */
const MOST_REFERENCES = 20;
const LONGEST_ID = 500;
/** A Message-ID that nobody else has (RFC 5322, 3.6.4). */
export function newMessageId(botAddress: string): string {
  const domain = botAddress.slice(botAddress.lastIndexOf('@') + 1);
  return `<${randomUUID()}@${domain}>`;
}

/** The subject of an answer: the sender's own, with `Re:` before it once. */
export function replySubject(subject: string): string {
  return `Re: ${stripAnswerPrefixes(oneLine(subject))}`.trimEnd();
}

/**
 * A whole mail, ready to be sent as it is (RFC 5322, MIME): answers the message `inReplyTo`, says that a program wrote
 * it (RFC 3834), and carries our own header against loops. No value can add a header or a recipient.
 */
export async function composeMail(mail: MailToCompose): Promise<Buffer> {
  const inReplyTo = mail.inReplyTo !== null && isMessageId(mail.inReplyTo) ? mail.inReplyTo : undefined;
  const composer = new MailComposer({
    from: { name: oneLine(mail.from.name), address: oneLine(mail.from.address) },
    to: { name: oneLine(mail.to.name), address: oneLine(mail.to.address) },
    ...(mail.replyTo && {
      replyTo: { name: oneLine(mail.replyTo.name), address: oneLine(mail.replyTo.address) },
    }),
    ...(mail.copyTo && mail.copyTo.length > 0
      ? { cc: mail.copyTo.map((address) => ({ name: '', address: oneLine(address) })) }
      : {}),
    subject: oneLine(mail.subject),
    messageId: mail.messageId,
    date: mail.date,
    ...(inReplyTo === undefined ? {} : { inReplyTo }),
    references: referencesOf(mail.references, inReplyTo),
    headers: {
      'Auto-Submitted': 'auto-replied',
      'X-Auto-Response-Suppress': 'All',
      [LOOP_HEADER]: 'answer',
      ...Object.fromEntries(
        Object.entries(mail.headers ?? {}).map(([name, value]) => [name, oneLine(value)]),
      ),
    },
    text: encodable(mail.text),
    html: encodable(mail.html),
    attachments: (mail.attachments ?? []).map(({ fileName, contentType, content }) => ({
      filename: fileName,
      contentType,
      content,
    })),
    // Without this, nodemailer would mark long lines as format=flowed, which clients re-wrap.
    encoding: encodingFor(mail.text + mail.html),
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return composer.compile().build();
}

/** RFC 5322, 3.6.4: the parent's References and its Message-ID; of a long thread the root and the last ones. */
function referencesOf(references: readonly string[], inReplyTo: string | undefined): string[] {
  const all = [...new Set([...references, inReplyTo ?? ''])].filter(isMessageId);
  return all.length > MOST_REFERENCES + 1 ? [...all.slice(0, 1), ...all.slice(-MOST_REFERENCES)] : all;
}

function isMessageId(id: string): boolean {
  return id.length <= LONGEST_ID && /^<[\x21-\x3b\x3d\x3f-\x7e]+>$/.test(id);
}

/** Mostly ASCII stays legible in the source; other scripts would treble in size. */
function encodingFor(content: string): 'quoted-printable' | 'base64' {
  return Buffer.byteLength(content) > content.length * 1.2 ? 'base64' : 'quoted-printable';
}

const encodable = (content: string) => content.toWellFormed().replace(/\r\n?|\n/g, '\r\n');

function oneLine(value: string): string {
  return value
    .toWellFormed()
    .replace(/\p{Cc}+/gu, ' ')
    .trim();
}
