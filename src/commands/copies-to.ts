import type { Config } from '../config.ts';
import type { ParsedMessage } from '../mail/parse.ts';
import { isSameMailbox } from '../mail/sender.ts';
import { listRepositoriesFor } from '../store/repositories.ts';
import { isLetIn, type LetInParts } from './let-in.ts';

const MOST_COPIES = 20;

type Parts = LetInParts & { config: Pick<Config, 'repliesToAll' | 'botAddress' | 'botAliases'> };

/** Who beside its sender may get what comes of a mail: those on To and Cc who could have sent it themselves. */
export async function copiesTo(parts: Parts, message: ParsedMessage): Promise<string[]> {
  const { repliesToAll, botAddress, botAliases } = parts.config;
  if (!repliesToAll) return [];
  const own = [botAddress, ...botAliases];
  const others = new Set(
    message.addressees.filter(
      (address) => address !== message.sender && !own.some((one) => isSameMailbox(address, one)),
    ),
  );
  return filter([...others].slice(0, MOST_COPIES), (address) => isLetIn(parts, address));
}

/** Those of them who may use the repository, by now: what is read of it is theirs to read. */
export async function copiesAbout(
  parts: LetInParts,
  copyTo: readonly string[],
  repositoryId: number,
): Promise<string[]> {
  return filter(copyTo, async (address) => {
    if (!(await isLetIn(parts, address))) return false;
    const repositories = await listRepositoriesFor(parts.db, address);
    return repositories.some(({ id }) => id === repositoryId);
  });
}

async function filter(
  addresses: readonly string[],
  isKept: (address: string) => Promise<boolean>,
): Promise<string[]> {
  const kept: string[] = [];
  for (const address of addresses) if (await isKept(address)) kept.push(address);
  return kept;
}
