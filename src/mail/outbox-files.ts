import { sizeInWords } from './amounts.ts';
import { listed } from './attached-files.ts';
import { filesWords } from './attachment-words.ts';
import { safeNames } from './file-names.ts';
import { visibleLine } from './visible-text.ts';

/** What a command has left to be mailed, as it was read from its container. */
export type OutboxFacts = {
  files: readonly { name: string; content: Buffer }[];
  left: readonly { name: string; sizeBytes: number }[];
  oddCount: number;
  isWhole: boolean;
  /** Where it is in the container. */
  path: string;
  /** Not mailed, as a secret stands in them. */
  withheld?: readonly { name: string; labels: readonly string[] }[];
};

type Attachment = { fileName: string; contentType: string; content: Buffer };

/** Only what a mail client shows without running anything. */
const TYPES: Readonly<Record<string, string>> = {
  txt: 'text/plain; charset=utf-8',
  log: 'text/plain; charset=utf-8',
  md: 'text/plain; charset=utf-8',
  patch: 'text/plain; charset=utf-8',
  diff: 'text/plain; charset=utf-8',
  csv: 'text/csv; charset=utf-8',
  json: 'application/json',
  pdf: 'application/pdf',
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  gif: 'image/gif',
  webp: 'image/webp',
  zip: 'application/zip',
  gz: 'application/gzip',
};

/** The attachments that an outbox comes to, and what is to be said of it in the answer. */
export function outboxFiles(outbox: OutboxFacts): { attachments: Attachment[]; notes: string[] } {
  const { files, left, oddCount, isWhole, path, withheld = [] } = outbox;
  const flat = files.map(({ name }) => ({ name: name.replaceAll('/', '-'), contentType: '' }));
  const names = safeNames(flat);
  const attachments = files.map(({ content }, at) => {
    const fileName = names[at] ?? '';
    const ending = fileName.slice(fileName.lastIndexOf('.') + 1).toLowerCase();
    return { fileName, contentType: TYPES[ending] ?? 'application/octet-stream', content };
  });
  const notes: string[] = [];
  if (attachments.length > 0) {
    notes.push(
      filesWords(attachments.map(({ fileName, content }) => ({ fileName, sizeBytes: content.length }))),
    );
  }
  if (left.length > 0) {
    const all = left.map(({ name, sizeBytes }) => `${visibleLine(name, 80)} (${sizeInWords(sizeBytes)})`);
    notes.push(`Too much to be mailed: ${listed(all)}. It is still in ${path}.`);
  }
  if (withheld.length > 0) {
    const all = withheld.map(({ name, labels }) => `${visibleLine(name, 80)} (${labels.join(', ')})`);
    notes.push(`Not attached, as a secret stands in it: ${listed(all)}. It is still in ${path}.`);
  }
  if (oddCount > 0) {
    const things =
      oddCount === 1
        ? '1 link or other thing that is no file'
        : `${oddCount} links or other things that are no files`;
    notes.push(`Not mailed: ${things}, in ${path}.`);
  }
  if (!isWhole) notes.push(`Not all that is in ${path} could be fetched. Your next command finds it there.`);
  return { attachments, notes };
}
