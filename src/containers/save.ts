import { rm } from 'node:fs/promises';
import type { Duplex } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import type Docker from 'dockerode';
import { ContainersError } from './errors.ts';
import { startScript, type ScriptRequest } from './exec-input.ts';
import { lastWords } from './host-git.ts';
import { scripts } from './inside.ts';
import { saveFailed, saveRefused, saveTooLarge } from './save-refusals.ts';
import { readSave, type IncomingSave, type SaveFacts } from './save-facts.ts';
import { admit, openQuarantine, settle, type Quarantine } from './quarantine.ts';
import { baseCommit, ensureStore, nameSave } from './saves-store.ts';
import { isDirectoryName } from './script-env.ts';
import { startStoreGit, storeGit, type StoreProcess } from './store-git.ts';
import { inTurn, locked } from './store-writers.ts';

/**
 * - `quick`: nothing of the user's is touched; of ignored files only `.env*` is saved.
 * - `full`: with ignored files, as many as the limit allows.
 * - `final`: as `full`, after the guide's commit where there is something to commit.
 */
export type SaveKind = 'quick' | 'full' | 'final';

export type SaveRequest = {
  threadId: string;
  repositoryName: string;
  kind: SaveKind;
  /** What a final save does: the guide's commit, or everything as it is. */
  style: 'commit' | 'uncommitted';
  /** The thread's store on the bot's side; made when missing. */
  storePath: string;
  mirrorPath: string;
  /** Name in the store: `refs/saves/<this>`. */
  savedStateId: number;
  /** The last verified save commit, or null. */
  base: string | null;
  now: Date;
  signal: AbortSignal;
  timeoutMs?: number;
  /** Of ignored files together. */
  ignoredMaxBytes?: number;
  /** A file that is larger is left out. */
  fileMaxBytes?: number;
  /** A repository inside the repository that is larger is left out, and so are its LFS objects. */
  innerMaxBytes?: number;
  /** Of all that is new: a save that carries more is refused. Tests alone set this. */
  packMaxBytes?: number;
};

export type SavedWork = {
  /** The save commit in the store, verified. Equal to `base` when nothing had changed. */
  snapshot: string;
  /** HEAD of the workspace after the save; null without any commit. */
  commit: string | null;
  branch: string | null;
  /** Lines of `git status --porcelain` before the save. */
  filesModified: number;
  /** Commits on local branches (and HEAD) that no remote-tracking ref has. */
  unpushedCommits: number;
  /** The guide's commit was made. */
  hasCommitted: boolean;
  /** What was not saved, in words. */
  leftOut: string[];
  /** What all of the workspace takes; null where that was too much to be counted. */
  workspaceUsedBytes: number | null;
  carriedBytes: number;
};

const TIMEOUT_MS = 10 * 60_000;
const IGNORED_MAX_BYTES = 64 * 1024 ** 2;
const FILE_MAX_BYTES = 512 * 1024 ** 2;
const INNER_MAX_BYTES = 1024 ** 3;
/** What one save may carry: a full disk of the bot would stop everybody. Told as 4 GB: save-refusals.ts. */
const PACK_MAX_BYTES = 4 * 1024 ** 3;
/** For the mark in the workspace that it is saved. */
const MARK_MS = 10_000;

/**
 * Saves the work in a container's workspace into the thread's store: everything that cannot be had from the mirror.
 * When it returns, the saved state is verified: readable, and complete together with the mirror.
 *
 * @throws {ContainersError} `SAVE_FAILED` with the reason in words; `WORKSPACE_NOT_READY` where no work can be, because
 *   the workspace was never prepared, or not restored as a whole; `REPOSITORY_MISSING`; `CONTAINER_GONE`, `DOCKER_UNREACHABLE`,
 *   `DOCKER_REFUSED`. Or the reason of `signal`. What was saved before is as it was then
 */
export async function saveWorkspace(
  docker: Docker,
  containerId: string,
  request: SaveRequest,
): Promise<SavedWork> {
  if (!isDirectoryName(request.repositoryName)) {
    throw new Error(`Expected the name of a repository, got ${JSON.stringify(request.repositoryName)}`);
  }
  const { timeoutMs = TIMEOUT_MS } = request;
  const deadline = AbortSignal.timeout(timeoutMs);
  const signal = AbortSignal.any([request.signal, deadline]);
  try {
    return await inTurn(request.storePath, async () => {
      try {
        return await save(docker, containerId, { ...request, signal });
      } catch (error) {
        // What the save before left in the container, or in the store, is not whole any more: `git gc`, say.
        if (
          !/cannot be packed|unresolved deltas|missing|error building trees|bad object|nonexistent object/.test(
            wordsOf(error),
          )
        )
          throw error;
        return await save(docker, containerId, { ...request, base: null, isAfresh: true, signal });
      }
    });
  } catch (error) {
    request.signal.throwIfAborted();
    if (deadline.aborted) throw saveFailed(`no end after ${Math.round(timeoutMs / 1000)} s`, error);
    if (error instanceof ContainersError) throw error;
    if (/pack exceeds maximum allowed size/.test(wordsOf(error))) throw saveTooLarge(error);
    throw saveFailed(isFull(error) ? "the bot's disk is full" : wordsOf(error), error);
  }
}

type Attempt = SaveRequest & { isAfresh?: boolean };

async function save(docker: Docker, containerId: string, request: Attempt): Promise<SavedWork> {
  const { storePath, mirrorPath, signal } = request;
  // Without its base a save carries everything again.
  const base = await baseCommit(storePath, request);
  const starting = startScript(docker, containerId, saveScript({ ...request, base }));
  // The container begins while the store is opened.
  starting.catch(() => undefined);
  try {
    return await locked(storePath, async () => {
      await ensureStore(storePath, mirrorPath);
      return take(await starting, { ...request, base }, signal);
    });
  } finally {
    await starting.then(
      (stream) => stream.destroy(),
      () => undefined,
    );
  }
}

async function take(stream: Duplex, request: Attempt, signal: AbortSignal): Promise<SavedWork> {
  stream.on('error', () => undefined);
  const abort = () => stream.destroy();
  signal.addEventListener('abort', abort, { once: true });
  try {
    const { facts, carriedBytes, ended } = await receive(stream, request);
    // Heard or not: it is saved. Unheard, the next save finds that nothing has changed.
    const heard = new Promise((resolve) => stream.write('ok\n', resolve));
    // The container goes; and if it does not, a save more does no harm.
    const marked = request.kind === 'final' ? heard : ended;
    await Promise.race([marked, pause(MARK_MS, undefined, { signal, ref: false })]);
    const { isUnchanged: _, ...said } = facts;
    return { ...said, carriedBytes };
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

function saveScript(request: Attempt): ScriptRequest {
  return {
    name: 'threadbox-save',
    script: scripts.save,
    timeoutMs: request.timeoutMs ?? TIMEOUT_MS,
    env: {
      _THREADBOX_REPOSITORY: request.repositoryName,
      _THREADBOX_KIND: request.kind,
      _THREADBOX_STYLE: request.style,
      _THREADBOX_MIRROR: request.mirrorPath,
      _THREADBOX_BASE: request.base ?? '',
      _THREADBOX_AFRESH: request.isAfresh === true ? 'yes' : 'no',
      _THREADBOX_THREAD: request.threadId.replaceAll(/\p{Cc}/gu, ' '),
      _THREADBOX_TIMESTAMP: `${request.now.toISOString().slice(0, 19)}Z`,
      _THREADBOX_FILE_MAX: String(request.fileMaxBytes ?? FILE_MAX_BYTES),
      _THREADBOX_IGNORED_MAX: String(request.ignoredMaxBytes ?? IGNORED_MAX_BYTES),
      _THREADBOX_INNER_MAX: String(request.innerMaxBytes ?? INNER_MAX_BYTES),
      _THREADBOX_PACK_MAX: String(request.packMaxBytes ?? PACK_MAX_BYTES),
    },
    signal: request.signal,
  };
}

/** Takes facts and pack into the store and verifies them; then the store has the save under its name. */
async function receive(
  stream: Duplex,
  {
    storePath,
    mirrorPath,
    repositoryName,
    savedStateId,
    base,
    kind,
    isAfresh,
    packMaxBytes,
    signal,
  }: Attempt,
): Promise<{ facts: SaveFacts; carriedBytes: number; ended: Promise<unknown> }> {
  const quarantine = await openQuarantine(storePath);
  const upstream = storeGit(['--git-dir', mirrorPath, 'for-each-ref', '--format=^%(objectname)'], { signal });
  // It fails no earlier than somebody needs it.
  upstream.catch(() => undefined);
  // What the store had, it may have lost since. For the next save that is soon enough, for a removal it is not.
  const looksAgain = isAfresh === true || kind !== 'quick';
  let indexing: StoreProcess | null = null;
  const incoming = readSave(stream, ({ isUnchanged }) => {
    if (isUnchanged) return null;
    indexing = startIndexing(storePath, { quarantine, packMaxBytes, signal });
    return indexing.stdin;
  });
  try {
    const facts = await incoming.facts;
    if (!facts) {
      const { broken } = await incoming.ended;
      throw saveRefused(lastWords(incoming.words(), null), repositoryName, broken);
    }
    if (facts.isUnchanged) {
      if (facts.snapshot !== base) throw saveFailed('what the container said of it makes no sense');
      if (looksAgain) await verify(storePath, facts, { upstream: await upstream, looksAgain, signal });
    } else {
      await indexed(indexing, incoming);
      const of = { upstream: await upstream, quarantine, looksAgain, signal };
      const verified = verify(storePath, facts, of);
      await Promise.all([verified, settle(quarantine)]);
      await admit(storePath, quarantine);
    }
    signal.throwIfAborted();
    await nameSave(storePath, { savedStateId, snapshot: facts.snapshot });
    return { facts, carriedBytes: incoming.carriedBytes(), ended: incoming.ended };
  } finally {
    await rm(quarantine.objects, { recursive: true, force: true });
  }
}

function startIndexing(
  storePath: string,
  {
    quarantine,
    packMaxBytes = PACK_MAX_BYTES,
    signal,
  }: { quarantine: Quarantine; packMaxBytes: number | undefined; signal: AbortSignal },
): StoreProcess {
  // Once it is verified it is brought to the disk, all at once.
  const args = ['index-pack', '--stdin', '--fix-thin', `--max-input-size=${packMaxBytes}`];
  const git = ['-c', 'core.fsync=none', '--git-dir', storePath];
  const indexing = startStoreGit([...git, ...args], { signal, quarantine });
  indexing.stdout.resume();
  return indexing;
}

async function indexed(indexing: StoreProcess | null, incoming: IncomingSave): Promise<void> {
  try {
    await indexing?.ended;
  } catch (error) {
    if (isFull(error) || !/early EOF/.test(wordsOf(error))) throw error;
    // It is the other side that broke off, and may have said why.
    const { broken } = await incoming.ended;
    throw saveFailed(lastWords(incoming.words(), null) || 'the connection broke', broken ?? error);
  }
}

type Verification = { upstream: Buffer; quarantine?: Quarantine; looksAgain: boolean; signal: AbortSignal };

/**
 * Everything that the save names is here, or belongs to what the mirror has: `upstream`, as names to leave out.
 *
 * @param looksAgain also at what earlier saves have brought, and were believed to have
 * @throws with words by which `saveWorkspace` knows what to bring once more
 */
async function verify(
  storePath: string,
  { snapshot, commit }: SaveFacts,
  { upstream, looksAgain, ...options }: Verification,
): Promise<void> {
  const walk = ['rev-list', '--objects', '--quiet', '--stdin', ...(looksAgain ? [] : ['--not', '--all'])];
  const tips = [
    `${snapshot}^{commit}`,
    `${snapshot}:meta`,
    ...(commit === null ? [] : [`${commit}^{commit}`]),
  ];
  const input = `${tips.join('\n')}\n${upstream.toString()}`;
  try {
    await storeGit(['--git-dir', storePath, ...walk], { ...options, input });
  } catch (error) {
    options.signal.throwIfAborted();
    throw new Error(`missing in the store: ${wordsOf(error)}`, { cause: error });
  }
}

function isFull(error: unknown): boolean {
  return (
    (error as NodeJS.ErrnoException).code === 'ENOSPC' || /No space left|Disk quota/i.test(wordsOf(error))
  );
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
