import type { ControlWord } from '../commands/control-words.ts';
import { NO_SECRETS, withTokens, type RepositorySecrets } from '../commands/repository-secrets.ts';
import { peekOutput } from '../containers/peek-output.ts';
import { mirrorPathOf } from '../containers/mirror.ts';
import { diffSave } from '../containers/save-diff.ts';
import { storePathOf } from '../containers/saves-store.ts';
import type { LifecycleNotice } from '../mail/lifecycle-notices.ts';
import type { Masks } from '../secrets/masks.ts';
import { SecretsError } from '../secrets/sealing.ts';
import {
  lastCommands,
  openCommandsOfThread,
  type LoggedCommand,
  type QueuedControl,
} from '../store/commands.ts';
import type { Db } from '../store/database.ts';
import { currentSave, expiringSaves, keepLonger } from '../store/saved-states.ts';
import { undeliveredOfThread } from '../store/undelivered.ts';
import { isRemovalAsked } from '../store/session-ends.ts';
import { extendSession, sessionOfThread } from '../store/sessions.ts';
import { threadById } from '../store/threads.ts';
import { cancel } from './cancel.ts';
import { endsAt, extendedUntil } from './idle-policy.ts';
import { idleFacts, timeoutOf } from './idle-time.ts';
import { keptMs, type LifecycleParts } from './parts.ts';

/** Where a control word was sent to. */
export type ControlledThread = { threadId: string; repositoryName: string };

/**
 * What a control word comes to: an answer at once, stored together with what it does; or a place in the thread's queue,
 * because it touches the container.
 */
export type ControlOutcome =
  | {
      kind: 'answer';
      notice: LifecycleNotice;
      /** @returns false when the answer is not true any more */
      record: (transaction: Db) => Promise<boolean>;
      isDone: () => void;
    }
  | { kind: 'queue'; control: QueuedControl; notice: LifecycleNotice | null };

const MOST_LOGGED = 15;
const MOST_UNDELIVERED = 3;
const HOUR_MS = 3600_000;
const DIFF_MS = 15_000;
/** Words after which a thread has another container, or none. */
const TAKES_AWAY: ReadonlySet<string> = new Set(['stop', 'fresh', 'restore']);

/** Never waits for a command that runs. */
export async function answerControl(
  parts: LifecycleParts,
  thread: ControlledThread,
  control: ControlWord,
): Promise<ControlOutcome> {
  const outcome = await outcomeOf(parts, thread, control);
  // Commands with a value in them, differences of files.
  const { masks } = (outcome.notice && (await secretsOfThread(parts, thread.threadId))) ?? NO_SECRETS;
  if (!outcome.notice || masks.isEmpty) return outcome;
  const { notice } = outcome;
  return {
    ...outcome,
    notice: masks.all(notice.kind === 'diff' ? withoutSecretPatch(notice, masks) : notice),
  };
}

async function outcomeOf(
  parts: LifecycleParts,
  thread: ControlledThread,
  control: ControlWord,
): Promise<ControlOutcome> {
  if (control.word === 'extend') return extend(parts, thread, control.durationMs);
  if (control.word === 'cancel') return cancel(parts, thread.threadId, control.isAll);
  return ANSWERS[control.word](parts, thread);
}

/** @returns null where they cannot be opened: then nothing that a command has come to is shown */
async function secretsOfThread(parts: LifecycleParts, threadId: string): Promise<RepositorySecrets | null> {
  const thread = await threadById(parts.db, threadId);
  if (!thread) return NO_SECRETS;
  try {
    return await parts.secretsOf(thread.repositoryId);
  } catch (error) {
    if (error instanceof SecretsError) return null;
    throw error;
  }
}

/** With something else in its place it would apply, and change what nobody has meant: as with files of an outbox. */
function withoutSecretPatch<Diff extends LifecycleNotice & { kind: 'diff' }>(diff: Diff, masks: Masks): Diff {
  const withheld = diff.patch === null ? [] : masks.labelsIn(diff.patch);
  return withheld.length === 0 ? diff : { ...diff, patch: null, withheld };
}

type Answer = (parts: LifecycleParts, thread: ControlledThread) => Promise<ControlOutcome>;

const inQueue =
  (word: Exclude<QueuedControl['word'], 'extend'>): Answer =>
  async ({ db }, { threadId }) => {
    const ahead = (await openCommandsOfThread(db, threadId)).length;
    const notice = ahead > 0 ? ({ kind: 'later', word, ahead } as const) : null;
    return { kind: 'queue', control: { word, durationMs: null }, notice };
  };

const ANSWERS: Readonly<Record<Exclude<ControlWord['word'], 'extend' | 'cancel'>, Answer>> = {
  status: async (parts, { threadId }) => justSay(await status(parts, threadId)),
  diff: async (parts, { threadId }) => justSay(await diff(parts, threadId)),
  log: async ({ db, now }, { threadId }) => {
    const commands = (await lastCommands(db, threadId, MOST_LOGGED)).map((command, index, all) => ({
      ...asLogged(command),
      number: all.length - index,
    }));
    return justSay({ kind: 'log', commands, now: now() });
  },
  help: async (parts, { threadId, repositoryName }) => {
    const session = await sessionOfThread(parts.db, threadId);
    const server = parts.config.containerIdleTimeoutMs;
    const idleMinutes = Math.round((session ? timeoutOf(session, server) : server) / 60_000);
    return justSay({ kind: 'help', repositoryName, idleMinutes });
  },
  keep: async (parts, { threadId, repositoryName }) => {
    const { db, sharedState, now } = parts;
    const ends = (await expiringSaves(db, threadId)).map((saved) => saved.expiresAt?.getTime() ?? 0);
    const session = ends.length === 0 ? await sessionOfThread(db, threadId) : null;
    if (session && (await isRemovalAsked(db, session.id)))
      return justSay({ kind: 'operator-removes', word: 'keep', repositoryName });
    if (ends.length === 0) return justSay({ kind: 'nothing-there', word: 'keep', repositoryName });
    const expiresAt = new Date(Math.max(...ends, now().getTime() + keptMs(parts)));
    return {
      kind: 'answer',
      notice: { kind: 'keep', expiresAt, now: now() },
      record: async (transaction) => (await keepLonger(transaction, threadId, expiresAt)) !== null,
      isDone: () => sharedState.writeLater(threadId),
    };
  },
  save: inQueue('save'),
  stop: inQueue('stop'),
  fresh: inQueue('fresh'),
  restore: inQueue('restore'),
};

function justSay(notice: LifecycleNotice): ControlOutcome {
  return { kind: 'answer', notice, record: () => Promise.resolve(true), isDone: () => undefined };
}

async function extend(
  parts: LifecycleParts,
  { threadId, repositoryName }: ControlledThread,
  durationMs: number | null,
): Promise<ControlOutcome> {
  const { db, events, sharedState, now } = parts;
  const session = await sessionOfThread(db, threadId);
  if (!session || session.state !== 'active') {
    const saved = await currentSave(db, threadId);
    if (!session && !saved?.snapshot) {
      return justSay({ kind: 'nothing-there', word: 'extend', repositoryName });
    }
    // Its container has gone, or is about to: it comes back, in the thread's queue.
    return { kind: 'queue', control: { word: 'extend', durationMs }, notice: null };
  }
  if (await isRemovalAsked(db, session.id))
    return justSay({ kind: 'operator-removes', word: 'extend', repositoryName });
  const open = await openCommandsOfThread(db, threadId);
  if (open.some(({ isControl, script }) => isControl && TAKES_AWAY.has(script.trim()))) {
    // What is there now will have gone by then, and was asked to: it is kept that is there after that.
    const notice = open.length > 1 ? ({ kind: 'later', word: 'extend', ahead: open.length } as const) : null;
    return { kind: 'queue', control: { word: 'extend', durationMs }, notice };
  }
  // One moment for both: what is told is what is stored.
  const at = now();
  const { until, keepUntil, notice } = extension(parts, session, { durationMs, at });
  if (keepUntil === 'unchanged') return justSay(notice);
  return {
    kind: 'answer',
    notice,
    record: (transaction) => extendSession(transaction, session.id, at, keepUntil),
    isDone: () => {
      sharedState.writeLater(threadId);
      const { containerId } = session;
      events.tell('container:extended', { containerId, threadId, until: until.toISOString() });
    },
  };
}

/**
 * What an `extend` of a session comes to.
 *
 * @param how `at`: when it was asked for
 * @returns `keepUntil`: null when only its timer is set back; `unchanged` when it is as far as it can go
 */
export function extension(
  parts: LifecycleParts,
  session: Parameters<typeof idleFacts>[0],
  { durationMs, at }: { durationMs: number | null; at: Date },
): { until: Date; keepUntil: Date | null | 'unchanged'; notice: LifecycleNotice } {
  const { config } = parts;
  const facts = idleFacts(session, parts);
  const asked = extendedUntil({
    now: at,
    durationMs,
    lastCommandAt: facts.lastCommandAt,
    idleTimeoutMs: facts.idleTimeoutMs,
    capMs: config.containerExtendMaxMs,
  });
  const capHours = config.containerExtendMaxMs / HOUR_MS;
  const held = endsAt(facts);
  if (asked.isCapped && asked.until <= held) {
    return {
      until: held,
      keepUntil: 'unchanged',
      notice: { kind: 'at-limit', until: held, capHours, now: at },
    };
  }
  // Nothing that holds already is taken back.
  const until = asked.until > held ? asked.until : held;
  const isPlain = durationMs === null && !asked.isCapped;
  const { isCapped } = asked;
  const notice = { kind: 'extended', until, isCapped, capHours, wasRestored: null, now: at } as const;
  return { until, keepUntil: isPlain ? null : until, notice };
}

async function status(parts: LifecycleParts, threadId: string): Promise<LifecycleNotice> {
  const { db, docker, now } = parts;
  const [session, open, last, saved, undelivered] = await Promise.all([
    sessionOfThread(db, threadId),
    openCommandsOfThread(db, threadId),
    lastCommands(db, threadId, 1 + MOST_LOGGED),
    currentSave(db, threadId),
    undeliveredOfThread(db, threadId, MOST_UNDELIVERED),
  ]);
  const running = open.find(({ state }) => state === 'running');
  const secrets = await secretsOfThread(parts, threadId);
  const peek = async (of: typeof session, { id, script }: LoggedCommand) =>
    of && secrets && peekOutput(docker, of.containerId, id, withTokens(secrets, script).masks);
  const ended = last.find(({ endedAt, isControl }) => endedAt !== null && !isControl);
  return {
    kind: 'status',
    running: running
      ? {
          command: running.script,
          since: running.startedAt ?? running.createdAt,
          lastLines: (await peek(session, running))?.text ?? null,
        }
      : null,
    queued: open.filter(({ state }) => state === 'queued').map(({ script }) => script),
    container:
      !session || session.state === 'removing'
        ? 'none'
        : session.state === 'save_failed'
          ? 'stopped'
          : 'running',
    goesAt: session?.state === 'active' && !session.isBusy ? endsAt(idleFacts(session, parts)) : null,
    lastCommand: ended
      ? {
          command: ended.script,
          endedAt: ended.endedAt as Date,
          exitCode: ended.exitCode,
          state: ended.state,
        }
      : null,
    undelivered,
    saved: saved?.savedAt
      ? { savedAt: saved.savedAt, filesModified: saved.filesModified, expiresAt: saved.expiresAt }
      : null,
    now: now(),
  };
}

function asLogged({ script, state, exitCode, startedAt, createdAt, durationMs }: LoggedCommand) {
  return { command: script, state, exitCode, startedAt: startedAt ?? createdAt, durationMs };
}

async function diff(parts: LifecycleParts, threadId: string): Promise<LifecycleNotice> {
  const saved = await currentSave(parts.db, threadId);
  if (!saved?.snapshot) return { kind: 'diff', files: [], patch: null, isCut: false };
  if (!(await secretsOfThread(parts, threadId))) return { kind: 'diff', files: [], patch: null, isCut: true };
  const of = {
    storePath: storePathOf(parts.savesDir, threadId),
    mirrorPath: mirrorPathOf(parts.mirrorsDir, saved.repositoryId),
    savedStateId: saved.id,
    commit: saved.commitHash,
  };
  // All other mail waits meanwhile.
  const signal = AbortSignal.any([parts.signal, AbortSignal.timeout(DIFF_MS)]);
  try {
    const { files, patch, isCut } = await diffSave(of, signal);
    return { kind: 'diff', files, patch, isCut };
  } catch (error) {
    if (parts.signal.aborted) throw error;
    // What a thread has in its saves is its own affair: no other mail waits for that.
    parts.log.warn({ err: error, thread: threadId }, 'what is changed in a thread cannot be told');
    return { kind: 'diff', files: [], patch: null, isCut: true };
  }
}
