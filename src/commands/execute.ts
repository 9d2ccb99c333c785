import { startedAnewNote } from '../mail/ending-notes.ts';
import type { OutboxFacts } from '../mail/outbox-files.ts';
import { BUILTINS } from './builtins.ts';
import { inboxOf, outboxOf, type FileParts } from './command-files.ts';
import { proxyEnv, type Refused } from '../containers/allow-lists.ts';
import { stopContainer } from '../containers/container.ts';
import { freeForImages, mayBeLostNote } from '../containers/disk-room.ts';
import { ContainersError } from '../containers/errors.ts';
import { recoverExecution, runExecution, type ExecutionResult } from '../containers/execution.ts';
import { isOnDisk } from '../containers/workspace-volume.ts';
import type { Oversize } from '../containers/workspace-watch.ts';
import type { Config } from '../config.ts';
import type { Masks } from '../secrets/masks.ts';
import { recordAttempt, type Command } from '../store/commands.ts';
import type { Repository } from '../store/repositories.ts';
import { activeSession, setNotes, type Session } from '../store/sessions.ts';
import type { Cancellations } from './cancellations.ts';
import { withTokens } from './repository-secrets.ts';
import { resumeContainer } from './resume-container.ts';
import { openContainer, type ContainerParts, type OpenedContainer } from './open-container.ts';
import { isOnItsNetwork } from './other-network.ts';
import { timeAllowed, type TimeConfig } from './time-allowed.ts';
import { watchedIn } from './watched-size.ts';

export type ExecuteParts = ContainerParts &
  FileParts & {
    config: Pick<Config, 'containerImage' | 'containerDns' | 'workspaceSizeBytes'> & TimeConfig;
    now: () => Date;
    cancellations: Cancellations;
    /** Resolves when nothing holds back the start of a command: asked right before each, as it may have waited long. */
    mayStart: () => Promise<void>;
    /** An attempt is recorded: it runs from here on, for all who look. */
    onAttempt?: (command: Pick<Command, 'id' | 'threadId'>) => void;
  };

export type Executed = OpenedContainer & {
  result: ExecutionResult;
  outbox: OutboxFacts | null;
  masks: Masks;
  /** What its workspace takes, where it is measured and that is more than it may. */
  oversize: Oversize | null;
  /** What the proxy of its allow-list has refused. */
  refused: readonly Refused[];
};

/** What this process knows of its own tries of one command. */
export type Tries = {
  /** The attempt that certainly did not begin, and may be begun. */
  notBegun: number | null;
  /** The attempt that did not begin either, and never can: its place was claimed to make sure. */
  givenUp: number | null;
  /** One was given to the container, and may run. */
  hasBegun: boolean;
  /** Its container was started anew for it, as its workspace took no new files. */
  isAnew?: boolean;
};

/** Whether the attempt of that number may have run, for all this process knows. */
export function mayHaveBegun(attempt: number, tries: Tries): boolean {
  return attempt > 0 && attempt !== tries.notBegun && attempt !== tries.givenUp;
}

/** Somebody stopped or removed it since the last command. */
const isReopenable = (code: string): boolean => code === 'CONTAINER_GONE' || code === 'WORKSPACE_NOT_READY';

/**
 * A disk of its own that has failed is sound again when its container is started the next time; that is tried once for each command.
 * Nothing else is mended by that, and it would end what runs in the background.
 */
async function isStuck(
  { docker, workspaceLimit }: ExecuteParts,
  { volumeName }: Pick<Session, 'volumeName'>,
  code: string,
  tries: Tries,
): Promise<boolean> {
  if (code !== 'WORKSPACE_UNWRITABLE' || tries.isAnew) return false;
  return isOnDisk(docker, volumeName, workspaceLimit);
}

/** What a disk image has written last, where the disk that it lies on is full: nothing else tells. */
async function lostOnDisk(
  { docker, workspaceLimit, log }: ExecuteParts,
  { volumeName }: Pick<Session, 'volumeName'>,
): Promise<string[]> {
  try {
    const note = mayBeLostNote(await freeForImages(workspaceLimit));
    return note !== null && (await isOnDisk(docker, volumeName, workspaceLimit)) ? [note] : [];
  } catch (error) {
    log.warn({ err: error }, 'it could not be found out whether the disk of a workspace has room');
    return [];
  }
}

async function stopStuck(
  { db, docker, log }: ExecuteParts,
  { id, containerId, notes }: Session,
  tries: Tries,
): Promise<void> {
  log.warn({ containerId }, 'a workspace takes no new files: its container is started anew');
  tries.isAnew = true;
  // For the answer that there is, whatever becomes of this try.
  if (!notes.includes(startedAnewNote)) await setNotes(db, id, [...notes, startedAnewNote]);
  await stopContainer(docker, containerId);
}

/** A container that is gone again each time it is made. */
const MOST_REOPENINGS = 3;

/**
 * Runs a command in its thread's container, at most once, whatever happened to an earlier try.
 *
 * Each attempt has a number, stored before it begins, and claims its place in the workspace before it runs anything.
 * After a crash the bot tries to claim the place of the last attempt itself: if it gets it, that attempt never began and
 * never will, and a new one may; if not, the command ran, and its outcome is read from there.
 *
 * @returns null when it was cancelled before it began, and never will
 */
export async function execute(
  parts: ExecuteParts,
  command: Command,
  repository: Repository,
  tries: Tries,
): Promise<Executed | null> {
  const { db, docker, signal } = parts;
  const cancelled = parts.cancellations.signalOf(command.id);
  const { env: secrets, masks } = withTokens(await parts.secretsOf(repository.id), command.script);
  const inbox = await inboxOf(parts, command);
  const network = networkFor(parts, repository);
  let attempt = command.attempt;
  const watched = watchedIn(parts, repository);
  if (cancelled.aborted && !mayHaveBegun(attempt, tries)) return null;
  let opened = await warmContainer(parts, command.threadId, repository);

  if (mayHaveBegun(attempt, tries)) {
    const recovered = await recover();
    if (recovered) return recovered;
    if (opened && !isOnItsNetwork(opened.session, repository)) opened = null;
  }
  if (cancelled.aborted) return null;
  opened ??= await openContainer(parts, command, repository);
  await network.mayStart();
  if (cancelled.aborted) return null;
  if (attempt !== tries.notBegun) attempt = await recordAttempt(db, command.id, attempt);
  parts.onAttempt?.(command);

  for (let reopenings = 0; !cancelled.aborted; reopenings += 1) {
    Object.assign(tries, { notBegun: null, hasBegun: true });
    let result: Awaited<ReturnType<typeof runExecution>> | null = null;
    try {
      await inbox.place(opened.session.containerId, cancelled);
      const request = scriptOf(command, repository, { ...network.env(), ...inbox.env }, secrets);
      const { containerId } = opened.session;
      result = await watched.run(opened.session, cancelled, (stopped) =>
        runExecution(docker, containerId, { ...execution(stopped), ...request }),
      );
    } catch (error) {
      if (error === cancelled.reason && cancelled.aborted) {
        Object.assign(tries, { notBegun: attempt, hasBegun: false });
        return null;
      }
      const { code, mayHaveStarted } = asContainersError(error);
      if (!mayHaveStarted) {
        Object.assign(tries, { notBegun: attempt, hasBegun: false });
        if (await isStuck(parts, opened.session, code, tries)) await stopStuck(parts, opened.session, tries);
        else if (!isReopenable(code) || reopenings >= MOST_REOPENINGS) throw error;
        opened = await openContainer(parts, command, repository);
        await network.mayStart();
        continue;
      }
      if (code !== 'CONTAINER_GONE' || reopenings >= MOST_REOPENINGS) throw error;
    }
    if (result && result.ending !== 'already-started') return executed(opened, result);
    const recovered = await recover();
    if (recovered) return recovered;
    await network.mayStart();
    if (!cancelled.aborted) attempt = await recordAttempt(db, command.id, attempt);
  }
  return null;

  /** @returns null when the last attempt never began and never will */
  async function recover(): Promise<Executed | null> {
    const resumed = await resumeContainer(parts, command, repository);
    const { containerId } = resumed.session;
    const result = await watched.run(resumed.session, cancelled, (stopped) =>
      recoverExecution(docker, containerId, { ...execution(stopped), wasRunning: resumed.wasRunning }),
    );
    opened = resumed;
    if (result.ending !== 'never-started') return executed(resumed, result);
    tries.givenUp = attempt;
    return null;
  }

  async function executed({ session, notes, ...rest }: OpenedContainer, result: ExecutionResult) {
    const outbox = result.hasOutbox ? await outboxOf(parts, session.containerId, command.id) : null;
    const seen = { oversize: watched.oversize(), refused: await network.refusedIn(session.containerId) };
    const lost = await lostOnDisk(parts, session);
    return { ...rest, session, ...seen, notes: [...notes, ...inbox.notes, ...lost], result, outbox, masks };
  }

  function execution(stopped: AbortSignal) {
    return { ...requestOf(parts, command, repository, attempt), cancelled: stopped, masks, signal };
  }
}

/**
 * The warm path asks Docker nothing beforehand: using the container shows whether it is still there. Not where nothing
 * has run yet: the bot may have been killed while it prepared that workspace, and an attempt in one that is not
 * prepared could not be told from an attempt whose claim was lost.
 */
async function warmContainer(
  { db }: ExecuteParts,
  threadId: string,
  repository: Repository,
): Promise<OpenedContainer | null> {
  const session = await activeSession(db, threadId);
  return session?.state === 'active' && session.hasRun && isOnItsNetwork(session, repository)
    ? { session, wasRunning: false, notes: session.notes, restored: null }
    : null;
}

/** What a command has of its repository's network. */
function networkFor(
  { guard, allowLists, mayStart }: ExecuteParts,
  repository: Repository,
): {
  mayStart: () => Promise<void>;
  env: () => Record<string, string>;
  refusedIn: (containerId: string) => Promise<Refused[]>;
} {
  const beganAt = performance.now();
  let proxy: string | null = null;
  return {
    /**
     * A warm container was guarded when it was started; whether it still is, the last look has found. That is asked last:
     * what holds back a start may hold it for hours, and the rules can go in that time.
     */
    async mayStart() {
      await mayStart();
      if (repository.network !== 'none') await guard?.expectInPlace();
      proxy = await allowLists.ensure(repository);
    },
    env: () => proxyEnv(proxy),
    refusedIn: (containerId) => allowLists.refusedSince(repository.id, containerId, beganAt),
  };
}

function requestOf({ config }: ExecuteParts, command: Command, repository: Repository, attempt: number) {
  const { timeoutMs, keepsBackground } = timeAllowed(command, repository, config);
  return {
    executionId: `${command.id}-${attempt}`,
    repositoryName: repository.name,
    timeoutMs,
    leftProcesses: keepsBackground ? ('keep' as const) : ('end' as const),
  };
}

function scriptOf(
  { id, threadId, script, builtin }: Command,
  { name }: Repository,
  given: Readonly<Record<string, string>>,
  secrets: Readonly<Record<string, string>>,
) {
  const env = { ...given, THREADBOX_THREAD: threadId, THREADBOX_COMMAND: String(id) };
  if (builtin === null) return { script, env, secrets };
  return { script: BUILTINS[builtin], env: { THREADBOX_REPOSITORY: name, ...env } };
}

/** @throws what it is given, when that comes from somewhere else */
function asContainersError(error: unknown): ContainersError {
  if (error instanceof ContainersError) return error;
  throw error;
}
