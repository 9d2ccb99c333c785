import { parseAddressHeader } from 'mailparser';
import { sizeInWords } from './amounts.ts';
import { composeMail } from './compose.ts';
import { LOOP_HEADER } from './headers.ts';
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
  const note = `${content.attachments
    .map(({ fileName, sizeBytes }) => `${visibleLine(fileName, 80)} (${sizeInWords(sizeBytes)})`)
    .join(
      ', ',
    )} is not attached: with it, a mail server refused this mail for its size. To see more, ask for a part of it, for example: command | tail -n 200`;
  const { value: from } = parseAddressHeader(content.headers.get('from')?.[0] ?? '');
  const { value: to } = parseAddressHeader(content.headers.get('to')?.[0] ?? '');
  const mailbox = ([first]: { name: string; address?: string }[]) => ({
    name: first?.name ?? '',
    address: first?.address ?? '',
  });
  const [title = '', ...rest] = content.text.split('\n');
  return composeMail({
    from: mailbox(from),
    to: mailbox(to),
    subject: mail.subject,
    inReplyTo: mail.inReplyTo,
    references: mail.references,
    messageId,
    date: mail.date ?? new Date(Number.NaN),
    text: [title, '', note, ...rest].join('\n'),
    html: content.html.replace(
      PLACE,
      () =>
        `<tr><td class="side ink" style="padding:4px 24px 14px;font-size:15px;color:#1b2430;overflow-wrap:anywhere;">${escapeHtml(note)}</td></tr>`,
    ),
    headers: { [LOOP_HEADER]: content.headers.get(LOOP_HEADER.toLowerCase())?.[0] ?? 'answer' },
  });
}
