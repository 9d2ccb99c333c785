import type { Config } from '../config.ts';
import { ContainersError } from '../containers/errors.ts';
import type { PartState } from '../part-state.ts';
import { retryForEver } from '../retry.ts';
import { commandById, CommandTaken, endCommand, type Command } from '../store/commands.ts';
import { isDatabaseAway, isDatabaseBusy } from '../store/database.ts';
import { readPause } from '../store/pause.ts';
import { repositoryById, type Repository } from '../store/repositories.ts';
import { endForbidden } from './end-forbidden.ts';
import { execute, mayHaveBegun, type ExecuteParts, type Executed, type Tries } from './execute.ts';
import {
  isForTheSender,
  tellDelay,
  tellFailure,
  tellNotBegun,
  tellResult,
  type TellParts,
} from './tell-sender.ts';
import { DELAY_TOLD_AFTER_MS, type DelayTold } from './wait-for-place.ts';
import { watchLong, type WatchParts } from './watch-long.ts';

export type CommandParts = ExecuteParts &
  TellParts &
  WatchParts & {
    config: Pick<Config, 'allowedSenders' | 'containerMayReach'>;
    /** Does what a control word asks of the thread's container, and answers it. */
    runControl: (command: Command, repository: Repository) => Promise<void>;
    /** Answers one that could not be done. */
    tellControlFailure: (command: Command, error: Error) => Promise<void>;
    /** What waits for a part says so here: once, for however many commands. */
    states: { docker: PartState; database: PartState };
    /** What its sender knows of the time before its turn had come. */
    delay: DelayTold;
    /** Tests alone set this. */
    delayToldAfterMs?: number | undefined;
  };

/** A fault that nobody foresaw may pass: with the pauses between them, these tries last for eight seconds. */
const MOST_FAULTS = 6;
/** So often its end is tried to be told when a fault has had its tries before, with pauses of some seconds between. */
const MOST_UNTOLD = 3;

/**
 * The story of one command: its container is made sure of, it runs there, and its answer is stored together with its
 * end. Called in the thread's queue, also for a command that was running when the bot was killed.
 *
 * Faults that pass (Docker or PostgreSQL away) are waited out, for ever; the command is not lost meanwhile and does not
 * start twice. What does not pass is told to the sender.
 *
 * @returns whether there is something to save
 * @throws an AbortError when the bot stops: the command goes on in its container, and is taken up after the next start
 */
export async function runCommand(parts: CommandParts, commandId: number): Promise<{ hasNewWork: boolean }> {
  const log = parts.log.child({ command: commandId });
  const tries: Tries = { notBegun: null, givenUp: null, hasBegun: false };
  let executed: Executed | null = null;
  let faults = 0;
  let untold = 0;
  let waitsFor = 'its container and the repository in it are still being prepared';
  const { delay } = parts;
  let watching: ReturnType<typeof watchLong> | null = null;
  const telling = setInterval(() => void tellWaiting(), parts.delayToldAfterMs ?? DELAY_TOLD_AFTER_MS);

  async function attempt(): Promise<void> {
    const command = await commandById(parts.db, commandId);
    parts.states.database.isUp();
    if (command.state !== 'queued' && command.state !== 'running') return;
    const repository = await repositoryById(parts.db, command.repositoryId);
    if (await endForbidden(parts, command, repository)) return;
    try {
      if (command.control) return await parts.runControl(command, repository);
      if (command.cancelRequestedAt) parts.cancellations.request(commandId);
      watching ??= watchLong(parts, command, repository);
      executed ??= await execute(parts, command, repository, tries);
      watching.close();
      if (!executed) return await tellNotBegun(parts, command, repository);
      parts.states.docker.isUp();
      await tellResult(parts, command, repository, executed);
      const { ending, exitCode, durationMs } = executed.result;
      log.info({ thread: command.threadId, ending, exitCode, durationMs }, 'command ended');
    } catch (error) {
      if (isTriedAgain(error)) throw error;
      if (!isForTheSender(error) && (faults += 1) < MOST_FAULTS) throw error;
      log.error({ err: error }, 'the command cannot be run or answered');
      await tellFault(command, repository, error as Error);
    }
  }

  const isTriedAgain = (error: unknown): boolean =>
    parts.signal.aborted || isPassing(error) || error instanceof CommandTaken;

  /** What cannot be told either is left at last: it would hold its thread and its place for ever. */
  async function tellFault(command: Command, repository: Repository, fault: Error): Promise<void> {
    try {
      if (command.control) await parts.tellControlFailure(command, fault);
      else await tellFailure(parts, command, repository, fault, { executed, tries });
    } catch (error) {
      const most = faults < MOST_FAULTS ? MOST_FAULTS : MOST_UNTOLD;
      if (isTriedAgain(error) || (untold += 1) < most) throw error;
      await endUntold(parts, commandId, error as Error);
    }
  }

  async function tellWaiting(): Promise<void> {
    if (delay.isTold || tries.hasBegun || parts.signal.aborted) return;
    delay.isTold = true;
    try {
      const command: Command = await commandById(parts.db, commandId);
      const isOpen = command.control === null && (command.state === 'queued' || command.state === 'running');
      // One that was taken up after a restart may be running all the while; and of a pause its sender knows.
      delay.isTold = isOpen && !mayHaveBegun(command.attempt, tries) && (await readPause(parts.db)) === null;
      if (delay.isTold) await tellDelay(parts, command, waitsFor);
    } catch (error) {
      delay.isTold = false;
      log.warn({ err: error }, 'the sender could not be told of a delay');
    }
  }

  try {
    await retryForEver(attempt, {
      signal: parts.signal,
      onFailure: (error) => {
        waitsFor = error.message;
        if (isDockerAway(error)) parts.states.docker.isDown(error);
        else if (isUnguarded(error)) log.debug({ reason: error.message }, 'waiting for the network guard');
        else if (error instanceof CommandTaken) log.info({ reason: error.message }, 'looking at it again');
        else if (isDatabaseBusy(error))
          log.warn({ err: error }, 'the database is busy; the command is tried again');
        else if (isPassing(error)) parts.states.database.isDown(error);
        else log.warn({ err: error }, 'a fault that nobody foresaw; the command is tried again');
      },
    });
  } finally {
    clearInterval(telling);
    (watching as ReturnType<typeof watchLong> | null)?.close();
    parts.cancellations.forget(commandId);
  }
  return { hasNewWork: (executed as Executed | null)?.result.isUnsaved ?? false };
}

/** Its sender sees it in the next `status` alone. */
async function endUntold({ db, log }: CommandParts, id: number, error: Error): Promise<void> {
  const { attempt } = await commandById(db, id);
  log.error(
    { err: error, command: id },
    'how a command has ended cannot be told to its sender; it is left untold',
  );
  const words = `its answer could not be stored: ${error.message.replaceAll('\0', '').slice(0, 1_000)}`;
  await endCommand(db, id, { state: attempt > 0 ? 'interrupted' : 'failed', error: words });
}

const isDockerAway = (error: unknown): boolean =>
  error instanceof ContainersError && error.code === 'DOCKER_UNREACHABLE';

/** The guard says so itself, once for all commands. */
const isUnguarded = (error: unknown): boolean =>
  error instanceof ContainersError && error.code === 'NETWORK_GUARD';

/** What git or Docker say may sound like a database that is away: "connection closed", "timeout". */
const isPassing = (error: unknown): boolean =>
  error instanceof ContainersError
    ? isDockerAway(error) || isUnguarded(error)
    : isDatabaseAway(error) || isDatabaseBusy(error);
