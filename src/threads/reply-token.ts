import { createHmac, timingSafeEqual } from 'node:crypto';

const DAY_MS = 86_400_000;
/** Longer than a saved state is kept; a conversation gets a new one with every answer. */
const GOOD_FOR_DAYS = 30;
const EXPIRY_BYTES = 2;
/** 104 bits: nobody guesses one, and with the expiry it makes 24 letters without a rest. */
const MAC_BYTES = 13;
const LETTERS = 'abcdefghijklmnopqrstuvwxyz234567';
const FORM = /^t-[a-z2-7]{24}$/;

/**
 * The token of a thread and its sender: the day it ends and a MAC (HMAC-SHA256, truncated as RFC 2104, 5 allows) in
 * letters that any mail program leaves alone (RFC 4648, 6: base32, lower case).
 *
 * @param threadId empty: of the sender alone, where there is no thread yet
 */
export function mintToken(key: Buffer, of: { sender: string; threadId: string }, now: Date): string {
  const expiry = Buffer.alloc(EXPIRY_BYTES);
  expiry.writeUInt16BE(Math.floor(now.getTime() / DAY_MS) + GOOD_FOR_DAYS);
  return `t-${base32(Buffer.concat([expiry, macOf(key, expiry, of)]))}`;
}

export type TokenMatch = { kind: 'good'; threadId: string } | { kind: 'expired' } | { kind: 'foreign' };

/**
 * Whether a token was made for this sender, and for which of their threads (empty: for none).
 *
 * @param threadIds all threads of the sender: the token does not name its own
 */
export function matchToken(
  key: Buffer,
  token: string,
  { sender, threadIds }: { sender: string; threadIds: readonly string[] },
  now: Date,
): TokenMatch {
  const bytes = isTokenForm(token) ? fromBase32(token.slice(2)) : null;
  if (!bytes) return { kind: 'foreign' };
  const expiry = bytes.subarray(0, EXPIRY_BYTES);
  const mac = bytes.subarray(EXPIRY_BYTES);
  const threadId = ['', ...threadIds].find((id) =>
    timingSafeEqual(mac, macOf(key, expiry, { sender, threadId: id })),
  );
  if (threadId === undefined) return { kind: 'foreign' };
  const isOver = Math.floor(now.getTime() / DAY_MS) > expiry.readUInt16BE();
  return isOver ? { kind: 'expired' } : { kind: 'good', threadId };
}

/** What stands behind the `+` of a Reply-To, and is no repository's name. */
export const isTokenForm = (text: string): boolean => FORM.test(text);

function macOf(
  key: Buffer,
  expiry: Buffer,
  { sender, threadId }: { sender: string; threadId: string },
): Buffer {
  const hmac = createHmac('sha256', key)
    .update(expiry)
    .update(JSON.stringify(['reply', sender, threadId]));
  return hmac.digest().subarray(0, MAC_BYTES);
}

function base32(bytes: Buffer): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return bits.replace(/.{5}/g, (five) => LETTERS.charAt(Number.parseInt(five, 2)));
}

function fromBase32(text: string): Buffer {
  const bits = [...text].map((letter) => LETTERS.indexOf(letter).toString(2).padStart(5, '0')).join('');
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
}
