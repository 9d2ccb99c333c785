import type { Config } from '../config.ts';
import type { ParsedMessage } from '../mail/parse.ts';
import { isAllowedSender } from '../mail/sender.ts';
import type { Db } from '../store/database.ts';
import { isRegistered } from '../store/users.ts';

const MOST_COPIES = 20;

type Parts = {
  db: Db;
  config: Pick<Config, 'repliesToAll' | 'allowedSenders'> & { botAddress: string };
};

/** Who beside its sender gets the answer to a mail: those on To and Cc who could have sent it themselves. */
export async function copiesTo({ db, config }: Parts, message: ParsedMessage): Promise<string[]> {
  if (!config.repliesToAll) return [];
  const { sender, addressees } = message;
  const others = addressees.filter(
    (address) => address !== sender && !isMailboxOf(address, config.botAddress.toLowerCase()),
  );
  const copies: string[] = [];
  for (const address of others.slice(0, MOST_COPIES)) {
    const isAllowed =
      isAllowedSender(address, config.allowedSenders, false) || (await isRegistered(db, address));
    if (isAllowed) copies.push(address);
  }
  return copies;
}

/** `bot+anything@example.com` is the mailbox of `bot@example.com`. */
function isMailboxOf(address: string, bot: string): boolean {
  const at = bot.lastIndexOf('@');
  return address === bot || (address.startsWith(`${bot.slice(0, at)}+`) && address.endsWith(bot.slice(at)));
}
