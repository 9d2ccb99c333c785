/** How it is found out who sent a mail: docs/sender-verification.md. */
export const senderAuthModes = [
  'authentication-results',
  'dkim',
  'both',
  'either',
  'microsoft365',
  'none',
] as const;
export type SenderAuth = (typeof senderAuthModes)[number];

const DOCTOR = 'npx threadbox doctor --mail reads your mailbox and proposes the lines';

/**
 * What is wrong with the choice of how senders are verified, besides its form: none is made for a real mailbox, one that lets anybody in,
 * or one that would let nobody in.
 */
export function senderAuthFaults(chosen: {
  senderAuth: string | undefined;
  hasAuthservIds: boolean;
  hasRealMailbox: boolean;
  isOpenOnPurpose: boolean;
}): string[] {
  const { senderAuth, hasAuthservIds, hasRealMailbox, isOpenOnPurpose } = chosen;
  if (!hasRealMailbox) {
    return senderAuth === undefined || senderAuth === 'none'
      ? []
      : [
          'SENDER_AUTH: only with IMAP_URL: the embedded mail server sees to it itself that everybody writes as who logged in',
        ];
  }
  if (senderAuth === undefined) {
    return [
      'SENDER_AUTH: expected with IMAP_URL, as a From is easily forged: authentication-results (your mail server checks, and says so in each mail), ' +
        `dkim (Threadbox checks the signatures itself), both, either, or microsoft365. ${DOCTOR}`,
    ];
  }
  if (senderAuth === 'none' && !isOpenOnPurpose) {
    return [
      'SENDER_AUTH: none lets everybody run commands who forges the From of somebody allowed. If nobody can do that here, say so by ' +
        `I_UNDERSTAND_ANYONE_CAN_RUN_COMMANDS=yes; else ${DOCTOR}`,
    ];
  }
  const needsIds = ['authentication-results', 'both', 'either'].includes(senderAuth);
  if (needsIds && !hasAuthservIds) {
    return [
      `TRUSTED_AUTHSERV_IDS: expected with SENDER_AUTH=${senderAuth}: the name that your mail server signs its Authentication-Results with, ` +
        `e.g. mx.google.com. ${DOCTOR}`,
    ];
  }
  return [];
}
