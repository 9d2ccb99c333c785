import type { LifecycleNotice } from '../mail/lifecycle-notices.ts';
import { recordCancel } from '../store/cancelling.ts';
import { openCommandsOfThread, type LoggedCommand } from '../store/commands.ts';
import type { ControlOutcome } from './answer-control.ts';
import type { LifecycleParts } from './parts.ts';

/** What a `cancel` comes to, of the open commands of a thread in the order of their arrival. */
type CancelPlan = {
  running: LoggedCommand | null;
  /** They will not run. */
  dropped: LoggedCommand[];
  /** They still will. */
  waiting: LoggedCommand[];
  /** Control words: nobody knows how far one has come, so each is done to its end. */
  controls: LoggedCommand[];
};

/** `cancel` is for the command whose turn it is, even if it has not begun yet; `cancel all` for all. */
export function planCancel(open: readonly LoggedCommand[], isAll: boolean): CancelPlan {
  const scripts = open.filter(({ isControl }) => !isControl);
  const running = scripts.find(({ state }) => state === 'running') ?? null;
  const queued = scripts.filter((command) => command !== running);
  const droppedCount = isAll ? queued.length : running ? 0 : 1;
  return {
    running,
    dropped: queued.slice(0, droppedCount),
    waiting: queued.slice(droppedCount),
    controls: open.filter(({ isControl }) => isControl),
  };
}

/** Ends what runs, at once: recorded first, then the process; its own answer tells how it ended. */
export async function cancel(
  { db, cancellations }: LifecycleParts,
  threadId: string,
  isAll: boolean,
): Promise<ControlOutcome> {
  const { running, dropped, waiting, controls } = planCancel(await openCommandsOfThread(db, threadId), isAll);
  const scripts = (commands: readonly LoggedCommand[]) => commands.map(({ script }) => script);
  const ids = {
    running: running ? [running.id] : [],
    queued: dropped.map(({ id }) => id),
  };
  const notice: LifecycleNotice = {
    kind: 'cancelled',
    running: running?.script ?? null,
    isRepeated: running !== null && running.cancelRequestedAt !== null,
    dropped: scripts(dropped),
    waiting: scripts(waiting),
    controls: scripts(controls).map((script) => script.trim()),
  };
  return {
    kind: 'answer',
    notice,
    record: (transaction) => recordCancel(transaction, ids),
    isDone: () => [...ids.running, ...ids.queued].forEach((id) => cancellations.request(id)),
  };
}
