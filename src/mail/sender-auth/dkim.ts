import type { dkimVerify as DkimVerify } from 'mailauth/lib/dkim/verify.js';
import { guarded, type Resolve } from './dns.ts';
import type { HeaderField } from './header-fields.ts';
import { claimedSignatures, isAligned, type Signature } from './signatures.ts';

/** `later`: the keys could not be looked up now, and asking again may help. */
export type DkimJudged =
  { kind: 'verified'; how: string } | { kind: 'refused'; reason: string } | { kind: 'later'; reason: string };

type DkimResult = Awaited<ReturnType<typeof DkimVerify>>['results'][number];

/** RFC 8301, 3.2: verifiers do not accept shorter keys. */
const SHORTEST_KEY_BITS = 1024;
/** A key for each signature, and what DMARC asks for; `d=` may be an alias of several names. */
const MOST_QUESTIONS = 24;

/**
 * Verifies the DKIM signatures of a mail ourselves (RFC 6376, to the letter), of which one must be of From's domain, or
 * of its organization where the domain's DMARC policy takes that (RFC 7489, 3.1.1). It must cover all of the body and
 * the fields that we act on, as whoever gets hold of a signed mail may change the rest.
 *
 * @param raw all of the mail's bytes
 * @param fields its header, as `headerFields` reads it
 */
export async function judgeByDkim(
  raw: Buffer,
  fields: readonly HeaderField[],
  fromDomain: string,
  { resolve, now }: { resolve: Resolve; now: Date },
): Promise<DkimJudged> {
  const claimed = claimedSignatures(fields);
  if ('fault' in claimed) return refused(claimed.fault);
  if (claimed.length === 0) return refused('it has no DKIM signature');
  const aligned = claimed.filter(({ domain }) => isAligned(domain, fromDomain));
  if (aligned.length === 0) return refused(`its DKIM signature is not of ${fromDomain}`);
  // Also another's: each l= is a reading of the whole body of its own.
  if (claimed.some(({ leavesEndOpen }) => leavesEndOpen)) {
    return refused('a DKIM signature leaves the end of the mail open (l=)');
  }
  const domains = new Set(aligned.map(({ domain }) => domain));
  const resolver = guarded(resolve, (name) => isKeyOf(name, domains), MOST_QUESTIONS);
  const options = { strict: true, minBitLength: SHORTEST_KEY_BITS, curTime: now, resolver };
  // Not before it is needed: it takes a tenth of a bot's start, and most bots leave this to their mail server.
  const { dkimVerify } = await import('mailauth/lib/dkim/verify.js');
  const { results } = await dkimVerify(withCrlf(raw), options);

  const reasons: DkimJudged[] = [];
  for (const result of results) {
    const domain = (result.signingDomain ?? '').toLowerCase();
    const signature = aligned.find((one) => one.id === result.id && one.domain === domain);
    if (!signature) continue;
    const judged = judgeSignature(signature, result, fields);
    if (judged.kind === 'verified' && domain !== fromDomain) {
      reasons.push(await judgeAlignment(domain, fromDomain, resolve));
    } else {
      reasons.push(judged);
    }
  }
  const byKind = (kind: DkimJudged['kind']) => reasons.find((one) => one.kind === kind);
  return (
    byKind('verified') ?? byKind('later') ?? byKind('refused') ?? refused('its DKIM signature cannot be read')
  );
}

/** What a mail says and does hangs on these; Message-IDs are not among what every provider signs. */
const ACTED_ON = ['from', 'date', 'subject'];

function judgeSignature(
  { domain, signedFields }: Signature,
  { status }: DkimResult,
  fields: readonly HeaderField[],
): DkimJudged {
  const { result, comment } = status;
  if (result === 'temperror') return { kind: 'later', reason: `the DKIM key of ${domain}: ${comment}` };
  if (result !== 'pass') return refused(`dkim=${result} of ${domain}${comment ? ` (${comment})` : ''}`);
  if (status.testing) return refused(`the DKIM key of ${domain} is only being tested (t=y)`);
  const unsigned = ACTED_ON.find(
    (field) => !signedFields.includes(field) && fields.some(({ name }) => name === field),
  );
  if (unsigned) return refused(`the DKIM signature of ${domain} does not cover ${unsigned}`);
  return { kind: 'verified', how: `dkim=pass of ${domain}` };
}

/** A signature of another domain of the organization: good where a DMARC policy says so, not on its own. */
async function judgeAlignment(domain: string, fromDomain: string, resolve: Resolve): Promise<DkimJudged> {
  const names = new Set(fromDomain.split('.').map((_, index, labels) => labels.slice(index).join('.')));
  const isWanted = (name: string): boolean => names.has(name) || names.has(name.replace(/^_dmarc\./, ''));
  try {
    const { dmarc } = await import('mailauth/lib/dmarc/index.js');
    const policy = await dmarc({
      headerFrom: [fromDomain],
      fromFields: 1,
      spfDomains: [],
      dkimDomains: [{ domain }],
      resolver: guarded(resolve, isWanted, MOST_QUESTIONS),
      strict: true,
    });
    const result = policy ? policy.status.result : 'none';
    if (result === 'pass')
      return { kind: 'verified', how: `dkim=pass of ${domain}, which the DMARC policy takes` };
    if (result === 'temperror') return { kind: 'later', reason: `the DMARC policy of ${fromDomain}` };
    return refused(
      result === 'none'
        ? `its DKIM signature is of ${domain}, and ${fromDomain} publishes no DMARC policy that would take it`
        : `its DKIM signature is of ${domain}, which the DMARC policy of ${fromDomain} does not take`,
    );
  } catch (error) {
    return { kind: 'later', reason: `the DMARC policy of ${fromDomain}: ${(error as Error).message}` };
  }
}

function isKeyOf(name: string, domains: ReadonlySet<string>): boolean {
  const [, domain] = /^[^]+\._domainkey\.([^]+)$/.exec(name) ?? [];
  return domain !== undefined && domains.has(domain);
}

/** What was signed had CRLF (RFC 6376, 5.3), however a server stores it. */
function withCrlf(raw: Buffer): Buffer {
  return raw.includes('\r\n') ? raw : Buffer.from(raw.toString('latin1').replaceAll('\n', '\r\n'), 'latin1');
}

const refused = (reason: string): DkimJudged => ({ kind: 'refused', reason });
