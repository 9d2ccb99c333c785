import { createHash } from 'node:crypto';
import { getDomain } from 'tldts';
import type { HeaderField } from './header-fields.ts';

/** What a DKIM-Signature field claims (RFC 6376, 3.5); nothing of it is verified here. */
export type Signature = {
  /** `d=`, lower case. */
  domain: string;
  /** `h=`, lower case. */
  signedFields: string[];
  /** `l=`: what comes behind that much of the body is not signed. */
  leavesEndOpen: boolean;
  /** The same for every copy of one signed mail: of the bytes of `b=`, so that no way to write them makes another. */
  id: string | null;
};

/** More than any honest mail has; each costs a look-up and a reading of the whole body. */
const MOST_SIGNATURES = 10;
const LONGEST_SIGNATURE = 8 * 1024;

/** @returns a fault where there are so many, or so long, that they can only be meant to keep us busy */
export function claimedSignatures(fields: readonly HeaderField[]): Signature[] | { fault: string } {
  const values = fields.filter(({ name }) => name === 'dkim-signature').map(({ value }) => value);
  if (values.length > MOST_SIGNATURES) return { fault: `it has ${values.length} DKIM signatures` };
  if (values.some((value) => value.length > LONGEST_SIGNATURE)) {
    return { fault: 'it has a DKIM signature of unusual length' };
  }
  return values.map((value) => {
    const tags = new Map(value.split(';').map(tag));
    const signature = Buffer.from(tags.get('b') ?? '', 'base64');
    return {
      domain: (tags.get('d') ?? '').toLowerCase(),
      signedFields: (tags.get('h') ?? '').toLowerCase().split(':'),
      leavesEndOpen: tags.has('l'),
      id: signature.length === 0 ? null : createHash('sha256').update(signature).digest('hex'),
    };
  });
}

function tag(text: string): [string, string] {
  const at = text.indexOf('=');
  return at < 0 ? [text.trim(), ''] : [text.slice(0, at).trim(), text.slice(at + 1).replace(/\s+/g, '')];
}

/**
 * Two domains of one organization, as DMARC's relaxed alignment asks (RFC 7489, 3.1), by the Public Suffix List; each
 * customer of a shared suffix (`github.io`) is an organization of its own.
 */
export function isAligned(domain: string, fromDomain: string): boolean {
  if (domain === fromDomain) return true;
  const organization = getDomain(fromDomain, { allowPrivateDomains: true });
  return organization !== null && getDomain(domain, { allowPrivateDomains: true }) === organization;
}
