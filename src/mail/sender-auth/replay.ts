/** Clocks differ; nobody writes mail that is to come. */
const AHEAD_MS = 3_600_000;

/**
 * Why a mail seems to be an old one that somebody has sent again, or null. A signature stays good for years; what tells
 * is that the Date, which it covers, lies far from the arrival. How long the mail has lain in the mailbox since does
 * not matter.
 *
 * @param arrivedAt when the server got it (IMAP's INTERNALDATE)
 * @param toleranceMs how long a mail may take from its sender
 */
export function replayReason(
  { date, arrivedAt }: { date: Date | null; arrivedAt: Date },
  toleranceMs: number,
): string | null {
  if (!date) return 'it has no Date: it could be an old mail sent again';
  const tookMs = arrivedAt.getTime() - date.getTime();
  const at = `its Date is ${date.toISOString()}, and it arrived ${arrivedAt.toISOString()}`;
  if (tookMs > toleranceMs) return `an old mail sent again: ${at}`;
  if (tookMs < -AHEAD_MS) return `not sent yet: ${at}`;
  return null;
}
