import type { AllowLists } from '../containers/allow-lists.ts';
import type { Docker } from '../containers/client.ts';
import { findContainer, removeContainer } from '../containers/container.ts';
import type { NetworkGuard } from '../containers/network-guard.ts';
import type { Log } from '../log.ts';
import { otherNetworkNote } from '../mail/network-note.ts';
import { kindOf, type NetworkKind } from '../network-choice.ts';
import type { Repository } from '../store/repositories.ts';
import type { Session } from '../store/sessions.ts';

/** Whether a container is known to be on the network that its repository has now. */
export function isOnItsNetwork(
  { network }: Pick<Session, 'network'>,
  repository: Pick<Repository, 'network'>,
): boolean {
  return network === kindOf(repository.network);
}

export type NetworkParts = {
  /** null: the operator does without. */
  guard: Pick<NetworkGuard, 'ensure' | 'expectInPlace'> | null;
  allowLists: Pick<AllowLists, 'ensure' | 'ensureRules' | 'refusedSince' | 'tidy'>;
};

/**
 * What has to be in place before a container is started: the rules of the network that this one is on, whatever its repository
 * has now. Not the proxy: a save needs none, and a command asks for it by itself.
 */
export function rulesFor({ guard, allowLists }: NetworkParts, repositoryId: number) {
  return async (network: NetworkKind): Promise<void> => {
    if (network === 'internet') await guard?.ensure();
    if (network === 'allow') await allowLists.ensureRules(repositoryId);
  };
}

/**
 * A container keeps the network it was made with. With another one wanted it goes, and the next is made around the same
 * volume. Nothing of the thread runs in it in that moment but what commands have left. The engine is asked which it is: a
 * session may be older than that record, and what a crash has left has none.
 *
 * @returns what the answer has to say of it
 */
export async function leaveOtherNetwork(
  { docker, installation, log }: { docker: Docker; installation: string; log: Log },
  threadId: string,
  repository: Repository,
): Promise<string[]> {
  const of = { instance: installation, threadId, repositoryId: repository.id };
  const found = await findContainer(docker, of);
  if (!found || isOnItsNetwork(found, repository)) return [];
  await removeContainer(docker, found.id);
  log.info({ thread: threadId, network: repository.network }, 'a container of another network was removed');
  return [otherNetworkNote(repository.name)];
}
