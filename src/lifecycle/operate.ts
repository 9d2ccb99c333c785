import { setTimeout as pause } from 'node:timers/promises';
import { tellWithdrawn, type TellParts } from '../commands/tell-sender.ts';
import { withTokens } from '../commands/repository-secrets.ts';
import { peekOutput } from '../containers/peek-output.ts';
import { usageOf, type Usage } from '../containers/usage.ts';
import { recordCancel } from '../store/cancelling.ts';
import {
  CommandTaken,
  findCommand,
  openCommandsOfThread,
  type Command,
  type CommandState,
} from '../store/commands.ts';
import { repositoryById } from '../store/repositories.ts';
import { askRemoval, sessionOfContainer, type NamedSession } from '../store/session-ends.ts';
import { sessionOfThread } from '../store/sessions.ts';
import { answerControl } from './answer-control.ts';
import type { LifecycleParts } from './parts.ts';
import { saveAndRemove } from './remove-container.ts';
import { save } from './run-control.ts';

/** What an operator may ask for, beside the senders. Each may be asked twice with the effect of once. */
export type Operator = {
  extend: (container: string, durationMs: number | null) => Promise<Extended | NotThere>;
  cleanUp: (container: string) => Promise<CleanedUp | NotThere>;
  save: (container: string) => Promise<Saved | NotThere>;
  cancel: (commandId: number, by: string) => Promise<Cancelled | NotThere>;
  /** The end of what a running command has written so far; null when it cannot be asked now. */
  lastOutput: (commandId: number) => Promise<string | null>;
  /** What a container takes now; null when it is not there, or Docker does not answer. */
  usage: (container: string) => Promise<Usage | NotThere | null>;
  /** False while another bot works on the database. */
  isOurs: () => boolean;
};

type NotThere = { kind: 'not-there' };
/** `gone`: the container is about to go, or has gone. `at-limit`: it cannot be kept any longer. */
type Extended = { kind: 'extended' | 'at-limit'; until: Date; isCapped: boolean } | { kind: 'gone' };
/** `waiting`: for so many commands, and done after them. `kept`: its work could not be saved. */
type CleanedUp = { kind: 'removed' } | { kind: 'waiting'; ahead: number } | { kind: 'kept'; reason: string };
type Saved =
  | { kind: 'saved'; savedAt: Date; filesModified: number; commit: string | null; leftOut: string[] }
  | { kind: 'waiting'; ahead: number }
  | { kind: 'gone' }
  | { kind: 'failed'; reason: string };
/** `control`: a control word is done to its end. */
type Cancelled =
  | { kind: 'cancelled' }
  | { kind: 'cancelling' }
  | { kind: 'control' }
  | { kind: 'ended'; state: Exclude<CommandState, 'queued' | 'running'> };

export type OperateParts = LifecycleParts & TellParts;

/** Whoever asks over HTTP is not kept waiting for longer. */
const ANSWER_MS = 25_000;
const NOT_THERE: NotThere = { kind: 'not-there' };

/** The same functions as the control words, in the same queues. */
export function createOperator(parts: OperateParts): Operator {
  const { db, docker } = parts;
  /** By session: who asks twice waits for the same. */
  const removals = new Map<number, Promise<CleanedUp>>();
  const saves = new Map<number, Promise<Saved>>();
  const named = async <T>(container: string, work: (session: NamedSession) => Promise<T>) => {
    const session = await sessionOfContainer(db, container);
    return session ? work(session) : NOT_THERE;
  };
  return {
    extend: (container, durationMs) => named(container, (session) => extend(parts, session, durationMs)),
    cleanUp: (container) =>
      named(container, async (session) => {
        if (session.state === 'ended') return { kind: 'removed' };
        await askRemoval(db, session.id, parts.now());
        return inTurn(parts, session, removals, () => removeAsked(parts, session));
      }),
    save: (container) =>
      named(container, async (session) => {
        if (session.state === 'ended') return { kind: 'gone' };
        return inTurn(parts, session, saves, () => saveNow(parts, session));
      }),
    cancel: (commandId, by) => cancel(parts, commandId, by),
    async lastOutput(commandId) {
      const command = await findCommand(db, commandId);
      if (command?.state !== 'running') return null;
      const session = await sessionOfThread(db, command.threadId);
      if (!session) return null;
      const { masks } = withTokens(await parts.secretsOf(command.repositoryId), command.script);
      return (await peekOutput(docker, session.containerId, commandId, masks))?.text ?? null;
    },
    usage: (container) =>
      named(container, async ({ containerId, state }) =>
        state === 'ended' ? NOT_THERE : usageOf(docker, containerId),
      ),
    isOurs: () => parts.lock.isHeld(),
  };
}

async function extend(
  parts: OperateParts,
  session: NamedSession,
  durationMs: number | null,
): Promise<Extended> {
  for (;;) {
    if (session.state === 'ended') return { kind: 'gone' };
    const outcome = await answerControl(parts, session, { word: 'extend', durationMs });
    // It would come back, for a mail: an operator wants the container they see.
    if (outcome.kind === 'queue') return { kind: 'gone' };
    const { notice } = outcome;
    if (notice.kind === 'nothing-there' || notice.kind === 'operator-removes') return { kind: 'gone' };
    if (!(await parts.db.transaction((transaction) => outcome.record(transaction)))) continue;
    if (notice.kind === 'at-limit') return { kind: 'at-limit', until: notice.until, isCapped: true };
    outcome.isDone();
    if (notice.kind !== 'extended') throw new Error(`extend came to ${notice.kind}`);
    return { kind: 'extended', until: notice.until, isCapped: notice.isCapped };
  }
}

/** Does it in the thread's queue. What is not done soon is answered by `waiting`, and done all the same. */
async function inTurn<T extends { kind: string }>(
  parts: OperateParts,
  { id, threadId }: NamedSession,
  inHand: Map<number, Promise<T>>,
  job: () => Promise<T>,
): Promise<T | { kind: 'waiting'; ahead: number }> {
  const ahead = (await openCommandsOfThread(parts.db, threadId)).length;
  let done = inHand.get(id);
  if (!done) {
    done = parts.queues.run(threadId, job).finally(() => inHand.delete(id));
    done.catch((error: unknown) => {
      if (!parts.signal.aborted)
        parts.log.warn({ err: error, thread: threadId }, 'what an operator asked for could not be done yet');
    });
    inHand.set(id, done);
  }
  const waiting = { kind: 'waiting', ahead } as const;
  if (ahead > 0) return waiting;
  const givenUp = new AbortController();
  try {
    return await Promise.race([done, pause(ANSWER_MS, waiting, { signal: givenUp.signal })]);
  } finally {
    givenUp.abort();
  }
}

async function removeAsked(
  parts: OperateParts,
  { id, threadId, containerId }: NamedSession,
): Promise<CleanedUp> {
  const session = await sessionOfThread(parts.db, threadId);
  if (session?.id !== id) return { kind: 'removed' };
  await saveAndRemove(parts, session, 'stopped', { isByOperator: true });
  const after = await sessionOfContainer(parts.db, containerId);
  if (!after || after.state === 'ended') return { kind: 'removed' };
  return { kind: 'kept', reason: after.saveError ?? 'it could not be removed yet' };
}

async function saveNow(parts: OperateParts, { id, threadId }: NamedSession): Promise<Saved> {
  const session = await sessionOfThread(parts.db, threadId);
  if (session?.id !== id) return { kind: 'gone' };
  try {
    const notice = await save(parts, session);
    if (notice?.kind !== 'saved') return { kind: 'gone' };
    const { savedAt, filesModified, commit, leftOut } = notice;
    return { kind: 'saved', savedAt, filesModified, commit, leftOut: [...leftOut] };
  } catch (error) {
    if (parts.signal.aborted) throw error;
    parts.log.warn({ err: error, thread: threadId }, 'the save that an operator asked for has failed');
    return { kind: 'failed', reason: (error as Error).message };
  }
}

/** Recorded first, then done. What waited is answered to its sender at once; what runs answers by itself. */
async function cancel(parts: OperateParts, commandId: number, by: string): Promise<Cancelled | NotThere> {
  for (;;) {
    const command = await findCommand(parts.db, commandId);
    if (!command) return NOT_THERE;
    const outcome = await cancelAsSeen(parts, command, by);
    if (outcome !== 'outdated') return outcome;
  }
}

async function cancelAsSeen(
  parts: OperateParts,
  command: Command,
  by: string,
): Promise<Cancelled | 'outdated'> {
  const { db, cancellations } = parts;
  const { id, state } = command;
  if (state !== 'queued' && state !== 'running') return { kind: 'ended', state };
  if (command.control) return { kind: 'control' };
  if (state === 'running') {
    const wanted = { running: [id], queued: [] };
    const isRecorded = await db.transaction((transaction) => recordCancel(transaction, wanted, by));
    if (!isRecorded) return 'outdated';
  } else {
    try {
      await tellWithdrawn(parts, command, await repositoryById(db, command.repositoryId), by);
    } catch (error) {
      if (error instanceof CommandTaken) return 'outdated';
      throw error;
    }
  }
  cancellations.request(id);
  return { kind: state === 'running' ? 'cancelling' : 'cancelled' };
}
