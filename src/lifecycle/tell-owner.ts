import { answerMessage, writeMail } from '../commands/answer-message.ts';
import { renderLifecycleNotice, type LifecycleNotice } from '../mail/lifecycle-notices.ts';
import type { Db } from '../store/database.ts';
import { latestMessage } from '../store/messages.ts';
import { currentSave } from '../store/saved-states.ts';
import type { DueSession } from '../store/sessions.ts';
import type { LifecycleParts } from './parts.ts';

/**
 * Stores a mail to the owner of a thread, in its latest conversation. Run it in the transaction that records what the
 * mail tells.
 */
export async function tellOwner(
  parts: LifecycleParts,
  transaction: Db,
  threadId: string,
  notice: LifecycleNotice,
): Promise<void> {
  const message = await latestMessage(transaction, threadId);
  if (!message) return;
  const content = { ...renderLifecycleNotice(notice), kind: 'notice' } as const;
  await answerMessage(transaction, parts.config, message, content, threadId, parts.now());
}

/** The owner hears that there is nothing to be saved, as a command has taken the repository away, and what comes back. */
export async function tellRepositoryMissing(
  parts: LifecycleParts,
  transaction: Db,
  { threadId, repositoryName }: DueSession,
  warning: { goesAt: Date; minutesRemaining: number } | null,
): Promise<void> {
  const savedAt = (await currentSave(transaction, threadId))?.savedAt ?? null;
  const facts = { repositoryName, threadId, warning, savedAt, now: parts.now() };
  await tellOwner(parts, transaction, threadId, { kind: 'repository-missing', ...facts });
}

/** The owner and the admins hear that the work of a thread cannot be saved. */
export async function tellSaveFailed(
  parts: LifecycleParts,
  transaction: Db,
  { threadId, repositoryName, userAddress }: DueSession,
  { reason, retryAt }: { reason: string; retryAt: Date },
): Promise<void> {
  const facts = { kind: 'save-failed', threadId, repositoryName, reason, retryAt, now: parts.now() } as const;
  await tellOwner(parts, transaction, threadId, { ...facts, forWhom: 'owner' });
  for (const address of parts.config.adminAddresses.filter((admin) => admin !== userAddress)) {
    await writeMail(transaction, parts.config, {
      to: address,
      subject: `Threadbox: the work of ${threadId} cannot be saved`,
      content: renderLifecycleNotice({ ...facts, forWhom: 'admin' }),
      now: parts.now(),
    });
  }
}
