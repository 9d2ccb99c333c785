import type { Config } from '../config.ts';
import { isAllowedSender } from '../mail/sender.ts';
import type { Db } from '../store/database.ts';
import { isRegistered } from '../store/users.ts';

export type LetInParts = { db: Db; config: Pick<Config, 'allowedSenders'> };

/** Whether an address may have commands run: a pattern lets it in, or the operator has added it. */
export async function isLetIn({ db, config }: LetInParts, address: string): Promise<boolean> {
  return isLetInBy(config, address, () => isRegistered(db, address));
}

/** The same. @param hasBeenAdded asked where no pattern lets the address in */
export async function isLetInBy(
  { allowedSenders }: LetInParts['config'],
  address: string,
  hasBeenAdded: (address: string) => Promise<boolean>,
): Promise<boolean> {
  return isAllowedSender(address, allowedSenders, false) || hasBeenAdded(address);
}
