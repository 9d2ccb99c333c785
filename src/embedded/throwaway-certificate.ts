import { generateKeyPairSync, sign } from 'node:crypto';

/**
 * A certificate with its key, as PEM, that says nothing and is shown to nobody: programs that take one are content. X.509 of
 * version 1 (RFC 5280, 4.1), signed by itself.
 */
export function throwawayCertificate(): string {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = der(0x30, ECDSA_WITH_SHA256);
  const name = der(0x30, der(0x31, der(0x30, COMMON_NAME, der(0x0c, Buffer.from('threadbox')))));
  const validity = der(0x30, utcTime('700101000000Z'), utcTime('491231235959Z'));
  const serial = der(0x02, Buffer.from([1]));
  const key = publicKey.export({ type: 'spki', format: 'der' });
  const told = der(0x30, serial, algorithm, name, validity, name, key);
  const signature = der(0x03, Buffer.from([0]), sign('sha256', told, privateKey));
  const lines =
    der(0x30, told, algorithm, signature)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  const certificate = ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
  return certificate + String(privateKey.export({ type: 'pkcs8', format: 'pem' }));
}

const ECDSA_WITH_SHA256 = Buffer.from('06082a8648ce3d040302', 'hex');
const COMMON_NAME = Buffer.from('0603550403', 'hex');

const utcTime = (text: string): Buffer => der(0x17, Buffer.from(text));

/** A tag, a length, a value (X.690, 8.1). */
function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const value = Buffer.concat(parts);
  const { length } = value;
  if (length < 128) return Buffer.concat([Buffer.from([tag, length]), value]);
  return Buffer.concat([Buffer.from([tag, 0x82, length >> 8, length & 255]), value]);
}
