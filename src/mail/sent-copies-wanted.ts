import type { SentCopiesSetting } from '../config.ts';

/** Their SMTP servers put a copy into the Sent mailbox themselves. */
const COPYING =
  /(?:^|\.)(?:gmail\.com|googlemail\.com|google\.com|office365\.com|outlook\.com|office\.com|hotmail\.com|live\.com)$/i;

/** Whether copies of sent mails are made. @param imapHost null where the embedded mail server is used */
export function wantsSentCopies(setting: SentCopiesSetting, imapHost: string | null): boolean {
  if (setting !== 'auto') return setting === 'on';
  return imapHost !== null && !COPYING.test(imapHost.replace(/\.$/, ''));
}
