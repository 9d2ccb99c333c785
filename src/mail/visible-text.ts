/* oxlint-disable no-control-regex -- control characters are what this file is about */

/** Nothing in here can hide, reorder or command: the quick way out for ordinary text. */
const HARMLESS = /^[\t\n\x20-\x7e]*$/;
const CONTROLS = /[\0-\x08\x0b-\x1f\x7f-\x9f]/g;
/** They make text read in another order than it has, as in "Trojan Source" (CVE-2021-42574). */
const BIDI = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const INVISIBLE = /[\u00ad\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
const PILED_MARKS = /(\p{M}{6})\p{M}+/gu;
const BELL = '\x07';

/**
 * Text as it may stand in a mail: control characters as their pictures (`␀`), characters that change the reading order
 * by their number (`[U+202E]`), invisible ones gone. Newlines and tabs stay.
 */
export function visibleText(text: string): string {
  if (HARMLESS.test(text)) return text;
  return text
    .toWellFormed()
    .replace(CONTROLS, controlPicture)
    .replace(
      BIDI,
      (character) => `[U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}]`,
    )
    .replace(/[\u2028\u2029]/g, ' ')
    .replace(/[\ufffe\uffff]/g, '\ufffd')
    .replace(INVISIBLE, '')
    .replace(PILED_MARKS, '$1');
}

/** The same on one line, at most `limit` characters: for names and reasons that come from somebody else. */
export function visibleLine(text: string, limit = 200): string {
  const line = visibleText(text.slice(0, limit * 4))
    .replaceAll('\n', '␊')
    .replaceAll('\t', ' ');
  return line.length > limit ? `${line.slice(0, limit - 1).trimEnd()}…`.toWellFormed() : line;
}

/** For element content and quoted attributes. */
export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}

function controlPicture(character: string): string {
  const code = character.charCodeAt(0);
  if (character === BELL) return '';
  if (code === 0x7f) return '␡';
  return code < 0x20 ? String.fromCharCode(0x2400 + code) : '\ufffd';
}
