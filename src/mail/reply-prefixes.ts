/**
 * What clients put before a subject when they answer or forward, in the languages they do it in. Only these: a plain
 * `word:` is part of the subject.
 */
const ANSWERED =
  're|r|aw|antw|antwort|sv|vs|res|odp|ynt|atb|bls|vá|отв|ответ|απ|σχετ|תשובה|回复|回覆|答复|返信|회신';
const FORWARDED =
  'fw|fwd|wg|tr|rv|enc|vb|vl|pd|i|ilt|i̇lt|doorst|továbbítás|пересл|πρθ|הועבר|转发|轉寄|転送|전달';

const prefix = (words: string): RegExp =>
  new RegExp(`^(?:${words})\\s?(?:\\[\\d+\\]|\\(\\d+\\)|\\^\\d+)?\\s?[:：]\\s*`, 'iu');
const ANSWER_PREFIX = prefix(ANSWERED);
const ANY_PREFIX = prefix(`${ANSWERED}|${FORWARDED}`);

/** A subject without the prefixes of answers and forwards. */
export function stripReplyPrefixes(subject: string): string {
  return strip(subject, ANY_PREFIX);
}

/** A subject without the prefixes of answers: that something was forwarded stays said. */
export function stripAnswerPrefixes(subject: string): string {
  return strip(subject, ANSWER_PREFIX);
}

function strip(subject: string, known: RegExp): string {
  let text = subject.trim();
  for (;;) {
    const next = text.replace(known, '');
    if (next === text) return text;
    text = next;
  }
}
