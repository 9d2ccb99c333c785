import type { ControlWord } from '../commands/control-words.ts';
import { peekOutput } from '../containers/peek-output.ts';
import { mirrorPathOf } from '../containers/mirror.ts';
import { diffSave } from '../containers/save-diff.ts';
import { storePathOf } from '../containers/saves-store.ts';
import type { LifecycleNotice } from '../mail/lifecycle-notices.ts';
import {
  lastCommands,
  openCommandsOfThread,
  type LoggedCommand,
  type QueuedControl,
} from '../store/commands.ts';
import type { Db } from '../store/database.ts';
import { currentSave, keepLonger } from '../store/saved-states.ts';
import { extendSession, sessionOfThread } from '../store/sessions.ts';
import { extendedUntil, goesAt } from './idle-policy.ts';
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
      record: (transaction: Db) => Promise<void>;
      isDone: () => void;
    }
  | { kind: 'queue'; control: QueuedControl; notice: LifecycleNotice | null };

const MOST_LOGGED = 15;
const HOUR_MS = 3600_000;

/** Never waits for a command that runs. */
export async function answerControl(
  parts: LifecycleParts,
  thread: ControlledThread,
  control: ControlWord,
): Promise<ControlOutcome> {
  if (control.word === 'extend') return extend(parts, thread, control.durationMs);
  return ANSWERS[control.word](parts, thread);
}

type Answer = (parts: LifecycleParts, thread: ControlledThread) => Promise<ControlOutcome>;

const inQueue =
  (word: Exclude<QueuedControl['word'], 'extend'>): Answer =>
  async ({ db }, { threadId }) => {
    const ahead = (await openCommandsOfThread(db, threadId)).length;
    const notice = ahead > 0 ? ({ kind: 'later', word, ahead } as const) : null;
    return { kind: 'queue', control: { word, durationMs: null }, notice };
  };

const ANSWERS: Readonly<Record<Exclude<ControlWord['word'], 'extend'>, Answer>> = {
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
    const { db, now } = parts;
    const saved = await currentSave(db, threadId);
    if (!saved?.expiresAt) return justSay({ kind: 'nothing-there', word: 'keep', repositoryName });
    const expiresAt = new Date(Math.max(saved.expiresAt.getTime(), now().getTime() + keptMs(parts)));
    return {
      kind: 'answer',
      notice: { kind: 'keep', expiresAt, now: now() },
      record: async (transaction) => void (await keepLonger(transaction, threadId, expiresAt)),
      isDone: () => undefined,
    };
  },
  save: inQueue('save'),
  stop: inQueue('stop'),
  fresh: inQueue('fresh'),
  restore: inQueue('restore'),
};

function justSay(notice: LifecycleNotice): ControlOutcome {
  return { kind: 'answer', notice, record: () => Promise.resolve(), isDone: () => undefined };
}

async function extend(
  parts: LifecycleParts,
  { threadId, repositoryName }: ControlledThread,
  durationMs: number | null,
): Promise<ControlOutcome> {
  const { db, config, events, now } = parts;
  const session = await sessionOfThread(db, threadId);
  if (!session || session.state !== 'active') {
    const saved = await currentSave(db, threadId);
    if (!session && !saved?.snapshot) {
      return justSay({ kind: 'nothing-there', word: 'extend', repositoryName });
    }
    // Its container has gone, or is about to: it comes back, in the thread's queue.
    return { kind: 'queue', control: { word: 'extend', durationMs }, notice: null };
  }
  const { until, isCapped, keepUntil } = extension(parts, session, durationMs);
  return {
    kind: 'answer',
    notice: {
      kind: 'extended',
      until,
      isCapped,
      capHours: config.containerExtendMaxMs / HOUR_MS,
      wasRestored: null,
      now: now(),
    },
    record: (transaction) => extendSession(transaction, session.id, now(), keepUntil),
    isDone: () =>
      events.tell('container:extended', {
        containerId: session.containerId,
        threadId,
        until: until.toISOString(),
      }),
  };
}

/** Until when a session is kept by an `extend` now. `keepUntil` is null when only its timer is set back. */
export function extension(
  parts: LifecycleParts,
  session: Parameters<typeof idleFacts>[0],
  durationMs: number | null,
): { until: Date; isCapped: boolean; keepUntil: Date | null } {
  const facts = idleFacts(session, parts);
  const asked = extendedUntil({
    now: parts.now(),
    durationMs,
    lastCommandAt: facts.lastCommandAt,
    idleTimeoutMs: facts.idleTimeoutMs,
    capMs: parts.config.containerExtendMaxMs,
  });
  const isPlain = durationMs === null && !asked.isCapped;
  // Nothing that holds already is taken back.
  const until = new Date(Math.max(asked.until.getTime(), goesAt(facts).getTime()));
  return { until, isCapped: asked.isCapped, keepUntil: isPlain ? null : until };
}

async function status(parts: LifecycleParts, threadId: string): Promise<LifecycleNotice> {
  const { db, docker, now } = parts;
  const [session, open, last, saved] = await Promise.all([
    sessionOfThread(db, threadId),
    openCommandsOfThread(db, threadId),
    lastCommands(db, threadId, 1 + MOST_LOGGED),
    currentSave(db, threadId),
  ]);
  const running = open.find(({ state }) => state === 'running');
  const ended = last.find(({ endedAt, isControl }) => endedAt !== null && !isControl);
  return {
    kind: 'status',
    running: running
      ? {
          command: running.script,
          since: running.startedAt ?? running.createdAt,
          lastLines: session ? await peekOutput(docker, session.containerId, running.id) : '',
        }
      : null,
    queued: open.filter(({ state }) => state === 'queued').map(({ script }) => script),
    container: !session ? 'none' : session.state === 'save_failed' ? 'stopped' : 'running',
    goesAt: session?.state === 'active' && !session.isBusy ? goesAt(idleFacts(session, parts)) : null,
    lastCommand: ended
      ? {
          command: ended.script,
          endedAt: ended.endedAt as Date,
          exitCode: ended.exitCode,
          state: ended.state,
        }
      : null,
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
  const of = {
    storePath: storePathOf(parts.savesDir, threadId),
    mirrorPath: mirrorPathOf(parts.mirrorsDir, saved.repositoryId),
    savedStateId: saved.id,
    commit: saved.commitHash,
  };
  const { files, patch, isCut } = await diffSave(of, parts.signal);
  return { kind: 'diff', files, patch, isCut };
}
