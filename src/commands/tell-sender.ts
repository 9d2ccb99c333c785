import type { AnswerFacts } from '../mail/answer.ts';
import { renderNotice } from '../mail/notices.ts';
import { outboxFiles } from '../mail/outbox-files.ts';
import { tokenNote } from '../mail/token-note.ts';
import type { Masks } from '../secrets/masks.ts';
import { recordCancel } from '../store/cancelling.ts';
import { recordOutput } from '../store/command-outputs.ts';
import { commandById, CommandTaken, endCommand, type Command } from '../store/commands.ts';
import type { Db } from '../store/database.ts';
import { messageToAnswer } from '../store/messages.ts';
import type { Repository } from '../store/repositories.ts';
import { activeSession, recordActivity } from '../store/sessions.ts';
import { answerMessage, type Answering } from './answer-message.ts';
import { copiesAbout } from './copies-to.ts';
import { mayHaveBegun, type Executed, type Tries } from './execute.ts';
import type { LetInParts } from './let-in.ts';
import { networkNotes, type NetworkNoteParts } from './network-notes.ts';
import { renderMasked, withoutSecrets } from './masked-answer.ts';
import { masksFor, type SecretsOf } from './repository-secrets.ts';
import { timeAllowed, type TimeConfig } from './time-allowed.ts';

export type TellParts = {
  db: Db;
  config: Answering & LetInParts['config'] & TimeConfig;
  /** An answer was stored: send it now. */
  wakeOutbox: () => void;
  now: () => Date;
  secretsOf: SecretsOf;
};

const NOTHING = { head: Buffer.alloc(0), tail: Buffer.alloc(0), totalBytes: 0, omittedBytes: 0, log: null };

/** The command ran: its answer, to whom its sender has copied as well, and its end. */
export async function tellResult(
  parts: TellParts & NetworkNoteParts,
  command: Command,
  repository: Repository,
  { session, notes, result, outbox, masks, oversize, refused }: Executed,
): Promise<void> {
  const { durationMs, branch, changes, output, shortages } = result;
  const { backgroundProcesses, backgroundNames, droppedProcesses, droppedNames } = result;
  const files = outbox === null ? null : outboxFiles(withoutSecrets(outbox, masks));
  const { cancelRequestedAt, cancelledBy } = await commandById(parts.db, command.id);
  // Where a command had to be killed with all of its container, and the bot with it, nothing else tells why.
  const wasCancelled = cancelRequestedAt !== null && result.ending === 'interrupted';
  const ending = wasCancelled ? 'cancelled' : result.ending;
  const isTooLate = cancelRequestedAt !== null && ending === 'exited';
  const exitCode = ending === 'cancelled' ? null : result.exitCode;
  const facts: AnswerFacts = {
    ...commonFacts(parts, command, repository),
    result: ending,
    exitCode,
    durationMs,
    branch,
    changes,
    output,
    backgroundProcesses,
    backgroundNames,
    droppedProcesses,
    droppedNames,
    shortages,
    oversize,
    containerName: session.containerName,
    notes: [
      ...notes,
      ...(result.note === undefined ? [] : [result.note]),
      ...networkNotes(parts, repository, command.id, result, refused),
      ...(isTooLate && cancelledBy === null
        ? ['Your "cancel" came too late: the command had ended by itself.']
        : []),
      ...(ending === 'cancelled' && cancelledBy !== null ? ['An operator of Threadbox has ended it.'] : []),
      ...(files?.notes ?? []),
    ],
    files: files?.attachments ?? [],
  };
  const state = ending === 'exited' ? 'finished' : ending;
  await tell(parts, command, { facts, withCopies: true, masks }, async (transaction) => {
    await recordActivity(transaction, session.id, { now: parts.now(), isUnsaved: result.isUnsaved });
    const outputBytes = output.totalBytes;
    const end = { state, sessionId: session.id, exitCode, durationMs, branch, outputBytes } as const;
    await endCommand(transaction, command.id, end);
    await recordOutput(transaction, command.id, output);
  });
}

/**
 * A command that waits is taken out by an operator: its sender is told in its place.
 *
 * @throws {CommandTaken} when it does not wait any more
 */
export async function tellWithdrawn(
  parts: TellParts,
  command: Command,
  repository: Repository,
  by: string,
): Promise<void> {
  const facts: AnswerFacts = {
    ...nothingKnown(parts, command, repository),
    result: 'not_begun',
    error: 'An operator of Threadbox has cancelled it. Nothing was run.',
  };
  const masks = await masksFor(parts, repository, command.script);
  await tell(parts, command, { facts, withCopies: false, masks }, async (transaction) => {
    const isRecorded = await recordCancel(transaction, { running: [], queued: [command.id] }, by);
    if (!isRecorded) throw new CommandTaken(command.id);
  });
}

/** It was cancelled after its turn had come, and before it began. */
export async function tellNotBegun(
  parts: TellParts,
  command: Command,
  repository: Repository,
): Promise<void> {
  const facts: AnswerFacts = {
    ...nothingKnown(parts, command, repository),
    result: 'not_begun',
    error: 'Nothing was run.',
  };
  const masks = await masksFor(parts, repository, command.script);
  await tell(parts, command, { facts, withCopies: false, masks }, (transaction) =>
    endCommand(transaction, command.id, { state: 'cancelled' }),
  );
}

/**
 * The command could not be run, or not be seen to its end. Which of the two is said as carefully as it is known:
 * whoever reads "nothing was run" will send it again.
 *
 * @param known what it came to, when only the telling failed; and whether its last attempt began
 */
export async function tellFailure(
  parts: TellParts,
  command: Command,
  repository: Repository,
  error: Error,
  { executed, tries }: { executed: Executed | null; tries: Tries },
): Promise<void> {
  const { attempt } = await commandById(parts.db, command.id);
  const mayHaveRun = executed !== null || mayHaveBegun(attempt, tries);
  const words = error.message.replaceAll('\0', '').slice(0, 4_000);
  const reason = isForTheSender(error)
    ? words
    : `This is a fault of Threadbox, not of your command; its log tells more under command ${command.id}. ${words}`;
  const session = await activeSession(parts.db, command.threadId);
  const facts: AnswerFacts = {
    ...nothingKnown(parts, command, repository),
    result: mayHaveRun ? 'interrupted' : 'failed',
    durationMs: executed?.result.durationMs ?? 0,
    containerName: executed?.session.containerName ?? '',
    error: reason,
    notes: session?.notes ?? [],
  };
  const state = mayHaveRun ? 'interrupted' : 'failed';
  const masks = executed?.masks ?? (await masksFor(parts, repository, command.script));
  await tell(parts, command, { facts, withCopies: true, masks }, async (transaction) => {
    await endCommand(transaction, command.id, { state, error: masks.text(words) });
    const at = { now: parts.now(), isUnsaved: mayHaveRun };
    if (session) await recordActivity(transaction, session.id, at);
  });
}

/** The command still waits to be started, through no fault of its own. It stays as it is. */
export async function tellDelay(
  parts: Pick<TellParts, 'db' | 'now' | 'wakeOutbox' | 'secretsOf'> & { config: Answering },
  command: Command,
  reason: string,
): Promise<void> {
  const { db, config, now, wakeOutbox } = parts;
  const message = await messageToAnswer(db, command.messageId);
  const { text: masked } = await masksFor(parts, { id: command.repositoryId }, command.script);
  const facts = { kind: 'delayed', command: masked(command.script), reason: masked(reason) } as const;
  const notice = { ...renderNotice(facts), kind: 'delay' } as const;
  await db.transaction((transaction) =>
    answerMessage(transaction, config, message, notice, command.threadId, now()),
  );
  wakeOutbox();
}

/** Faults that the sender, or whoever runs Threadbox, can do something about. */
export function isForTheSender(error: unknown): boolean {
  const { code } = error as { code?: string };
  return (
    code === 'REPOSITORY_UNAVAILABLE' ||
    code === 'WORKSPACE' ||
    code === 'WORKSPACE_UNWRITABLE' ||
    code === 'RESTORE_FAILED' ||
    code === 'NOT_ALLOWED' ||
    code === 'SECRETS' ||
    code === 'SAVE_FAILED'
  );
}

const commonFacts = ({ config }: TellParts, command: Command, repository: Repository) => ({
  timeAllowed: timeAllowed(command, repository, config),
  command: command.script,
  threadId: command.threadId,
  repositoryName: repository.name,
});

const nothingKnown = (parts: TellParts, command: Command, repository: Repository) => ({
  ...commonFacts(parts, command, repository),
  exitCode: null,
  durationMs: 0,
  branch: null,
  changes: { files: [], isComplete: false, reason: 'it could not be looked up' },
  output: NOTHING,
  backgroundProcesses: 0,
  backgroundNames: [],
  droppedProcesses: 0,
  droppedNames: [],
  shortages: null,
  containerName: '',
  notes: [],
});

/** Stores the answer and what it tells in one transaction, then has it sent. */
async function tell(
  { db, config, now, wakeOutbox }: TellParts,
  command: Command,
  { facts, withCopies, masks }: { facts: AnswerFacts; withCopies: boolean; masks: Masks },
  record: (transaction: Db) => Promise<void>,
): Promise<void> {
  const message = await messageToAnswer(db, command.messageId);
  const asked = withCopies ? message.copyTo : [];
  const copyTo = await copiesAbout({ db, config }, asked, command.repositoryId);
  const note = tokenNote(`${message.subject}\n${command.script}`, facts.repositoryName);
  const noted = note === null ? facts : { ...facts, notes: [...facts.notes, note] };
  const answer = { ...renderMasked(noted, masks), copyTo };
  await db.transaction(async (transaction) => {
    await record(transaction);
    await answerMessage(transaction, config, message, answer, command.threadId, now());
  });
  wakeOutbox();
}
