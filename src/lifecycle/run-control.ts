import { answerMessage } from '../commands/answer-message.ts';
import { openContainer } from '../commands/open-container.ts';
import { removeContainer, removeVolume } from '../containers/container.ts';
import { volumeName } from '../containers/names.ts';
import { renderLifecycleNotice, type LifecycleNotice } from '../mail/lifecycle-notices.ts';
import { endCommand, planSwap, type Command, type QueuedControl, type SwapPlan } from '../store/commands.ts';
import { messageToAnswer } from '../store/messages.ts';
import type { Repository } from '../store/repositories.ts';
import {
  bringBack,
  currentSave,
  ensureCurrentSave,
  forgetVolume,
  newestAside,
  putAside,
  savedStateById,
} from '../store/saved-states.ts';
import {
  endSession,
  extendSession,
  markRemoving,
  sessionOfThread,
  type DueSession,
} from '../store/sessions.ts';
import { extension } from './answer-control.ts';
import { writeContainerState } from './container-state.ts';
import { keptMs, type LifecycleParts } from './parts.ts';
import { runningAgain, saveAndRemove } from './remove-container.ts';
import { saveThread } from './save-thread.ts';

const HOUR_MS = 3600_000;
const RETRY_MS = 60_000;

/**
 * Does what a control word asks of the thread's container, in the thread's queue, and answers it. After a crash it is
 * done again from the beginning: each step leaves what it finds done.
 */
export async function runControl(
  parts: LifecycleParts,
  command: Command,
  repository: Repository,
): Promise<void> {
  const { db, config, log, now } = parts;
  const notice = await effect(parts, command, repository);
  const message = await messageToAnswer(db, command.messageId);
  const content = renderLifecycleNotice(notice);
  await db.transaction(async (transaction) => {
    await endCommand(transaction, command.id, { state: 'finished' });
    await answerMessage(transaction, config.botAddress, message, content, command.threadId, now());
  });
  parts.wakeOutbox();
  log.info(
    { thread: command.threadId, command: command.id, word: command.control?.word },
    'control word done',
  );
}

async function effect(
  parts: LifecycleParts,
  command: Command,
  repository: Repository,
): Promise<LifecycleNotice> {
  const { word } = command.control as QueuedControl;
  const session = await sessionOfThread(parts.db, command.threadId);
  const effects: Record<QueuedControl['word'], () => Promise<LifecycleNotice | null>> = {
    save: async () => session && save(parts, session),
    stop: async () => session && stop(parts, session),
    fresh: () => fresh(parts, command, session),
    restore: () => restore(parts, command, repository, session),
    extend: () => extendAgain(parts, command, repository),
  };
  return (await effects[word]()) ?? { kind: 'nothing-there', word, repositoryName: repository.name };
}

async function save(parts: LifecycleParts, session: DueSession): Promise<LifecycleNotice | null> {
  const containerId = await runningAgain(parts, session);
  if (containerId === null) return null;
  const { work, savedAt } = await saveThread(parts, { ...session, containerId }, 'full');
  const { filesModified, unpushedCommits, commit, leftOut } = work;
  return { kind: 'saved', savedAt, filesModified, unpushedCommits, commit, leftOut, now: parts.now() };
}

async function stop(parts: LifecycleParts, session: DueSession): Promise<LifecycleNotice> {
  const { now } = parts;
  const removed = await saveAndRemove(parts, session, 'stopped');
  if (!removed) {
    const retryAt = new Date(now().getTime() + RETRY_MS);
    const reason = 'its work could not be saved; a mail of its own says why';
    const { threadId, repositoryName } = session;
    return { kind: 'save-failed', forWhom: 'owner', threadId, repositoryName, reason, retryAt, now: now() };
  }
  return {
    kind: 'stopped',
    savedAt: removed.savedAt ?? now(),
    expiresAt: removed.expiresAt,
    filesModified: removed.work?.filesModified ?? 0,
    hasCommitted: removed.work?.hasCommitted ?? false,
    commit: removed.work?.commit ?? null,
    leftOut: removed.work?.leftOut ?? [],
    now: now(),
  };
}

async function fresh(
  parts: LifecycleParts,
  command: Command,
  session: DueSession | null,
): Promise<LifecycleNotice> {
  const { db, now } = parts;
  const plan = command.control?.plan ?? {
    away: (await (session ? ensureCurrentSave(db, session) : currentSave(db, command.threadId)))?.id ?? null,
    target: null,
  };
  await putAway(parts, command, plan);
  await writeContainerState(parts, command.threadId);
  const away = plan.away === null ? null : await savedStateById(db, plan.away);
  return { kind: 'fresh', savedAt: away?.savedAt ?? null, keptDays: parts.config.savedStateDays, now: now() };
}

async function restore(
  parts: LifecycleParts,
  command: Command,
  repository: Repository,
  session: DueSession | null,
): Promise<LifecycleNotice | null> {
  const { db, now } = parts;
  const { threadId } = command;
  let plan = command.control?.plan;
  if (!plan) {
    const aside = await newestAside(db, threadId);
    const current = session ? await ensureCurrentSave(db, session) : await currentSave(db, threadId);
    if (aside) plan = { away: current?.id ?? null, target: aside.id };
    else if (current?.snapshot && !session) plan = { away: null, target: current.id };
    else return null;
  }
  const target = plan.target === null ? null : await savedStateById(db, plan.target);
  if (!target?.savedAt) return null;
  await putAway(parts, command, plan);
  await openContainer(parts, command, repository);
  await writeContainerState(parts, threadId);
  return { kind: 'restored', savedAt: target.savedAt, filesRestored: target.filesModified, now: now() };
}

/**
 * Saves what the thread has and puts it aside, with its container and its volume gone, and the other state in its place.
 * The plan is written down first: once they are swapped, nobody could tell any more which one was meant.
 */
async function putAway(parts: LifecycleParts, command: Command, plan: SwapPlan): Promise<void> {
  const { db, docker, installation, events, now } = parts;
  await planSwap(db, command.id, plan);
  const { threadId } = command;
  const session = await sessionOfThread(db, threadId);
  const away = plan.away === null ? null : await savedStateById(db, plan.away);
  const volume = session?.volumeName ?? volumeName(installation, threadId);
  let isRemoving = session?.state === 'removing';
  if (away?.state === 'current' || plan.away === null) {
    if (session && !isRemoving) {
      const containerId = await runningAgain(parts, session);
      if (containerId !== null) await saveThread(parts, { ...session, containerId }, 'full');
    }
    if (!session && away) {
      // Its verified save stands for it from here on.
      await forgetVolume(db, away.id);
      await removeVolume(docker, volume);
    }
    isRemoving = session !== null;
    const expiresAt = new Date(now().getTime() + keptMs(parts));
    await db.transaction(async (transaction) => {
      if (session) await markRemoving(transaction, session.id, null);
      if (away) await putAside(transaction, away.id, expiresAt);
      if (plan.target !== null) await bringBack(transaction, plan.target);
    });
  }
  if (!session || !isRemoving) return;
  await removeContainer(docker, session.containerName);
  await removeVolume(docker, volume);
  await endSession(db, session.id, command.control?.word ?? 'fresh', now());
  events.tell('container:cleaned', { threadId, containerId: session.containerId, idleMinutes: 0 });
}

/** `extend` for a container that has gone: it comes back. */
async function extendAgain(
  parts: LifecycleParts,
  command: Command,
  repository: Repository,
): Promise<LifecycleNotice | null> {
  const { db, config, events, now } = parts;
  const saved = await currentSave(db, command.threadId);
  await openContainer(parts, command, repository);
  const session = await sessionOfThread(db, command.threadId);
  if (!session) return null;
  const { until, isCapped, keepUntil } = extension(parts, session, command.control?.durationMs ?? null);
  await extendSession(db, session.id, now(), keepUntil);
  await writeContainerState(parts, command.threadId);
  const { containerId, threadId } = session;
  events.tell('container:extended', { containerId, threadId, until: until.toISOString() });
  return {
    kind: 'extended',
    until,
    isCapped,
    capHours: config.containerExtendMaxMs / HOUR_MS,
    wasRestored: saved?.savedAt ? { savedAt: saved.savedAt } : null,
    now: now(),
  };
}
