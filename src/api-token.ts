import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

const PREFIX = 'tbx';
const FORM = /^tbx_(\d{1,15})_([A-Za-z0-9_-]{43})$/;

/** 256 random bits: nobody guesses them, so a plain hash of them is all that needs to be kept. */
export function newSecret(): { secret: string; hash: Buffer } {
  const secret = randomBytes(32).toString('base64url');
  return { secret, hash: hashOf(secret) };
}

/** As it is given to whoever uses it. The number finds its row; it is no secret. */
export const tokenText = (id: number, secret: string): string => `${PREFIX}_${id}_${secret}`;

/** @returns null for anything that is no token of ours */
export function readToken(text: string): { id: number; secret: string } | null {
  const [, id, secret] = FORM.exec(text) ?? [];
  return id === undefined || secret === undefined ? null : { id: Number(id), secret };
}

/** Takes as long for a wrong secret as for the right one. */
export function isSecret(secret: string, hash: Buffer): boolean {
  const given = hashOf(secret);
  return given.length === hash.length && timingSafeEqual(given, hash);
}

const hashOf = (secret: string): Buffer => createHash('sha256').update(secret).digest();
