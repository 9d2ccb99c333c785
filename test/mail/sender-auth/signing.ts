import { generateKeyPairSync } from 'node:crypto';
import { dkimSign } from 'mailauth/lib/dkim/sign.js';
import type { Resolve } from '../../../src/mail/sender-auth/dns.ts';

/** A domain's signing key, and the DNS that publishes it. */
const { privateKey, publicKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'der' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});

/** The record of the key, with other tags than the usual ones. */
export const keyRecord = (tags = ''): string => `v=DKIM1; k=rsa; ${tags}p=${publicKey.toString('base64')}`;

/** A DNS of TXT records. What is not there is not found; an error is what asking for it comes to. */
export function zone(records: Readonly<Record<string, string | Error>>): Resolve & { asked: string[] } {
  const asked: string[] = [];
  const resolve = (name: string, type: string): Promise<string[][]> => {
    asked.push(name);
    const record = type === 'TXT' ? records[name] : undefined;
    if (record instanceof Error) return Promise.reject(record);
    if (record === undefined) return Promise.reject(dnsError('ENOTFOUND'));
    return Promise.resolve([[record]]);
  };
  return Object.assign(resolve, { asked });
}

export const dnsError = (code: string): Error => Object.assign(new Error(`queryTxt ${code}`), { code });

type SignOptions = {
  domain: string;
  selector?: string;
  fields?: string;
  expires?: Date;
  maxBodyLength?: number;
  canonicalization?: string;
};

/** Puts a DKIM-Signature on top of a mail with CRLF, made at `SIGNED_AT`. */
export async function signed(mail: string, { domain, ...options }: SignOptions): Promise<string> {
  const { signatures } = await dkimSign(mail, {
    canonicalization: options.canonicalization ?? 'relaxed/relaxed',
    signTime: SIGNED_AT,
    ...(options.expires && { expires: options.expires }),
    signatureData: [
      {
        signingDomain: domain,
        selector: options.selector ?? 'tb',
        privateKey,
        headerList: options.fields ?? 'From:To:Subject:Date:Message-ID',
        ...(options.maxBodyLength !== undefined && { maxBodyLength: options.maxBodyLength }),
      },
    ],
  } as never);
  return `${signatures}${mail}`;
}

export const SIGNED_AT = new Date('2026-11-20T10:00:00Z');
