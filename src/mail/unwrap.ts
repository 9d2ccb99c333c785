import { QUOTE_SIGN } from './quote-signs.ts';

/** No client breaks a line that has room for the next word in so many characters. */
const SHORTEST_LIMIT = 65;

/**
 * The text part of a mail without the line breaks that its client put in to keep lines short: Gmail does so after about
 * 75 characters, and of one long command it makes two. The HTML part of the same mail tells which those are, by having
 * no break there. Both are followed as long as they say the same, letter by letter.
 *
 * @param htmlLines the lines of the HTML part, none of them wrapped
 */
export function unwrap(text: string, htmlLines: string): string {
  let unwrapped = '';
  let lineStart = 0;
  let at = 0;
  let inHtml = 0;
  while (at < text.length) {
    const gapStart = at;
    const gap = spaceAt(text, at);
    const htmlGap = spaceAt(htmlLines, inHtml);
    at += gap.length;
    inHtml += htmlGap.length;
    const word = wordAt(text, at);
    if (word === '' || !htmlLines.startsWith(word, inHtml)) {
      const sign = htmlGap.includes('\n') || inHtml === htmlGap.length ? signAt(htmlLines, inHtml) : '';
      if (sign === '') return unwrapped + text.slice(gapStart);
      // What only the page says: here the quote begins, or the signature.
      unwrapped += `\n${sign}\n`;
      inHtml += sign.length;
      at = gapStart;
      continue;
    }
    const isBreak = gap.includes('\n');
    const isFull = gapStart - lineStart + 1 + word.length > SHORTEST_LIMIT;
    unwrapped += (isBreak && isFull && !htmlGap.includes('\n') ? htmlGap : gap) + word;
    if (isBreak) lineStart = gapStart + gap.lastIndexOf('\n') + 1;
    at += word.length;
    inHtml += word.length;
  }
  return unwrapped;
}

const spaceAt = (text: string, at: number): string => matchAt(/\s*/y, text, at);
const wordAt = (text: string, at: number): string => matchAt(/\S*/y, text, at);

const SIGN_LINE = new RegExp(`(?:${QUOTE_SIGN}|-- )(?=\\n|$)`, 'y');
const signAt = (htmlLines: string, at: number): string => matchAt(SIGN_LINE, htmlLines, at);

function matchAt(pattern: RegExp, text: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? '';
}
