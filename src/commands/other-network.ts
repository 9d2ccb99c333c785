import type { Docker } from '../containers/client.ts';
import { removeContainer } from '../containers/container.ts';
import type { Log } from '../log.ts';
import { otherNetworkNote } from '../mail/network-note.ts';
import { kindOf } from '../network-choice.ts';
import type { Db } from '../store/database.ts';
import type { Repository } from '../store/repositories.ts';
import { activeSession, type Session } from '../store/sessions.ts';

/** Whether a container is on the network that its repository has now. Of old ones only that they are on no list's. */
export function isOnItsNetwork(
  { network }: Pick<Session, 'network'>,
  repository: Pick<Repository, 'network'>,
): boolean {
  const wanted = kindOf(repository.network);
  return network === wanted || (network === null && wanted !== 'allow');
}

/**
 * A container keeps the network it was made with. With another one wanted it goes, and the next is made around the same
 * volume. Nothing of the thread runs in it in that moment but what commands have left.
 *
 * @returns what the answer has to say of it
 */
export async function leaveOtherNetwork(
  { db, docker, log }: { db: Db; docker: Docker; log: Log },
  threadId: string,
  repository: Repository,
): Promise<string[]> {
  const session = await activeSession(db, threadId);
  if (!session || isOnItsNetwork(session, repository)) return [];
  await removeContainer(docker, session.containerId);
  log.info({ thread: threadId, network: repository.network }, 'a container of another network was removed');
  return [otherNetworkNote(repository.name)];
}
