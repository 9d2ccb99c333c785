import type { AttachmentStream } from 'mailparser';
import { plural, sizeInWords } from './amounts.ts';
import { readCms } from './cms.ts';
import { safeNames } from './file-names.ts';
import { parseParts } from './mime.ts';
import { isCms, isFile, isOutlookPacking } from './part-kinds.ts';
import { visibleLine } from './visible-text.ts';

export type FileLimits = { fileBytes: number; totalBytes: number };

/** What a mail has attached: what was taken, under names of ours, and in words what was not. */
export type AttachedFiles = { files: { name: string; content: Buffer }[]; leftOut: string[] };

const MOST_FILES = 100;
const MOST_TOLD = 10;
const MOST_SIGNATURES = 3;

type Found = { name: string; contentType: string; sizeBytes: number; content: Buffer | null };

/**
 * The files of a mail, out of its stored bytes. What is beyond the limits is not held in memory.
 *
 * @throws with `code: 'EMAXLEN'` or `'TOO_SLOW'` for what `parseMessage` tells as an obstacle
 */
export async function readAttachedFiles(raw: Buffer, limits: FileLimits): Promise<AttachedFiles> {
  const found = await findFiles(raw, limits, 0);
  const wanted = found.filter(({ content }) => content !== null);
  const names = safeNames(wanted);
  return {
    files: wanted.map(({ content }, at) => ({ name: names[at] ?? '', content: content as Buffer })),
    leftOut: leftOutInWords(
      found.filter(({ content }) => content === null),
      limits,
    ),
  };
}

async function findFiles(raw: Buffer, limits: FileLimits, level: number): Promise<Found[]> {
  const found: Found[] = [];
  const cms: Buffer[] = [];
  const room = { files: MOST_FILES, bytes: limits.totalBytes };
  await parseParts(raw, (part, fail) => {
    if (isCms(part.contentType)) collect(part, fail, (content) => void cms.push(content), Infinity);
    else collect(part, fail, (content, sizeBytes) => take(part, content, sizeBytes), limits.fileBytes);
  });
  const signed = cms[0] && level < MOST_SIGNATURES ? readCms(cms[0]) : null;
  return signed?.kind === 'signed' ? findFiles(signed.content, limits, level + 1) : found;

  function take(part: AttachmentStream, content: Buffer, sizeBytes: number): void {
    if (!isFile({ ...part, sizeBytes })) return;
    const fits = sizeBytes <= limits.fileBytes && sizeBytes <= room.bytes && room.files > 0;
    const isKept = fits && !isOutlookPacking(part);
    if (isKept) {
      room.files -= 1;
      room.bytes -= sizeBytes;
    }
    const { filename: name = '', contentType } = part;
    found.push({ name, contentType, sizeBytes, content: isKept ? content : null });
  }
}

function collect(
  part: AttachmentStream,
  fail: (error: Error) => void,
  done: (content: Buffer, sizeBytes: number) => void,
  mostBytes: number,
): void {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  part.content.on('error', fail);
  part.content.on('data', (chunk: Buffer) => {
    sizeBytes += chunk.length;
    if (sizeBytes <= mostBytes) chunks.push(chunk);
    else chunks.length = 0;
  });
  part.content.on('end', () => {
    done(Buffer.concat(chunks), sizeBytes);
    part.release?.();
  });
}

function leftOutInWords(found: readonly Found[], limits: FileLimits): string[] {
  const packed = found.filter(({ name, contentType }) => isOutlookPacking({ contentType, filename: name }));
  const large = found.filter((file) => !packed.includes(file));
  const told: string[] = [];
  if (large.length > 0) {
    const all = large.map(({ name, sizeBytes }) => `${visibleLine(name, 80)} (${sizeInWords(sizeBytes)})`);
    told.push(
      `Left out of the files attached to your mail: ${listed(all)}. They can have up to ${sizeInWords(limits.fileBytes)} each, ` +
        `${sizeInWords(limits.totalBytes)} and ${MOST_FILES} files in all.`,
    );
  }
  if (packed.length > 0) {
    told.push(
      'winmail.dat was left out: Outlook packs files like that for itself. Send the mail as plain text or HTML.',
    );
  }
  return told;
}

/** Some of many names, in one sentence. */
export function listed(names: readonly string[]): string {
  const more = names.length - MOST_TOLD;
  return more > 0
    ? `${names.slice(0, MOST_TOLD).join(', ')} and ${plural(more, 'more file')}`
    : names.join(', ');
}
