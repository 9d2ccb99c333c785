import { answerMessage } from '../commands/answer-message.ts';
import { openContainer } from '../commands/open-container.ts';
import { stopContainer } from '../containers/container.ts';
import { renderLifecycleNotice, type LifecycleNotice } from '../mail/lifecycle-notices.ts';
import { commandById, endCommand, noteBegun, type Command, type QueuedControl } from '../store/commands.ts';
import { messageToAnswer } from '../store/messages.ts';
import type { Repository } from '../store/repositories.ts';
import { currentSave } from '../store/saved-states.ts';
import {
  extendSession,
  reopenSession,
  sessionOfThread,
  setNotes,
  type DueSession,
} from '../store/sessions.ts';
import { extension } from './answer-control.ts';
import { writeContainerState } from './container-state.ts';
import { keptMs, type LifecycleParts } from './parts.ts';
import { runningAgain, saveAndRemove } from './remove-container.ts';
import { saveThread } from './save-thread.ts';
import { fresh, restore } from './swap-saves.ts';

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
    await answerMessage(transaction, config, message, content, command.threadId, now());
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
    stop: () => stop(parts, command, { session, repositoryName: repository.name }),
    fresh: () => fresh(parts, command),
    restore: () => restore(parts, command, repository),
    extend: () => extendAgain(parts, command, repository),
  };
  return (await effects[word]()) ?? { kind: 'nothing-there', word, repositoryName: repository.name };
}

/** In the thread's queue. @returns null when container and volume are gone */
export async function save(parts: LifecycleParts, session: DueSession): Promise<LifecycleNotice | null> {
  const containerId = await runningAgain(parts, session);
  if (containerId === null) return null;
  const saved = await saveThread(parts, { ...session, containerId }, 'full').catch(async (error: unknown) => {
    if (session.state === 'save_failed' && !parts.signal.aborted) await stopAgain(parts, session);
    throw error;
  });
  // It runs again, so it is idle again: nobody would ever look at it as one that is stopped.
  if (session.state === 'save_failed') await reopenSession(parts.db, session.id, parts.now());
  if (!saved) return null;
  const { filesModified, unpushedCommits, commit, leftOut } = saved.work;
  const { savedAt } = saved;
  return { kind: 'saved', savedAt, filesModified, unpushedCommits, commit, leftOut, now: parts.now() };
}

/** What could not be saved the last time either stays as it was left then. */
async function stopAgain({ docker, log }: LifecycleParts, session: DueSession): Promise<void> {
  await stopContainer(docker, session.containerName).catch((fault: unknown) => {
    const { threadId: thread } = session;
    log.warn({ err: fault, thread }, 'the container whose work cannot be saved cannot be stopped');
  });
}

async function stop(
  parts: LifecycleParts,
  command: Command,
  { session, repositoryName }: { session: DueSession | null; repositoryName: string },
): Promise<LifecycleNotice | null> {
  const { db, now } = parts;
  const { threadId } = command;
  if (session) await noteBegun(db, command.id);
  // A try before, in which the bot was killed, may have come to its end but for the answer.
  else if (!command.control?.hasBegun) return null;
  const removed = session && (await saveAndRemove(parts, session, 'stopped'));
  const after = removed ? null : await sessionOfThread(db, threadId);
  if (after) {
    const retryAt = new Date(now().getTime() + RETRY_MS);
    const reason = 'its work could not be saved; a mail of its own says why';
    return { kind: 'save-failed', forWhom: 'owner', threadId, repositoryName, reason, retryAt, now: now() };
  }
  // After a crash in between, what the try before has saved.
  const saved = await currentSave(db, threadId);
  if (!removed?.work && (!saved?.savedAt || saved.endReason === 'lost')) {
    const savedAt = saved?.savedAt ?? null;
    return { kind: 'lost', repositoryName, savedAt, now: now() };
  }
  return {
    kind: 'stopped',
    savedAt: saved?.savedAt ?? now(),
    expiresAt: saved?.expiresAt ?? new Date(now().getTime() + keptMs(parts)),
    filesModified: saved?.filesModified ?? 0,
    hasCommitted: removed?.work?.hasCommitted ?? false,
    commit: saved?.commitHash ?? null,
    leftOut: saved?.leftOut ?? [],
    now: now(),
  };
}

/** `extend` for a container that has gone: it comes back. */
async function extendAgain(
  parts: LifecycleParts,
  command: Command,
  repository: Repository,
): Promise<LifecycleNotice | null> {
  const { db, events, now } = parts;
  const { restored, session: opened } = await openContainer(parts, command, repository);
  const session = await sessionOfThread(db, command.threadId);
  if (!session) return null;
  const at = now();
  const durationMs = command.control?.durationMs ?? null;
  const { until, notice, keepUntil } = extension(parts, session, { durationMs, at });
  const isKept = keepUntil === 'unchanged' || (await extendSession(db, session.id, at, keepUntil));
  if (!isKept) return { kind: 'operator-removes', word: 'extend', repositoryName: repository.name };
  // Told in this answer, not once more in the next.
  if (restored) await setNotes(db, opened.id, []);
  await writeContainerState(parts, command.threadId);
  const { containerId, threadId } = session;
  events.tell('container:extended', { containerId, threadId, until: until.toISOString() });
  return notice.kind === 'extended' && restored
    ? { ...notice, wasRestored: { savedAt: restored.savedAt } }
    : notice;
}

/** A control word that could not be done, for a reason that does not pass by itself. */
export async function tellControlFailure(
  parts: LifecycleParts,
  command: Command,
  error: Error,
): Promise<void> {
  const { db, config, now } = parts;
  const message = await messageToAnswer(db, command.messageId);
  const { control } = await commandById(db, command.id);
  const reason = error.message.replaceAll('\0', '').slice(0, 4_000);
  const content = renderLifecycleNotice({
    kind: 'not-done',
    word: control?.word ?? '',
    reason,
    // Once it is written down what is swapped, whoever finishes the removal finishes it.
    isUnderWay: control?.plan !== undefined,
  });
  await db.transaction(async (transaction) => {
    await endCommand(transaction, command.id, { state: 'failed', error: reason });
    await answerMessage(transaction, config, message, content, command.threadId, now());
  });
  parts.wakeOutbox();
}
