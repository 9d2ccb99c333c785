import { answerMessage } from '../commands/answer-message.ts';
import type { QueuedJob } from '../commands/queues.ts';
import type { ControlParts } from '../commands/take-control.ts';
import { tellDelay } from '../commands/tell-sender.ts';
import type { DelayTold } from '../commands/wait-for-place.ts';
import { renderLifecycleNotice } from '../mail/lifecycle-notices.ts';
import { retryForEver } from '../retry.ts';
import { commandById, type Command } from '../store/commands.ts';
import { messageToAnswer } from '../store/messages.ts';
import { readPause } from '../store/pause.ts';
import type { Repository } from '../store/repositories.ts';
import { sessionOfThread } from '../store/sessions.ts';
import { Admission, type Newcomer } from './admission.ts';
import { answerControl } from './answer-control.ts';
import type { LifecycleEvents } from './events.ts';
import type { LifecycleParts } from './parts.ts';
import { runControl, tellControlFailure } from './run-control.ts';
import { saveAgain, startSweep } from './sweep.ts';

export type Lifecycle = {
  events: LifecycleEvents;
  /** What goes around a command in its thread's queue: room for a container before, the save after. */
  around: (
    threadId: string,
    commandId: number,
    delay: DelayTold,
    run: () => Promise<{ hasNewWork: boolean }>,
  ) => QueuedJob;
  answerControl: ControlParts['answerControl'];
  runControl: (command: Command, repository: Repository) => Promise<void>;
  tellControlFailure: (command: Command, error: Error) => Promise<void>;
  /** One sweep now, to its end. For the tests and the bench; it goes on by itself otherwise. */
  sweep: () => Promise<void>;
  close: () => Promise<void>;
};

/** Words that end a container, or only look into it, need no room for one. */
const NEEDS_NO_ROOM: ReadonlySet<string> = new Set(['save', 'stop', 'fresh']);

export function startLifecycle(parts: LifecycleParts): Lifecycle {
  const admission = new Admission(parts);
  const sweep = startSweep(parts);
  return {
    events: parts.events,
    around: (threadId, commandId, delay, run) => {
      let hasNewWork = false;
      return {
        prepare: () => admission.admit(threadId, () => whoAsks(parts, commandId, delay)),
        run: async () => {
          ({ hasNewWork } = await run());
        },
        finish: async () => {
          admission.release(threadId);
          if (!hasNewWork) {
            // When it was used last.
            parts.sharedState.writeLater(threadId);
            return;
          }
          await saveAfterCommand(parts, threadId);
          admission.lookAgain();
        },
      };
    },
    answerControl: (thread, control) => answerControl(parts, thread, control),
    runControl: (command, repository) => runControl(parts, command, repository),
    tellControlFailure: (command, error) => tellControlFailure(parts, command, error),
    sweep: () => sweep.now(),
    close: () => sweep.close(),
  };
}

async function saveAfterCommand(parts: LifecycleParts, threadId: string): Promise<void> {
  const session = await sessionOfThread(parts.db, threadId);
  if (session?.state === 'active' && !session.isSaved) await saveAgain(parts, session);
}

/** Whose container it is to be, and how to tell them that it takes a while. null: it needs none. */
async function whoAsks(parts: LifecycleParts, commandId: number, delay: DelayTold): Promise<Newcomer | null> {
  const { db, config, signal, states, now } = parts;
  const command = await retryForEver(() => commandById(db, commandId), {
    signal,
    onFailure: (error) => states.database.isDown(error),
  });
  if (command.control && NEEDS_NO_ROOM.has(command.control.word)) return null;
  return {
    userId: command.userId,
    onDelay: async (reason) => {
      const waiting = await commandById(db, commandId);
      const isWaiting = waiting.state === 'queued' && waiting.control === null;
      // Of a pause its sender knows.
      if (delay.isTold || !isWaiting || (await readPause(db)) !== null) return;
      await tellDelay(parts, waiting, reason);
      delay.isTold = true;
    },
    onWait: async (waiting) => {
      const message = await messageToAnswer(db, command.messageId);
      const notice = { ...renderLifecycleNotice({ kind: 'no-room', ...waiting }), kind: 'delay' } as const;
      await db.transaction((transaction) =>
        answerMessage(transaction, config, message, notice, command.threadId, now()),
      );
      parts.wakeOutbox();
      parts.log.info({ thread: command.threadId, ...waiting }, 'a command waits for room for its container');
    },
  };
}
