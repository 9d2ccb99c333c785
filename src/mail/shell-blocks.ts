/** The shape of a script as far as mail must know it: what may not be looked into, and what cannot be all of it. */

/** What a line is part of. Quoted text, signatures and headers are not looked for in there. */
export type Block = 'fence' | 'here-document' | null;

/** Of each line, the block that it belongs to, from the line that opens it to the line that closes it. */
export function shellBlocks(lines: readonly string[]): Block[] {
  const blocks: Block[] = lines.map(() => null);
  // As nearly always.
  if (!lines.some((line) => line.includes('<<') || line.includes('```'))) return blocks;
  const ends = lastPlaces(lines);
  for (let at = 0; at < lines.length; at += 1) {
    const fence = fenceEnd(lines, at, ends.fence);
    const end = fence ?? hereDocumentEnd(lines, at, ends);
    if (end === null) continue;
    blocks.fill(fence === null ? 'here-document' : 'fence', at, end + 1);
    at = end;
  }
  return blocks;
}

/** The lines within the fence of a text that is one fenced block and nothing else, or null. */
export function fencedLines(lines: readonly string[]): string[] | null {
  const last = lines.findLastIndex((line) => CLOSING_FENCE.test(line));
  return fenceEnd(lines, 0, last) === lines.length - 1 ? lines.slice(1, -1) : null;
}

/** True when a fenced block stands beside other lines, where no shell would take it for anything. */
export function hasFenceBeside(lines: readonly string[]): boolean {
  const blocks = shellBlocks(lines);
  const at = blocks.indexOf('fence');
  // In a quoted argument, say the text of a pull request, it is as good as any line.
  return at !== -1 && openQuote(lines.slice(0, at), blocks) === null;
}

/** True when more must have followed: a quote or a here-document is open, or the last line wants another one. */
export function isUnfinished(lines: readonly string[]): boolean {
  const blocks = shellBlocks(lines);
  if (openQuote(lines, blocks) !== null) return true;
  const opens = (line: string) => line.includes('<<') && openedWords(bare(line)).length > 0;
  if (lines.some((line, at) => blocks[at] === null && opens(line))) return true;
  const last = lines.findLast((line) => line.trim() !== '') ?? '';
  return /(?:^|[^\\])(?:\\\\)*\\$|(?:&&|\|)\s*$/.test(last);
}

/** A line without quoted arguments, arithmetic and comment, where `<<` opens nothing. */
const bare = (line: string) =>
  line
    // An escaped quote is tried as the beginning of an argument each time: of a very long line that is too much work.
    .slice(0, 10_000)
    .replaceAll(/(?<!<<-?[ \t]*)(?:"(?:\\.|[^"\\])*"|'[^']*')/g, '')
    .replaceAll(/\(\([^()]*\)\)/g, '')
    .replace(/(?:^|\s)#.*$/, '');

/** The quotation mark that is still open after these lines. */
function openQuote(lines: readonly string[], blocks: readonly Block[]): string | null {
  let open: string | null = null;
  for (const [at, line] of lines.entries()) {
    if (blocks[at] !== null) continue;
    for (const [sign] of line.matchAll(/\\.|["']|(?<=^|[\s;&|(])#/g)) {
      if (open === null && sign === '#') break;
      if (open === null && (sign === '"' || sign === "'")) open = sign;
      // A backslash means nothing between single quotes, and the mark after it ends them.
      else if (open === sign || (open === "'" && sign === String.raw`\'`)) open = null;
    }
  }
  return open;
}

const FENCE = /^ {0,3}`{3,}[^`]*$/;
const CLOSING_FENCE = /^ {0,3}`{3,}\s*$/;

/** Where each line stands for the last time, so that nobody searches to the end of a long mail again and again. */
function lastPlaces(lines: readonly string[]) {
  return {
    exact: new Map(lines.map((line, at) => [line, at])),
    indented: new Map(lines.map((line, at) => [withoutTabs(line), at])),
    fence: lines.findLastIndex((line) => CLOSING_FENCE.test(line)),
  };
}

function fenceEnd(lines: readonly string[], at: number, last: number): number | null {
  if (at >= last || !FENCE.test(lines[at] ?? '')) return null;
  let end = at + 1;
  while (!CLOSING_FENCE.test(lines[end] ?? '')) end += 1;
  return end;
}

/** The line that ends the last here-document opened in a line, or null when there is none that ends. */
function hereDocumentEnd(
  lines: readonly string[],
  at: number,
  last: { exact: ReadonlyMap<string, number>; indented: ReadonlyMap<string, number> },
): number | null {
  let end = at;
  for (const { word, isIndented } of openedWords(lines[at] ?? '')) {
    if (((isIndented ? last.indented : last.exact).get(word) ?? -1) <= end) continue;
    do end += 1;
    while ((isIndented ? withoutTabs(lines[end] ?? '') : lines[end]) !== word);
  }
  return end === at ? null : end;
}

/** The words that end the here-documents which a line opens. A number is what a shift in arithmetic is by. */
function openedWords(line: string): { word: string; isIndented: boolean }[] {
  const opened = /(?<!<)<<(-?)[ \t]*(?:'([^']+)'|"([^"]+)"|\\?([^\s'"<>;|&()`$]+))/g;
  return [...line.matchAll(opened)]
    .map(([, dash, single, double, bare]) => ({
      word: single ?? double ?? bare ?? '',
      isIndented: dash === '-',
    }))
    .filter(({ word }) => !/^\d+$/.test(word));
}

const withoutTabs = (line: string) => line.replace(/^\t+/, '');
