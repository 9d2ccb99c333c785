/** Made when it is needed: that takes longer than a module does to load. */
let graphemes: Intl.Segmenter | null = null;
const ASCII = /^[\x20-\x7e]*$/;
/** East Asian Wide and Fullwidth (Unicode Standard Annex 11), as far as text has them. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]/u;
/** A character that is a picture by itself, or is made one by the selector U+FE0F. */
const PICTURE = /\p{Emoji_Presentation}|\p{Emoji}\ufe0f/u;
const MARKS_ONLY = /^[\p{Mn}\p{Me}\p{Cf}]+$/u;

/** How many columns of a terminal the text takes: two for a Chinese character, none for an accent that is on another. */
export function displayWidth(text: string): number {
  if (ASCII.test(text)) return text.length;
  graphemes ??= new Intl.Segmenter('en', { granularity: 'grapheme' });
  let width = 0;
  for (const { segment } of graphemes.segment(text)) {
    if (WIDE.test(segment) || PICTURE.test(segment)) width += 2;
    else if (!MARKS_ONLY.test(segment)) width += 1;
  }
  return width;
}
