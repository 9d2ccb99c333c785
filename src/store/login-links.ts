import { createHash } from 'node:crypto';
import type { Db } from './database.ts';

/** What is in a link has 256 random bits, so a plain hash of it is all that needs to be kept. */
const hashOf = (secret: string): Buffer => createHash('sha256').update(secret).digest();

/** Stored with the mail that carries it. */
export async function addLoginLink(
  db: Db,
  link: { secret: string; address: string; messageId: number; now: Date; until: Date },
): Promise<void> {
  const { secret, address, messageId, now, until } = link;
  await db('login_links').insert({
    address: address.toLowerCase(),
    hash: hashOf(secret),
    message_id: messageId,
    created_at: now,
    expires_at: until,
  });
}

/** When each of the last ones for that address was made, the newest first. */
export async function loginLinksSince(db: Db, address: string, since: Date): Promise<Date[]> {
  return db('login_links')
    .where({ address: address.toLowerCase() })
    .where('created_at', '>', since)
    .orderBy('created_at', 'desc')
    .pluck<Date[]>('created_at');
}

/** Uses a link up: of two who come with the same one, it is good for the first. @returns whose it is, or null */
export async function useLoginLink(
  db: Db,
  secret: string,
  { from, now }: { from: string; now: Date },
): Promise<string | null> {
  const [row] = await db('login_links')
    .where({ hash: hashOf(secret) })
    .whereNull('used_at')
    .where('created_at', '<=', now)
    .where('expires_at', '>', now)
    .update({ used_at: now, used_from: from })
    .returning<{ address: string }[]>('address');
  return row?.address ?? null;
}
