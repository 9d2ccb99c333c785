import { parseAddressHeader } from 'mailparser';
import { sizeInWords } from './amounts.ts';
import { LOG_NAME } from './answer.ts';
import { isOfQueries, LARGE_CSV_WORDS, withoutAttachmentWords } from './attachment-words.ts';
import { composeMail } from './compose.ts';
import { LOOP_HEADER } from './headers.ts';
import { PATCH_NAME } from './look-notices.ts';
import { readMime } from './mime.ts';
import { parseMessage } from './parse.ts';
import { escapeHtml, visibleLine } from './visible-text.ts';

/** Where the templates leave room for a word that nobody foresaw when the mail was rendered. */
const PLACE = '<!--note-->';

/**
 * A mail of ours without what is attached to it, saying so.
 *
 * @returns null when nothing is attached
 */
export async function lighterMail(raw: Buffer, messageId: string): Promise<Buffer | null> {
  const [content, mail] = [await readMime(raw), await parseMessage(raw)];
  if (content.attachments.length === 0) return null;
  const note = noteOn(content.attachments, content.text);
  const addresses = (name: string) => parseAddressHeader(content.headers.get(name)?.[0] ?? '').value;
  const replyTo = addresses('reply-to');
  const mailbox = ([first]: { name: string; address?: string }[]) => ({
    name: first?.name ?? '',
    address: first?.address ?? '',
  });
  const files = content.attachments.filter(
    ({ fileName }) => fileName !== LOG_NAME && fileName !== PATCH_NAME,
  );
  const names = { logName: LOG_NAME, patchName: PATCH_NAME };
  const text = withoutAttachmentWords(content.text, files, names, (words) => words);
  const html = withoutAttachmentWords(content.html, files, names, escapeHtml);
  const [title = '', ...rest] = text.split('\n');
  return composeMail({
    from: mailbox(addresses('from')),
    to: mailbox(addresses('to')),
    replyTo: replyTo.length > 0 ? mailbox(replyTo) : undefined,
    copyTo: addresses('cc').flatMap(({ address }) => address ?? []),
    subject: mail.subject,
    inReplyTo: mail.inReplyTo,
    references: mail.references,
    messageId,
    date: mail.date ?? new Date(Number.NaN),
    text: [title, '', note, ...rest].join('\n'),
    html: html.replace(
      PLACE,
      () =>
        `<tr><td class="side ink" style="padding:12px 24px 0;font-size:15px;color:#1b2430;overflow-wrap:anywhere;">${escapeHtml(note)}</td></tr>`,
    ),
    headers: { [LOOP_HEADER]: content.headers.get(LOOP_HEADER.toLowerCase())?.[0] ?? 'answer' },
  });
}

/**
 * What is missing, and how to get at it: a log by asking for less of it, rows by asking for fewer, files from where the
 * command has left them.
 *
 * @param text of the mail
 */
function noteOn(attachments: readonly { fileName: string; sizeBytes: number }[], text: string): string {
  const names = attachments.map(
    ({ fileName, sizeBytes }) => `${visibleLine(fileName, 80)} (${sizeInWords(sizeBytes)})`,
  );
  const one = attachments.length === 1;
  const hasLog = attachments.some(({ fileName }) => fileName === LOG_NAME);
  const isCsv = isOfQueries(
    text,
    attachments.map(({ fileName }) => fileName),
  );
  const hasFiles =
    !isCsv && attachments.some(({ fileName }) => fileName !== LOG_NAME && fileName !== PATCH_NAME);
  const hints = [
    `${names.join(', ')} ${one ? 'is' : 'are'} not attached: with ${one ? 'it' : 'them'}, a mail server refused this mail for its size.`,
    ...(hasLog
      ? ['To see more of the output, ask for a part of it, for example: command | tail -n 200']
      : []),
    ...(isCsv ? [LARGE_CSV_WORDS] : []),
    ...(hasFiles
      ? [
          `What the command left in $THREADBOX_OUTBOX still lies in its container, below /workspace/.outbox: your next command can pack it, or split it over several mails.`,
        ]
      : []),
  ];
  return hints.join(' ');
}
