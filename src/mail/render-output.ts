import { BINARY_WORDS, GAP_WORDS } from './attachment-words.ts';
import { sizeInWords } from './amounts.ts';
import { hexDump, looksBinary, wholeCharacters } from './raw-output.ts';
import { terminalLines, type Line, type Span } from './terminal.ts';
import { escapeHtml } from './visible-text.ts';

/** What a command wrote: all of it, or its beginning and its end. */
export type OutputBytes = { head: Buffer; tail: Buffer; totalBytes: number; omittedBytes: number };

export type RenderedOutput = {
  text: string;
  /** The content of a `pre` on the dark block. */
  html: string;
  /** For the list view of a mail client: the last line that says something. */
  lastLine: string;
  /** The mail does not show all of it. */
  isCut: boolean;
};

/** Gmail clips a mail at 102 KB: what is below, our own words, would be lost. */
const MOST_HTML_BYTES = 78_000;
const FIRST_BUDGET = { characters: 20_000, lines: 400 };
/** Of what is shown of a long output. What went wrong stands near the end. */
const HEAD_SHARE = 0.3;
const LEAST_CHARACTERS = 4000;
const DUMPED_BYTES = 128;
const LONGEST_LINE = 2000;
const KEPT_OF_LINE = { start: 800, end: 300 };
const MARK_CSS = 'color:#93a1b3;font-style:italic';
const LONGEST_URL = 500;
const LINK_CSS = 'color:#8cc8ff;text-decoration:underline';

/**
 * Any bytes, as they may stand in a mail.
 *
 * @param wholeIn the name of the attachment that has all of it, where there will be one.
 */
export function renderOutput(output: OutputBytes, wholeIn: string | null): RenderedOutput {
  if (looksBinary(output.head, output.tail)) return renderBinary(output, wholeIn);
  const parts = readParts(output);
  let { characters, lines } = FIRST_BUDGET;
  for (;;) {
    const excerpt = cut(parts, characters, lines);
    const rendered = renderExcerpt(excerpt, wholeIn);
    if (Buffer.byteLength(rendered.html) <= MOST_HTML_BYTES) return rendered;
    // Every character in another colour: the colours are what is too much.
    if (characters <= LEAST_CHARACTERS) return { ...rendered, html: escapeHtml(rendered.text) };
    characters /= 2;
    lines /= 2;
  }
}

/** `after` is null where nothing was left out between the two. */
type Parts = { before: Line[]; omittedBytes: number; after: Line[] | null; hasCutLines: boolean };

function readParts({ head, tail, omittedBytes }: OutputBytes): Parts {
  if (omittedBytes === 0) {
    const whole = terminalLines(Buffer.concat([head, tail]).toString('utf8'));
    const said = withoutBlankStart(withoutBlankEnd(whole));
    const before = said.map(shortened);
    return { before, omittedBytes, after: null, hasCutLines: before.some((line, at) => line !== said[at]) };
  }
  let lost = omittedBytes;
  const before = withoutBlankStart(terminalLines(wholeCharacters(head, 'end')));
  const after = withoutBlankEnd(terminalLines(wholeCharacters(tail, 'start')));
  // The lines next to the gap are pieces. One of ordinary length says little; one of a huge line is all there is.
  const lastPiece = before.pop() ?? [];
  const firstPiece = after.shift() ?? [];
  if (before.length === 0 || lengthOf(lastPiece) > LONGEST_LINE) {
    before.push(firstCharacters(lastPiece, KEPT_OF_LINE.start));
    lost += sizeOf([lastPiece]) - sizeOf(before.slice(-1));
  } else lost += sizeOf([lastPiece]) - 1;
  if (after.length === 0 || lengthOf(firstPiece) > LONGEST_LINE) {
    after.unshift(lastCharacters(firstPiece, KEPT_OF_LINE.start));
    lost += sizeOf([firstPiece]) - sizeOf(after.slice(0, 1));
  } else lost += sizeOf([firstPiece]);
  return {
    before: before.map(shortened),
    omittedBytes: lost,
    after: after.map(shortened),
    hasCutLines: true,
  };
}

type Excerpt = { before: Line[]; gapBytes: number; after: Line[]; isCut: boolean };

function cut(
  { before, omittedBytes, after, hasCutLines }: Parts,
  characters: number,
  count: number,
): Excerpt {
  if (after === null && fitting(before, characters, count) === before.length) {
    return { before, gapBytes: 0, after: [], isCut: hasCutLines };
  }
  const first = before.slice(0, Math.max(1, fitting(before, characters * HEAD_SHARE, count * HEAD_SHARE)));
  const rest = after ?? before.slice(first.length);
  const lastCount = Math.max(
    1,
    fitting(rest.toReversed(), characters * (1 - HEAD_SHARE), count * (1 - HEAD_SHARE)),
  );
  const last = rest.slice(-lastCount);
  const dropped = [
    ...(after === null ? [] : before.slice(first.length)),
    ...rest.slice(0, Math.max(0, rest.length - lastCount)),
  ];
  return { before: first, gapBytes: omittedBytes + sizeOf(dropped), after: last, isCut: true };
}

function renderExcerpt({ before, gapBytes, after, isCut }: Excerpt, wholeIn: string | null): RenderedOutput {
  const lines =
    gapBytes > 0 ? [...before, [], [gapMark(gapBytes, wholeIn)], [], ...after] : [...before, ...after];
  const texts = lines.map(textOf);
  const shown = gapBytes > 0 && after.length > 0 ? after.map(textOf) : texts;
  return {
    text: texts.join('\n'),
    html: lines.map((line) => line.map(spanHtml).join('')).join('\n'),
    lastLine: shown.findLast((line) => /[\p{L}\p{N}]/u.test(line))?.trim() ?? '',
    isCut,
  };
}

function renderBinary({ head, totalBytes }: OutputBytes, wholeIn: string | null): RenderedOutput {
  const dump = hexDump(head.subarray(0, DUMPED_BYTES));
  const rest = totalBytes > DUMPED_BYTES ? '; its beginning' : '';
  const attached = wholeIn === null ? '' : `, ${BINARY_WORDS} ${wholeIn}`;
  const told = `[${sizeInWords(totalBytes)} of binary data${attached}${rest}:]`;
  return {
    text: `${told}\n\n${dump}`,
    html: `${spanHtml({ text: told, css: MARK_CSS })}\n\n${escapeHtml(dump)}`,
    lastLine: `${sizeInWords(totalBytes)} of binary data`,
    isCut: true,
  };
}

function gapMark(gapBytes: number, wholeIn: string | null): Span {
  const attached = wholeIn === null ? '' : `; ${GAP_WORDS} ${wholeIn}`;
  return { text: `[... ${sizeInWords(gapBytes)} left out here${attached} ...]`, css: MARK_CSS };
}

function shortened(line: Line): Line {
  const length = lengthOf(line);
  if (length <= LONGEST_LINE) return line;
  const start = firstCharacters(line, KEPT_OF_LINE.start);
  const end = lastCharacters(line, KEPT_OF_LINE.end);
  const lost = sizeOf([line]) - sizeOf([start, end]) + 1;
  return [
    ...start,
    { text: ` [... ${sizeInWords(lost)} of this line left out ...] `, css: MARK_CSS },
    ...end,
  ];
}

function firstCharacters(line: Line, limit: number): Line {
  const kept: Span[] = [];
  let left = limit;
  for (const { text, css } of line) {
    if (left <= 0) break;
    kept.push({ text: text.slice(0, left).replace(/[\ud800-\udbff]$/, ''), css });
    left -= text.length;
  }
  return kept;
}

function lastCharacters(line: Line, limit: number): Line {
  const kept: Span[] = [];
  let left = limit;
  for (const { text, css } of line.toReversed()) {
    if (left <= 0) break;
    kept.unshift({ text: text.slice(-left).replace(/^[\udc00-\udfff]/, ''), css });
    left -= text.length;
  }
  return kept;
}

function withoutBlankEnd(lines: Line[]): Line[] {
  return lines.slice(0, lines.findLastIndex((line) => textOf(line) !== '') + 1);
}

function withoutBlankStart(lines: Line[]): Line[] {
  const first = lines.findIndex((line) => textOf(line) !== '');
  return first === -1 ? [] : lines.slice(first);
}

/** How many of the lines, from the first on, are within both limits. */
function fitting(lines: readonly Line[], characters: number, count: number): number {
  let left = characters;
  const end = lines.findIndex((line) => (left -= lengthOf(line) + 1) < 0);
  return Math.min(end === -1 ? lines.length : end, Math.floor(count));
}

const lengthOf = (line: Line) => line.reduce((sum, { text }) => sum + text.length, 0);

const sizeOf = (lines: readonly Line[]) =>
  lines.reduce((sum, line) => line.reduce((size, { text }) => size + Buffer.byteLength(text), sum + 1), 0);

/** Without white space at its end, or a mail client could take `-- ` for the start of a signature. */
const textOf = (line: Line) =>
  line
    .map(({ text }) => text)
    .join('')
    .trimEnd();

function spanHtml({ text, css }: Span): string {
  const content = linked(escapeHtml(text));
  return css === '' ? content : `<span style="${css}">${content}</span>`;
}

/** Makes links of what are plainly web addresses. One with a user name in it is left as text: it may pose as another. */
function linked(html: string): string {
  if (!html.includes('://')) return html;
  return html.replace(/\bhttps?:\/\/(?:[\w\-.~:/?#[\]@!$()*+,;=%]|&amp;)+/g, (match) => {
    if (match.length > LONGEST_URL) return match;
    const url = match.replace(/(?:[.,;:!?)\]*]|&amp;)+$/, '');
    const host = /^https?:\/\/([^/?#]*)/.exec(url)?.[1] ?? '';
    if (!/^[\w-]+(?:\.[\w-]+)*(?::\d+)?$/.test(host)) return match;
    return `<a href="${url}" style="${LINK_CSS}">${url}</a>${match.slice(url.length)}`;
  });
}
