import { attributionEnd, isDivider, isHeaderBlock, isPhoneSignature } from './quote-signs.ts';

/**
 * The last line of every mail of ours, text and HTML: where the quoted part of an answer to it ends, even when the
 * client that quotes puts no `>` before it.
 */
export const REPLY_MARKER = '=== Threadbox: reply above this line ===';

/** Alone on its line, whatever a client put around it: a command may speak of it. */
const MARKER = /^[^\p{L}\p{N}]*threadbox:\s+reply\s+above\s+this\s+line[^\p{L}\p{N}]*$/iu;
/** RFC 3676, 4.3: dash dash space. The space matters: a bare `--` is content. */
const SIGNATURE = '-- ';
const LONGEST_SIGNATURE_LINES = 30;
/** A quoted line at least this long may have been wrapped, its end left on the next line without a `>`. */
const WRAPS_FROM = 65;

/**
 * What the sender typed now: without quoted text and signature.
 *
 * A line goes only where something proves that it is quoted: a client's line of attribution, its block of headers, or
 * our own marker. Here-documents and fenced blocks are never looked into. Text above a quote wins; where nothing stands
 * above, what was typed below or between counts. A quote without a beginning that we can see leaves nothing rather
 * than our own answer as a command.
 */
export function typedText(text: string): string {
  const lines = text.replace(/\r\n?/g, '\n').split('\n');
  const isKept = shellBlocks(lines);
  const marker = lines.findLastIndex((line, at) => !isKept[at] && MARKER.test(line));
  const quote = findQuote(lines, isKept, marker);
  if (quote === null) {
    if (marker !== -1) return '';
    return finish(withoutSignature(lines, isKept));
  }
  const above = finish(withoutSignature(lines.slice(0, quote.start), isKept));
  if (above !== '') return above;
  if (quote.isPrefixed) {
    const below = unquotedLines(lines, isKept, quote.bodyStart);
    return finish(withoutSignature(below, shellBlocks(below)));
  }
  return marker > quote.start ? typedText(lines.slice(marker + 1).join('\n')) : '';
}

type Quote = { start: number; bodyStart: number; isPrefixed: boolean };

function findQuote(lines: readonly string[], isKept: readonly boolean[], marker: number): Quote | null {
  const markedStart = markedBlockStart(lines, isKept, marker);
  for (const [at, line] of lines.entries()) {
    if (isKept[at] || line.trim() === '') continue;
    if (at === markedStart) return { start: at, bodyStart: at, isPrefixed: true };
    const end = attributionEnd(lines, at, marker > at);
    if (end !== null) return { start: at, bodyStart: end, isPrefixed: isQuoted(nextLine(lines, end)) };
    if (isDivider(lines, at) || isHeaderBlock(lines, at)) {
      return { start: at, bodyStart: at + 1, isPrefixed: isQuoted(nextLine(lines, at + 1)) };
    }
  }
  return null;
}

/** Where the run of `>` lines begins in which our marker stands; -1 when it is not in one. */
function markedBlockStart(lines: readonly string[], isKept: readonly boolean[], marker: number): number {
  if (!isQuoted(lines[marker])) return -1;
  let start = marker;
  for (let at = marker; at >= 0; at -= 1) {
    if (isKept[at]) break;
    if (isQuoted(lines[at])) start = at;
    else if (lines[at]?.trim() !== '') break;
  }
  return start;
}

function unquotedLines(lines: readonly string[], isKept: readonly boolean[], from: number): string[] {
  const typed: string[] = [];
  let isTyping = false;
  let lastQuotedLength = 0;
  for (const [at, line] of lines.entries()) {
    if (at < from) continue;
    if (!isKept[at] && isQuoted(line)) {
      lastQuotedLength = line.length;
      isTyping = false;
      continue;
    }
    isTyping ||= isKept[at] === true || line.trim() === '' || lastQuotedLength < WRAPS_FROM;
    if (isTyping) typed.push(line);
  }
  return typed;
}

const isQuoted = (line: string | undefined) => line?.startsWith('>') ?? false;

const nextLine = (lines: readonly string[], from: number) =>
  lines.slice(from, from + 5).find((line) => line.trim() !== '');

function withoutSignature(lines: readonly string[], isKept: readonly boolean[]): string[] {
  const at = lines.findIndex((line, at) => line === SIGNATURE && !isKept[at]);
  const isSignature = at !== -1 && lines.length - at - 1 <= LONGEST_SIGNATURE_LINES;
  const typed = isSignature ? lines.slice(0, at) : [...lines];
  const last = typed.findLastIndex((line) => line.trim() !== '');
  if (last !== -1 && !isKept[last] && isPhoneSignature(typed[last] ?? '')) return typed.slice(0, last);
  return typed;
}

/** Blank lines around the text go, and the fence of a text that is one fenced block. Indentation stays. */
function finish(lines: readonly string[]): string {
  const first = lines.findIndex((line) => line.trim() !== '');
  if (first === -1) return '';
  const typed = lines.slice(first, lines.findLastIndex((line) => line.trim() !== '') + 1);
  const isOneFence =
    fenceEnd(
      typed,
      0,
      typed.findLastIndex((line) => CLOSING_FENCE.test(line)),
    ) ===
    typed.length - 1;
  return (isOneFence ? typed.slice(1, -1) : typed).join('\n');
}

/** Marks the lines of here-documents and of fenced blocks, from the line that opens one to the line that closes it. */
function shellBlocks(lines: readonly string[]): boolean[] {
  const isKept = lines.map(() => false);
  const ends = lastPlaces(lines);
  for (let at = 0; at < lines.length; at += 1) {
    const end = fenceEnd(lines, at, ends.fence) ?? hereDocumentEnd(lines, at, ends);
    if (end === null) continue;
    isKept.fill(true, at, end + 1);
    at = end;
  }
  return isKept;
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
  const opened = /(?<!<)<<(-?)[ \t]*(?:'([^']+)'|"([^"]+)"|\\?([^\s'"<>;|&()`$]+))/g;
  let end = at;
  for (const [, dash, single, double, bare] of (lines[at] ?? '').matchAll(opened)) {
    const word = single ?? double ?? bare ?? '';
    const isIndented = dash === '-';
    if (((isIndented ? last.indented : last.exact).get(word) ?? -1) <= end) continue;
    do end += 1;
    while ((isIndented ? withoutTabs(lines[end] ?? '') : lines[end]) !== word);
  }
  return end === at ? null : end;
}

const withoutTabs = (line: string) => line.replace(/^\t+/, '');
