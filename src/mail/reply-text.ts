import { isPhoneSignature } from './phone-signatures.ts';
import { attributionEnd, isDivider, isHeaderBlock } from './quote-signs.ts';
import { fencedLines, hasFenceBeside, isUnfinished, shellBlocks, type Block } from './shell-blocks.ts';

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
/** The rule above what a mailing list or a mail gateway adds at the end. No command begins like that. */
const FOOTER_RULE = /^\s*[-_=*]{10,}\s*$/;

/**
 * Why it is not sure what was typed:
 *
 * - `around-a-quote`: there is text above the quoted mail and below it
 * - `between-quoted-lines`: what was typed stands between quoted lines, or has them in it
 * - `cut-short`: what seemed to be quoted, or a signature, stands within a quote or a here-document of the script
 * - `open-quote`: a line like "On Monday, Bot wrote:", and nothing that says that what follows was quoted
 * - `no-beginning`: an answer of ours is quoted, and nothing tells where it begins
 * - `beside-a-fence`: a fenced block, and other lines
 * - `broken-lines`: a mail program may have made two lines of one
 */
export type Doubt =
  | 'around-a-quote'
  | 'between-quoted-lines'
  | 'cut-short'
  | 'open-quote'
  | 'no-beginning'
  | 'beside-a-fence'
  | 'broken-lines';

/** `text`: what was understood, also where there is a doubt. Half a command must not be run. */
export type Typed = { text: string; doubt: Doubt | null };

/**
 * What the sender typed now: without quoted text and signature.
 *
 * A line goes only where something proves that it is quoted: a client's line of attribution, its block of headers, or
 * our own marker. Here-documents and fenced blocks are never looked into. A quote without a beginning that we can see
 * leaves nothing rather than our own answer as a command. A fenced block that stands alone is taken as it is.
 */
export function readTyped(text: string): Typed {
  const lines = withTabsAsSigns(text.replace(/\r\n?/g, '\n').split('\n'));
  const blocks = shellBlocks(lines);
  const marker = lines.findLastIndex((line, at) => blocks[at] === null && MARKER.test(line));
  const quote = findQuote(lines, blocks, marker);
  if (quote === null) {
    if (marker !== -1) return { text: '', doubt: 'no-beginning' };
    return hasQuotedWords(lines, blocks) ? amidQuotes(lines, blocks) : judge(lines, blocks);
  }
  const above = judge(lines.slice(0, quote.start), blocks, true);
  if (above.text !== '') {
    const isSure = above.doubt !== null || isFenced(lines.slice(0, quote.start), blocks);
    if (isSure) return above;
    const lastLine = above.text.slice(above.text.lastIndexOf('\n') + 1);
    if (quote.isPrefixed && !quote.isAttribution && ANNOUNCES.test(lastLine.slice(-200)))
      return { ...above, doubt: 'open-quote' };
    return { ...above, doubt: doubtBelow(lines, blocks, quote, marker) };
  }
  if (quote.isPrefixed) {
    const { typed, isBetween } = unquoted(lines, blocks, quote.bodyStart);
    const below = judge(typed, shellBlocks(typed), true);
    return below.text !== '' && isBetween ? { ...below, doubt: 'between-quoted-lines' } : below;
  }
  return marker > quote.start ? readTyped(lines.slice(marker + 1).join('\n')) : { text: '', doubt: null };
}

/** The end of a text that seems to announce what is quoted below it, in a language that is not known here. */
const ANNOUNCES = /\p{Nd}.*[:：]\p{Cf}*$/u;

/** A redirection is followed by one word, unless it goes on with the line before, which ends with a backslash. */
const QUOTED_WORDS = /^> \S+\s+\S/;
const GOES_ON = /\\$/;

/** Quoted lines of which nothing says that they are: whoever answers between them may have cut the rest away. */
function hasQuotedWords(lines: readonly string[], blocks: readonly Block[]): boolean {
  const isQuote = (line: string, at: number) => QUOTED_WORDS.test(line) && !GOES_ON.test(lines[at - 1] ?? '');
  return lines.some((line, at) => blocks[at] === null && isQuote(line, at));
}

function amidQuotes(lines: readonly string[], blocks: readonly Block[]): Typed {
  const { typed } = unquoted(lines, blocks, 0);
  return { text: judge(typed, shellBlocks(typed), true).text, doubt: 'between-quoted-lines' };
}

/** s-nail puts a tab before what it quotes: where it did so to our marker, it says the same as `>`. */
function withTabsAsSigns(lines: string[]): string[] {
  const marker = lines.findLastIndex((line) => line.startsWith('\t') && MARKER.test(line));
  const start =
    marker === -1 ? -1 : lines.findIndex((_, at) => attributionEnd(lines, at, marker > at) !== null);
  if (start === -1) return lines;
  const isSign = (line: string, at: number) => at > start && at <= marker && line.startsWith('\t');
  return lines.map((line, at) => (isSign(line, at) ? `> ${line.slice(1)}` : line));
}

type Quote = { start: number; bodyStart: number; isPrefixed: boolean; isAttribution: boolean };

function findQuote(lines: readonly string[], blocks: readonly Block[], marker: number): Quote | null {
  const markedStart = markedBlockStart(lines, blocks, marker);
  for (const [at, line] of lines.entries()) {
    if (blocks[at] !== null || line.trim() === '') continue;
    if (at === markedStart) return { start: at, bodyStart: at, isPrefixed: true, isAttribution: false };
    const isOurs = marker > at;
    const end = attributionEnd(lines, at, isOurs);
    const isHead = end === null && (isDivider(lines, at, isOurs) || isHeaderBlock(lines, at, isOurs));
    if (end === null && !isHead) continue;
    const from = end ?? at + 1;
    const quoted = firstQuoted(lines, from, end === null ? MOST_LINES_BEFORE : 1);
    const bodyStart = quoted === -1 ? from : quoted;
    return { start: at, bodyStart, isPrefixed: quoted !== -1, isAttribution: end !== null };
  }
  return null;
}

/** An attribution may stand between what announces a quote and its first `>`. */
const MOST_LINES_BEFORE = 4;

/** The first of the next few lines, blank ones apart, that has a `>` before it; or -1. */
function firstQuoted(lines: readonly string[], from: number, most: number): number {
  let seen = 0;
  for (let at = from; at < lines.length && at < from + MOST_LINES_APART && seen < most; at += 1) {
    if (isQuoted(lines[at])) return at;
    if (lines[at]?.trim() !== '') seen += 1;
  }
  return -1;
}

const MOST_LINES_APART = 12;

/** Where the run of `>` lines begins in which our marker stands; -1 when it is not in one. */
function markedBlockStart(lines: readonly string[], blocks: readonly Block[], marker: number): number {
  if (!isQuoted(lines[marker])) return -1;
  let start = marker;
  for (let at = marker; at >= 0; at -= 1) {
    if (blocks[at] !== null) break;
    if (isQuoted(lines[at])) start = at;
    else if (lines[at]?.trim() !== '') break;
  }
  return start;
}

/** What stands below a quote where text stands above it. */
function doubtBelow(
  lines: readonly string[],
  blocks: readonly Block[],
  { start, bodyStart, isPrefixed, isAttribution }: Quote,
  marker: number,
): Doubt | null {
  if (isPrefixed) {
    const { typed } = unquoted(lines, blocks, bodyStart);
    return hasWords(withoutFooter(typed)) ? 'around-a-quote' : null;
  }
  if (marker > start) return hasWords(withoutFooter(lines.slice(marker + 1))) ? 'around-a-quote' : null;
  return isAttribution && hasWords(lines.slice(bodyStart)) ? 'open-quote' : null;
}

/**
 * The lines that no `>` stands before.
 *
 * @returns `isBetween`: quoted ones follow what was typed
 */
function unquoted(lines: readonly string[], blocks: readonly Block[], from: number) {
  const typed: string[] = [];
  let isTyping = false;
  let hasTyped = false;
  let isBetween = false;
  let lastQuotedLength = 0;
  for (let at = from; at < lines.length; at += 1) {
    const line = lines[at] ?? '';
    if (blocks[at] === null && isQuoted(line)) {
      lastQuotedLength = line.length;
      isTyping = false;
      isBetween ||= hasTyped;
      continue;
    }
    isTyping ||= blocks[at] !== null || line.trim() === '' || lastQuotedLength < WRAPS_FROM;
    if (!isTyping) continue;
    typed.push(line);
    hasTyped ||= line.trim() !== '';
  }
  return { typed, isBetween };
}

const isQuoted = (line: string | undefined) => line?.startsWith('>') ?? false;
const hasWords = (lines: readonly string[]) => lines.some((line) => line.trim() !== '');

/** @param isCut more lines stood there, which were taken for no part of it */
function judge(lines: readonly string[], blocks: readonly Block[], isCut = false): Typed {
  const signed = trimmed(lines);
  const typed = trimmed(withoutSignature(lines, blocks));
  const fenced = fencedLines(typed);
  if (fenced) return { text: fenced.join('\n'), doubt: null };
  const text = typed.join('\n');
  if (hasFenceBeside(typed)) return { text, doubt: 'beside-a-fence' };
  const wasCut = isCut || typed.length < signed.length;
  return { text, doubt: wasCut && isUnfinished(typed) ? 'cut-short' : null };
}

const isFenced = (lines: readonly string[], blocks: readonly Block[]) =>
  fencedLines(trimmed(withoutSignature(lines, blocks))) !== null;

function withoutSignature(lines: readonly string[], blocks: readonly Block[]): string[] {
  const at = lines.findIndex((line, at) => line === SIGNATURE && blocks[at] === null);
  const isSignature = at !== -1 && lines.length - at - 1 <= LONGEST_SIGNATURE_LINES;
  const typed = isSignature ? lines.slice(0, at) : [...lines];
  const last = typed.findLastIndex((line) => line.trim() !== '');
  if (last !== -1 && blocks[last] === null && isPhoneSignature(typed[last] ?? ''))
    return typed.slice(0, last);
  return typed;
}

/** Without a signature, and without what a list or a gateway has put below a rule. */
function withoutFooter(lines: readonly string[]): string[] {
  const typed = withoutSignature(lines, shellBlocks(lines));
  const rule = typed.findIndex((line) => FOOTER_RULE.test(line));
  return rule === -1 ? typed : typed.slice(0, rule);
}

/** Without the blank lines around it. Indentation stays. */
function trimmed(lines: readonly string[]): string[] {
  const first = lines.findIndex((line) => line.trim() !== '');
  return first === -1 ? [] : lines.slice(first, lines.findLastIndex((line) => line.trim() !== '') + 1);
}
