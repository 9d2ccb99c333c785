/* oxlint-disable no-control-regex -- control characters are what this file is about */

/** C1 controls, which terminals obey as well as those that JSON escapes, and what changes the reading order. */
const UNESCAPED = /[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
/** A backslash that stands for itself, or a control character but tab and line feed. */
const ESCAPED = /\\(?:\\|u00([0-9a-f]{2})|[bfr])/g;
const SHORT: Readonly<Record<string, number>> = { b: 8, f: 12, r: 13 };

/** The same JSON, without characters that a terminal would obey or show in another order: escaped. */
export function harmlessJson(json: string): string {
  return json.replace(
    UNESCAPED,
    (character) => String.raw`\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/**
 * For who takes the escapes away and shows what is left, as pino-pretty does: control characters as their pictures (`␛`),
 * others by their number (`[U+202E]`). Line feeds and tabs stay.
 */
export function plainJson(json: string): string {
  const withPictures = json.replace(ESCAPED, (found, code: string | undefined) => {
    if (found === String.raw`\\`) return found;
    const number = code === undefined ? (SHORT[found.charAt(1)] ?? 0) : Number.parseInt(code, 16);
    return number < 0x20 ? String.fromCharCode(0x2400 + number) : found;
  });
  return withPictures.replace(
    UNESCAPED,
    (character) => `[U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}]`,
  );
}
