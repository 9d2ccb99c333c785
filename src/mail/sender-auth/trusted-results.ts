import { parseAuthenticationResults, type MethodResult } from './authentication-results.ts';
import type { HeaderField } from './header-fields.ts';

/** What the fields say of the sender. `how` and `reason` are for the log and the database. */
export type Judged = { isVerified: true; how: string } | { isVerified: false; reason: string };

/** What a sender's program writes; what a receiving server adds stands above. `received`: another server's part begins. */
const SENDERS_PART = new Set([
  'received',
  'from',
  'sender',
  'reply-to',
  'to',
  'cc',
  'subject',
  'date',
  'message-id',
  'in-reply-to',
  'references',
  'mime-version',
  'content-type',
  'content-transfer-encoding',
  'dkim-signature',
  'user-agent',
  'x-mailer',
]);

/** Before the receiving server's results, its own trace may stand. */
const MAY_STAND_ABOVE = new Set(['received', 'dkim-signature']);

/**
 * Judges by what the receiving server has written: the Authentication-Results at the top of the mail, as long as one
 * follows another and each bears a pinned authserv-id. Whatever stands lower may be the sender's own invention.
 *
 * @param fromDomain of the one address in From
 * @param pinned lower case: authserv-ids, or `*.example.com` for all that end so
 */
export function judgeByResults(
  fields: readonly HeaderField[],
  fromDomain: string,
  pinned: readonly string[],
): Judged {
  const block = topBlock(fields, (servId) => servId !== null && isPinned(servId, pinned));
  return 'reason' in block ? { isVerified: false, reason: block.reason } : judge(block.headers, fromDomain);
}

/**
 * Microsoft 365 writes its results without an authserv-id, and for mail inside a tenant none that pass. It removes
 * X-MS-Exchange-Organization-* from mail that comes from outside, so those fields are its own.
 *
 * @param ownDomain the tenant's, as far as it is known: that of the bot's address
 */
export function judgeByMicrosoft365(
  fields: readonly HeaderField[],
  fromDomain: string,
  ownDomain: string,
): Judged {
  const organization = fields.filter(({ name }) => name.startsWith('x-ms-exchange-organization-'));
  if (organization.length === 0) {
    return no('it has no X-MS-Exchange-Organization fields: it did not come through Microsoft 365');
  }
  const authAs = organization.filter(({ name }) => name.endsWith('-organization-authas'));
  const [as] = authAs;
  const isInternal = authAs.length === 1 && as?.value.toLowerCase() === 'internal';
  if (isInternal && fromDomain === ownDomain) {
    return { isVerified: true, how: 'Microsoft 365: inside the organization' };
  }
  const block = topBlock(fields, (servId) => servId === null);
  return 'reason' in block ? no(block.reason) : judge(block.headers.slice(0, 1), fromDomain);
}

/** The authserv-ids of the results that stand where a receiving server writes, the topmost first; for showing them. */
export function topServIds(fields: readonly HeaderField[]): string[] {
  const block = topBlock(fields, () => true);
  return 'reason' in block ? [] : [...new Set(block.servIds)];
}

/** `*.example.com` is every name below it, not itself. */
function isPinned(servId: string, pinned: readonly string[]): boolean {
  return pinned.some((pattern) =>
    pattern.startsWith('*.')
      ? servId.length > pattern.length - 1 && servId.endsWith(pattern.slice(1))
      : servId === pattern,
  );
}

type Block = { headers: MethodResult[][]; servIds: string[] };

function topBlock(
  fields: readonly HeaderField[],
  isTrusted: (servId: string | null) => boolean,
): Block | { reason: string } {
  const block: Block = { headers: [], servIds: [] };
  for (const { name, value } of fields) {
    if (name === 'authentication-results') {
      const parsed = parseAuthenticationResults(value);
      if (!parsed) return { reason: 'its Authentication-Results cannot be read' };
      if (!isTrusted(parsed.servId)) {
        if (block.headers.length > 0) break;
        return { reason: `its Authentication-Results are of ${shown(parsed.servId)}, which is not trusted` };
      }
      block.headers.push(parsed.results);
      block.servIds.push(parsed.servId ?? '');
    } else if (SENDERS_PART.has(name) && (block.headers.length > 0 || !MAY_STAND_ABOVE.has(name))) {
      break;
    }
  }
  return block.headers.length > 0
    ? block
    : { reason: 'the receiving server has written no Authentication-Results' };
}

/**
 * `dmarc=pass` for the domain of From. Where no DMARC is published for it, a DKIM signature of exactly that domain does
 * as well: it is what DMARC would ask for at its strictest. A wider alignment is the business of a published policy.
 */
function judge(headers: readonly (readonly MethodResult[])[], fromDomain: string): Judged {
  const dmarc = headers.flat().filter(({ method }) => method === 'dmarc');
  const [policy] = dmarc;
  if (dmarc.length > 1) return no('more than one dmarc result: nobody can say which is true');
  if (policy && policy.result !== 'none') {
    if (policy.result !== 'pass') return no(`dmarc=${policy.result.slice(0, 20)}`);
    const of = policy.properties.get('header.from') ?? [];
    const [domain = ''] = of;
    if (of.length !== 1 || domainOf(domain) !== fromDomain) {
      return no('dmarc=pass is not about the domain in From');
    }
    return { isVerified: true, how: 'dmarc=pass' };
  }
  // Of the first field that speaks of DKIM alone: what a second one adds may have been there before.
  const signatures = headers.find((results) => results.some(({ method }) => method === 'dkim')) ?? [];
  const isSigned = signatures.some(
    ({ method, result, properties }) =>
      method === 'dkim' && result === 'pass' && signingDomain(properties) === fromDomain,
  );
  if (isSigned) return { isVerified: true, how: 'no DMARC is published; dkim=pass of the same domain' };
  return no(
    policy
      ? 'dmarc=none, and no dkim=pass of the domain in From'
      : 'no dmarc result, and no dkim=pass of the domain in From',
  );
}

/** `header.d`; Gmail writes only `header.i`, whose domain may be one below. */
function signingDomain(properties: MethodResult['properties']): string | null {
  const given = properties.get('header.d') ?? properties.get('header.i') ?? [];
  const [domain = ''] = given;
  return given.length === 1 ? domainOf(domain) : null;
}

const domainOf = (text: string): string => text.slice(text.lastIndexOf('@') + 1).toLowerCase();
const no = (reason: string): Judged => ({ isVerified: false, reason });
const shown = (servId: string | null): string =>
  servId === null ? 'nobody named' : servId.replace(/[^\x21-\x7e]/g, '?').slice(0, 100);
