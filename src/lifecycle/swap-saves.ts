import { openContainer } from '../commands/open-container.ts';
import { removeContainer, removeVolume } from '../containers/container.ts';
import { containerName, volumeName } from '../containers/names.ts';
import { hasWorkspace } from '../containers/workspace-volume.ts';
import type { LifecycleNotice } from '../mail/lifecycle-notices.ts';
import { hasAskedBefore, noteAsked, planSwap, type Command, type SwapPlan } from '../store/commands.ts';
import type { Repository } from '../store/repositories.ts';
import {
  bringBack,
  currentSave,
  ensureCurrentSave,
  forgetVolume,
  newestAside,
  putAside,
  savedStateById,
  type SavedState,
} from '../store/saved-states.ts';
import { activeSession, markRemoving, sessionOfThread, type DueSession } from '../store/sessions.ts';
import { writeContainerState } from './container-state.ts';
import { finishRemoval } from './finish-removal.ts';
import { isRepositoryMissing } from './part-faults.ts';
import { keptMs, type LifecycleParts } from './parts.ts';
import { runningAgain } from './remove-container.ts';
import { saveThread } from './save-thread.ts';

/** `fresh`: what the thread has is put aside, and its next command starts from the repository. */
export async function fresh(parts: LifecycleParts, command: Command): Promise<LifecycleNotice> {
  const { db, config, now } = parts;
  let plan = command.control?.plan;
  if (!plan) {
    const asked = await saveAll(parts, command, 'fresh');
    if (asked) return asked;
    plan = { away: (await currentSave(db, command.threadId))?.id ?? null, target: null };
  }
  await putAway(parts, command, plan);
  await writeContainerState(parts, command.threadId);
  const away = plan.away === null ? null : await savedStateById(db, plan.away);
  const savedAt = away?.savedAt ?? null;
  return { kind: 'fresh', savedAt, keptDays: config.savedStateDays, now: now() };
}

/** `restore`: what was put aside last comes back, and what the thread has is put aside. */
export async function restore(
  parts: LifecycleParts,
  command: Command,
  repository: Repository,
): Promise<LifecycleNotice | null> {
  const { db, now } = parts;
  const { threadId } = command;
  let plan = command.control?.plan;
  if (!plan) {
    const aside = await newestAside(db, threadId);
    if (aside) {
      const asked = await saveAll(parts, command, 'restore');
      if (asked) return asked;
      plan = { away: (await currentSave(db, threadId))?.id ?? null, target: aside.id };
    } else {
      const current = await currentSave(db, threadId);
      if (!current?.snapshot || (await sessionOfThread(db, threadId))) return null;
      plan = { away: null, target: current.id };
    }
  }
  const target = plan.target === null ? null : await savedStateById(db, plan.target);
  if (!target?.savedAt) return null;
  await putAway(parts, command, plan);
  await openContainer(parts, command, repository);
  await writeContainerState(parts, threadId);
  const { savedAt, filesModified } = target;
  const isSwapped = plan.away !== null;
  return { kind: 'restored', savedAt, filesRestored: filesModified, isSwapped, now: now() };
}

/**
 * Saves what the thread has, before its workspace goes.
 *
 * @returns a question where something cannot be saved, or nothing can: it would be gone with the workspace, so it goes
 *   only when the same word comes once more
 */
async function saveAll(
  parts: LifecycleParts,
  command: Command,
  word: 'fresh' | 'restore',
): Promise<LifecycleNotice | null> {
  const { db } = parts;
  const session = await sessionOfThread(db, command.threadId);
  if (!session || session.state === 'removing')
    return askFirst(parts, command, { word, leftOut: await leftInVolume(parts, command.threadId) });
  const containerId = await runningAgain(parts, session);
  if (containerId === null) return null;
  await ensureCurrentSave(db, session);
  // A workspace that was never ready has nothing to lose.
  const hasRun = async () => (await activeSession(db, command.threadId))?.hasRun === true;
  const saving = saveThread(parts, { ...session, containerId }, 'full').catch((error: unknown) => {
    if (isRepositoryMissing(error)) return 'missing' as const;
    throw error;
  });
  const saved = await saving;
  const isLost = saved === 'missing' || (saved === null && (await hasRun()));
  return askFirst(parts, command, {
    word,
    leftOut: isLost ? [whole(session)] : (saved?.work.leftOut ?? []),
  });
}

/** What its last save had no room for, where its container has gone and its volume is the only place that has it. */
async function leftInVolume(
  { db, docker, installation, workspaceLimit }: LifecycleParts,
  threadId: string,
): Promise<readonly string[]> {
  const leftOut = (await currentSave(db, threadId))?.leftOut ?? [];
  const isThere =
    leftOut.length > 0 && (await hasWorkspace(docker, volumeName(installation, threadId), workspaceLimit));
  return isThere ? leftOut : [];
}

/** @returns null when nothing would be lost, or it was asked for again after the question */
async function askFirst(
  { db }: LifecycleParts,
  command: Command,
  { word, leftOut }: { word: 'fresh' | 'restore'; leftOut: readonly string[] },
): Promise<LifecycleNotice | null> {
  if (leftOut.length === 0 || (await hasAskedBefore(db, command, word))) return null;
  await noteAsked(db, command.id);
  return { kind: 'would-lose', word, leftOut };
}

const whole = ({ repositoryName }: DueSession): string =>
  `everything in /workspace that is newer than the last save (the directory ${repositoryName} is not there)`;

/**
 * Puts aside what the thread has, with its container and its volume gone, and the other state in its place. The plan is
 * written down first: once they are swapped, nobody could tell any more which one was meant.
 */
async function putAway(parts: LifecycleParts, command: Command, plan: SwapPlan): Promise<void> {
  const { db, docker, installation } = parts;
  await planSwap(db, command.id, plan);
  const { threadId } = command;
  const session = await sessionOfThread(db, threadId);
  const away = plan.away === null ? null : await savedStateById(db, plan.away);
  const target = plan.target === null ? null : await savedStateById(db, plan.target);
  const isSwapped = away?.state === 'aside' && target?.state !== 'aside';
  if (isSwapped) {
    if (session?.state === 'removing') await removeNow(parts, { ...session, dropsVolume: true });
    return;
  }
  if (!session) {
    // Its verified save stands for the workspace from here on.
    if (away) await forgetVolume(db, away.id);
    if (plan.away !== null || target?.state === 'aside') {
      await removeContainer(docker, containerName(installation, threadId));
      await removeVolume(docker, volumeName(installation, threadId), parts.workspaceLimit);
    }
  }
  await recordSwap(parts, { session, away, target });
  if (session) await removeNow(parts, { ...session, dropsVolume: true });
}

async function recordSwap(
  { db, config, now }: LifecycleParts,
  of: { session: DueSession | null; away: SavedState | null; target: SavedState | null },
): Promise<void> {
  const { session, away, target } = of;
  const at = now();
  const expiresAt = new Date(at.getTime() + keptMs({ config }));
  await db.transaction(async (transaction) => {
    if (session) {
      const reason = target ? 'restore' : 'fresh';
      await markRemoving(transaction, session.id, { reason, dropsVolume: true });
    }
    if (away) await putAside(transaction, away.id, { expiresAt, now: at });
    if (target?.state === 'aside') await bringBack(transaction, target.id);
  });
}

async function removeNow(parts: LifecycleParts, session: DueSession): Promise<void> {
  await parts.sharedState.written(session.threadId);
  if (!(await finishRemoval(parts, session))) return;
  const { threadId, containerId } = session;
  parts.events.tell('container:cleaned', { threadId, containerId, idleMinutes: 0 });
}
