import { sizeInWords } from './amounts.ts';
import { listed } from './attached-files.ts';

// What mails say of what is attached to them. It is here in one place because a mail that a server has refused for its
// size goes out again without: what it says must be found then, and must not stay.

export const GAP_WORDS = 'all of the output is attached as';
export const BINARY_WORDS = 'all of it attached as';
export const PATCH_WORDS = 'The patch is attached. To apply it elsewhere: git apply';
const TOO_LARGE = 'The patch is too large for a mail';

export const logCutWords = (logName: string): string =>
  `There was more output than a mail can carry: ${logName} has the beginning of it.`;

export const patchCutWords = (patchName: string | null): string =>
  patchName === null ? `${TOO_LARGE}.` : `${TOO_LARGE}: ${patchName} has only the beginning of it.`;

export const filesWords = (files: readonly { fileName: string; sizeBytes: number }[]): string =>
  `Attached: ${listed(files.map(({ fileName, sizeBytes }) => `${fileName} (${sizeInWords(sizeBytes)})`))}.`;

/** What to do about a file with the rows of a query that no mail can carry. */
export const LARGE_CSV_WORDS =
  'Ask for fewer columns or rows, or ask it on the machine: npx threadbox sql --format csv';

export const csvWords = (csvName: string, { hasMore }: { hasMore: boolean }): string =>
  `${csvName} has ${hasMore ? 'them all' : 'the same as a file'}.`;

export const csvLeftOutWords = (csvName: string, sizeBytes: number): string =>
  `${csvName} (${sizeInWords(sizeBytes)}) would make this mail too large. ${LARGE_CSV_WORDS}`;

/** Whether what is attached are the rows of queries: then the mail says of each what is in it. */
export const isOfQueries = (content: string, fileNames: readonly string[]): boolean =>
  fileNames.length > 0 &&
  fileNames.every((name) => [true, false].some((hasMore) => content.includes(csvWords(name, { hasMore }))));

type Names = { logName: string; patchName: string };

/**
 * The same text, or HTML, for a mail that nothing is attached to. What a command has printed is left alone, but for a
 * line that is to the letter as one of ours.
 *
 * @param inFormat how these words stand in it
 */
export function withoutAttachmentWords(
  content: string,
  files: readonly { fileName: string; sizeBytes: number }[],
  { logName, patchName }: Names,
  inFormat: (words: string) => string,
): string {
  const pairs: [said: string, now: string][] = [
    [`left out here; ${GAP_WORDS} ${logName} ...]`, 'left out here ...]'],
    [`of binary data, ${BINARY_WORDS} ${logName}`, 'of binary data'],
    [logCutWords(logName), 'There was more output than a mail can carry.'],
    [`${PATCH_WORDS} ${patchName}`, patchCutWords(null)],
    [patchCutWords(patchName), patchCutWords(null)],
    ...files.flatMap(({ fileName }) =>
      [true, false].map((hasMore): [string, string] => [
        csvWords(fileName, { hasMore }),
        `${fileName} is not attached.`,
      ]),
    ),
    ...(files.length === 0
      ? []
      : [[filesWords(files), `Not a${filesWords(files).slice(1)}`] as [string, string]]),
  ];
  return pairs.reduce((text, [said, now]) => replaceLast(text, inFormat(said), inFormat(now)), content);
}

/** Ours come after the output. */
function replaceLast(text: string, said: string, now: string): string {
  const at = text.lastIndexOf(said);
  return at === -1 ? text : text.slice(0, at) + now + text.slice(at + said.length);
}
