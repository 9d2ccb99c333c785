/** Why a mail was refused for good. */
export type Refusal = {
  error: string;
  /** As the server said it: `5.3.4` (RFC 3463), or `552` where it says no more. */
  statusCode: string | null;
  /** The same mail may go through when it is smaller. */
  isTooLarge: boolean;
};

const ENHANCED = /(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])/;
const TOO_LARGE: ReadonlySet<string> = new Set(['5.2.3', '5.3.4']);
const FULL = /quota|mailbox (?:is )?full|\bover limit\b|insufficient (?:system )?storage/i;
/** What the driver says when the server has announced a smaller limit (RFC 1870). */
const ANNOUNCED = /message size larger than allowed/i;

/** Gmail's limit of a day; Microsoft 365 where it slows down a sender. */
const ABOUT_ACCOUNT: ReadonlySet<string> = new Set([
  '5.4.5',
  '5.2.251',
  '5.2.252',
  '5.2.253',
  '5.2.254',
  '5.2.255',
]);
const ACCOUNT_FULL =
  /\bSTOREDRV\.Submission\b.*QuotaExceeded|\b(?:sending|submission|message) (?:limit|quota|rate)\b.* exceeded/i;

/**
 * Some refuse for good what is about our account and not about the mail: as many mails as it may send in a day, or a mailbox of
 * ours that is full. The same mail goes through when that has passed.
 */
export function isAboutAccount(said: string): boolean {
  return ABOUT_ACCOUNT.has(ENHANCED.exec(said)?.[1] ?? '') || ACCOUNT_FULL.test(said);
}

/** What a server's last word on a mail comes to. @param replyCode of SMTP, where there was one */
export function refusalOf(said: string, replyCode: number | null): Omit<Refusal, 'error'> {
  const enhanced = ENHANCED.exec(said)?.[1] ?? null;
  const isFull = enhanced === '5.2.2' || FULL.test(said);
  const isTooLarge = TOO_LARGE.has(enhanced ?? '') || ANNOUNCED.test(said) || (replyCode === 552 && !isFull);
  return { statusCode: enhanced ?? (replyCode === null ? null : String(replyCode)), isTooLarge };
}
