import type { Config } from '../config.ts';
import type { Db } from '../store/database.ts';
import { threadIdsOf, tokenKey, usableThread } from '../store/threads.ts';
import { hasAdminRole } from '../store/users.ts';
import { replyToken } from '../threads/identity.ts';
import { matchToken } from '../threads/reply-token.ts';
import type { ThreadRef } from '../threads/find-thread.ts';

export type TokenParts = {
  db: Db;
  config: Pick<Config, 'botAddress' | 'replyToken' | 'requireToken' | 'adminAddresses'>;
  now: () => Date;
};

/**
 * The thread that the token of a verified sender's mail names, if it has one; and what is wrong where one is asked for.
 * A token is the second thing asked of a sender, who was verified before: on its own it opens nothing.
 *
 * @param sender verified
 * @param recipients all the addresses that the mail names
 */
export async function checkToken(
  { db, config, now }: TokenParts,
  sender: string,
  recipients: readonly string[],
): Promise<{ thread: ThreadRef | null; missing: 'none' | 'expired' | 'foreign' | null }> {
  if (!config.replyToken) return { thread: null, missing: null };
  const token = replyToken(recipients, config.botAddress);
  if (token !== null) {
    const threadIds = await threadIdsOf(db, sender);
    const match = matchToken(await tokenKey(db), token, { sender, threadIds }, now());
    if (match.kind === 'good') {
      const thread = match.threadId === '' ? null : await usableThread(db, match.threadId);
      return { thread, missing: null };
    }
    return { thread: null, missing: (await isAskedFor(db, config, sender)) ? match.kind : null };
  }
  return { thread: null, missing: (await isAskedFor(db, config, sender)) ? 'none' : null };
}

async function isAskedFor(
  db: Db,
  { requireToken, adminAddresses }: TokenParts['config'],
  sender: string,
): Promise<boolean> {
  if (requireToken !== 'admin') return requireToken === 'always';
  return adminAddresses.includes(sender) || hasAdminRole(db, sender);
}
