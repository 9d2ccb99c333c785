import type { Config, SenderAuth } from '../../config.ts';
import { singleAddress } from '../sender.ts';
import { judgeByDkim, type DkimJudged } from './dkim.ts';
import type { Resolve } from './dns.ts';
import { headerFields } from './header-fields.ts';
import { claimedSignatures, isAligned } from './signatures.ts';
import { judgeByMicrosoft365, judgeByResults, type Judged } from './trusted-results.ts';

export type SenderRules = Pick<Config, 'senderAuth' | 'trustedAuthservIds' | 'botAddress'>;

export type MailToVerify = {
  raw: Buffer;
  /** Only its header is there. */
  isTruncated: boolean;
  /** The address that is to be verified, as the mail was parsed. */
  sender: string;
};

/**
 * Whether the mail is of the address in its From. `signatureIds`: known again on every copy of it. `hasLooseCc`: its
 * domain signs To and not Cc, so whoever has the mail can put somebody there. `later`: what has to be asked does not answer
 * now.
 */
export type SenderVerdict =
  | { kind: 'verified'; how: string; signatureIds: string[]; hasLooseCc: boolean }
  | { kind: 'refused'; reason: string }
  | { kind: 'later'; reason: string };

/**
 * Who sent a mail, by the rules the operator has chosen (docs/sender-verification.md). In doubt it is refused.
 *
 * @param resolve asks the DNS; only what is of From's own domain
 */
export async function verifySender(
  mail: MailToVerify,
  rules: SenderRules,
  asking: { resolve: Resolve; now: Date },
): Promise<SenderVerdict> {
  const { senderAuth, trustedAuthservIds, botAddress } = rules;
  if (senderAuth === 'none')
    return { kind: 'verified', how: 'not asked for', signatureIds: [], hasLooseCc: false };
  const fields = headerFields(mail.raw);
  if ('fault' in fields) return { kind: 'refused', reason: fields.fault };
  const { sender } = mail;
  const from = fields.find(({ name }) => name === 'from')?.value ?? '';
  // Read twice, by two programs: what one of them reads differently is made to be.
  if (singleAddress(from) !== sender) return { kind: 'refused', reason: 'From can be read in two ways' };
  const fromDomain = sender.slice(sender.lastIndexOf('@') + 1);
  const signatures = claimedSignatures(fields);
  if ('fault' in signatures) return { kind: 'refused', reason: signatures.fault };
  const open = signatures.find(({ domain, leavesEndOpen }) => leavesEndOpen && isAligned(domain, fromDomain));
  if (open) {
    const reason = `the DKIM signature of ${fromDomain} leaves the end of the mail open (l=)`;
    return { kind: 'refused', reason };
  }

  const byResults = (): DkimJudged => asKind(judgeByResults(fields, fromDomain, trustedAuthservIds));
  const byDkim = (): Promise<DkimJudged> =>
    mail.isTruncated
      ? Promise.resolve({ kind: 'refused', reason: 'it is too large for its DKIM signature to be verified' })
      : judgeByDkim(mail.raw, fields, fromDomain, asking);
  const judges: { [Mode in Exclude<SenderAuth, 'none'>]: () => DkimJudged | Promise<DkimJudged> } = {
    'authentication-results': byResults,
    dkim: byDkim,
    both: async () => {
      const first = byResults();
      return first.kind === 'verified' ? byDkim() : first;
    },
    either: async () => {
      const first = byResults();
      return first.kind === 'verified' ? first : orElse(first, await byDkim());
    },
    microsoft365: () => asKind(judgeByMicrosoft365(fields, fromDomain, domainOf(botAddress))),
  };
  const judged = await judges[senderAuth]();
  if (judged.kind !== 'verified') return judged;
  const ids = signatures.map(({ id }) => id).filter((id) => id !== null);
  const own = signatures.filter(({ domain }) => isAligned(domain, fromDomain));
  // All of them: one that somebody has put there may claim anything.
  const hasCc = own.every(({ signedFields }) => signedFields.includes('cc'));
  const hasLooseCc = !hasCc && own.some(({ signedFields }) => signedFields.includes('to'));
  return { ...judged, signatureIds: [...new Set(ids)], hasLooseCc };
}

function orElse(first: DkimJudged, second: DkimJudged): DkimJudged {
  if (first.kind !== 'refused' || second.kind !== 'refused') return second;
  return { kind: 'refused', reason: `${first.reason}; and ${second.reason}` };
}

const asKind = (judged: Judged): DkimJudged =>
  judged.isVerified ? { kind: 'verified', how: judged.how } : { kind: 'refused', reason: judged.reason };

const domainOf = (address: string): string => address.slice(address.lastIndexOf('@') + 1);
