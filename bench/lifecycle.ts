import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { loadConfig } from '../src/config.ts';
import type { Closers } from '../src/closers.ts';
import { DEFAULT_IMAGE } from '../src/config-schema.ts';
import { connectDocker, type Docker } from '../src/containers/client.ts';
import { ensureContainer } from '../src/containers/container.ts';
import { ensureMirror } from '../src/containers/mirror.ts';
import { removeInstallation } from '../src/containers/remove-installation.ts';
import { restoreWorkspace } from '../src/containers/restore.ts';
import { storePathOf } from '../src/containers/saves-store.ts';
import { saveWorkspace, type SaveKind } from '../src/containers/save.ts';
import { prepareWorkspace } from '../src/containers/workspace.ts';
import { createLog } from '../src/log.ts';
import type { Series } from './figures.ts';
import type { Progress } from './measures.ts';
import { CHANGED_FILES, changeScript, makeProject, PROJECT_FILES } from './project.ts';
import { removeContainer } from './raw-docker.ts';
import { openRawGit, type RawGit } from './raw-git.ts';

const run = promisify(execFile);

const REPOSITORY = 'project';
const REPOSITORY_ID = 1;

/** A project with its mirror, and what makes containers for it. */
type Workshop = {
  docker: Docker;
  raw: RawGit;
  instance: string;
  dir: string;
  url: string;
  mirrorPath: string;
  /** A container with an empty volume. @returns its id */
  open: (thread: string) => Promise<string>;
  signal: AbortSignal;
};

/** @param closers what was started, also when this throws */
export async function openWorkshop(closers: Closers, signal: AbortSignal): Promise<Workshop> {
  const dir = await mkdtemp(join(tmpdir(), 'threadbox-bench-'));
  closers.add('the data', () => rm(dir, { recursive: true, force: true }));
  const url = await makeProject(join(dir, 'upstream'));
  const { path: mirrorPath } = await ensureMirror({
    mirrorsDir: join(dir, 'mirrors'),
    repository: { id: REPOSITORY_ID, url },
    log: createLog('warn'),
    signal,
  });
  const docker = connectDocker(process.env['DOCKER_HOST'] ?? 'unix:///var/run/docker.sock');
  const image = process.env['CONTAINER_IMAGE'] ?? DEFAULT_IMAGE;
  const instance = `bench-${randomBytes(5).toString('hex')}`;
  closers.add('the containers', () => removeInstallation(docker, instance));
  const of = {
    instance,
    userId: 0,
    repositoryId: REPOSITORY_ID,
    repositoryName: REPOSITORY,
    image,
    mirrorPath,
    limits: loadConfig({}, { isForBot: false }).config.containerLimits,
    runtime: null,
  };
  return {
    docker,
    raw: await openRawGit(docker, {
      mirrorPath,
      storePath: join(dir, 'raw-saves.git'),
      repositoryName: REPOSITORY,
    }),
    instance,
    dir,
    url,
    mirrorPath,
    open: async (thread) => (await ensureContainer(docker, { ...of, threadId: thread })).id,
    signal,
  };
}

export type SaveFigures = {
  /** What the removal of a container does when nothing was saved before. */
  removal: Series;
  /** What comes after a command. */
  quick: Series;
  /** What the removal does when that had come after the command, as it does in the bot. */
  removalAfterQuick: Series;
  restore: Series;
};

/** Each round has fresh containers, and changes that nobody has seen. Value and floor take turns in going first. */
export async function saveAndRestore(
  workshop: Workshop,
  n: number,
  progress: Progress,
): Promise<SaveFigures> {
  const [removal, quick, removalAfterQuick, restore] = [series(), series(), series(), series()];
  for (let round = 0; round < n; round += 1) {
    const file = join(workshop.dir, 'save.bundle');
    const turn = { isFloorFirst: round % 2 === 1, signal: workshop.signal };

    const saved = await changed(workshop, 'saved', round);
    const raw = await changed(workshop, 'raw', round);
    await measurePair(removal, turn, {
      value: () => save(workshop, saved, { kind: 'final', thread: 'saved', base: null }),
      floor: () => workshop.raw.save(raw, file),
    });
    const floor = removal.floors.at(-1) as number;

    const used = await changed(workshop, 'used', round);
    const base = await measure(quick.values, () =>
      save(workshop, used, { kind: 'quick', thread: 'used', base: null }),
    );
    await measure(removalAfterQuick.values, () =>
      save(workshop, used, { kind: 'final', thread: 'used', base }),
    );
    quick.floors.push(floor);
    removalAfterQuick.floors.push(floor);

    const restored = await workshop.open('restored');
    const rawRestored = await workshop.open('raw-restored');
    await measurePair(restore, turn, {
      value: () => restoreInto(workshop, restored, 'saved'),
      floor: () => workshop.raw.restore(rawRestored, file),
    });
    const wanted = await stateOf(workshop, saved);
    for (const container of [raw, used, restored, rawRestored]) {
      await expectSame(workshop, container, wanted);
    }
    await clear(workshop, ['saved', 'raw', 'used', 'restored', 'raw-restored']);
    progress('save and restore', round + 1, n);
  }
  return { removal, quick, removalAfterQuick, restore };
}

/**
 * As after any `git status`. Of files as young as its index git reads all bytes again, each time: as many as the clone
 * happened to write in its last second.
 */
const KNOW_FILES =
  'until (($(date +%s) > $(stat -c %Y .git/index))); do sleep 0.05; done; git status >/dev/null';

/** A container whose clone has changes: made by the bot's own means, or by git alone for the floor. */
async function changed(workshop: Workshop, thread: string, round: number): Promise<string> {
  const container = await workshop.open(thread);
  if (thread === 'raw') await workshop.raw.clone(container);
  else await prepare(workshop, container, false);
  await workshop.raw.sh(container, `${KNOW_FILES} && ${changeScript(round)}`);
  return container;
}

async function prepare(
  { docker, url, mirrorPath, signal }: Workshop,
  container: string,
  holdForRestore: boolean,
) {
  const author = { name: 'Alice', address: 'alice@example.com' };
  const spec = { repositoryName: REPOSITORY, url, branch: null, mirrorPath, author, holdForRestore };
  return prepareWorkspace(docker, container, spec, { signal });
}

/** As the lifecycle does it. @returns the saved state, to be the base of the next */
async function save(
  { docker, dir, mirrorPath, signal }: Workshop,
  container: string,
  { kind, thread, base }: { kind: SaveKind; thread: string; base: string | null },
): Promise<string> {
  const saved = await saveWorkspace(docker, container, {
    threadId: thread,
    repositoryName: REPOSITORY,
    kind,
    style: 'commit',
    storePath: storePathOf(join(dir, 'saves'), thread),
    mirrorPath,
    savedStateId: 1,
    base,
    now: new Date(),
    signal,
  });
  if (saved.filesModified !== CHANGED_FILES || saved.hasCommitted !== (kind === 'final')) {
    throw new Error(`Expected ${CHANGED_FILES} changed files to be saved, got ${JSON.stringify(saved)}`);
  }
  return saved.snapshot;
}

async function restoreInto(workshop: Workshop, container: string, thread: string): Promise<void> {
  const { docker, dir, mirrorPath, signal } = workshop;
  const outcome = await prepare(workshop, container, true);
  if (outcome !== 'empty') throw new Error(`Expected an empty workspace, got ${outcome}`);
  await restoreWorkspace(docker, container, {
    storePath: storePathOf(join(dir, 'saves'), thread),
    mirrorPath,
    repositoryName: REPOSITORY,
    savedStateId: 1,
    signal,
  });
}

/** The files of the commit and of the work tree, and how many there are. */
const stateOf = (workshop: Workshop, container: string): Promise<string> =>
  workshop.raw.sh(
    container,
    "git rev-parse 'HEAD^{tree}' && git status --porcelain && git ls-files | wc -l && " +
      'find . -path ./.git -prune -o -type f -print0 | sort -z | xargs -0 cat | sha256sum',
  );

/** A figure is worth nothing when what was measured came to something else. */
async function expectSame(workshop: Workshop, container: string, wanted: string): Promise<void> {
  const state = await stateOf(workshop, container);
  if (state !== wanted || !state.includes(`\n${PROJECT_FILES}\n`)) {
    throw new Error(`Expected the same in all containers, got\n${state}instead of\n${wanted}`);
  }
}

async function clear({ docker, instance, dir }: Workshop, threads: readonly string[]): Promise<void> {
  for (const thread of threads) await removeContainer(docker, instance, thread);
  await rm(join(dir, 'saves'), { recursive: true, force: true });
}

async function measurePair(
  { values, floors }: MutableSeries,
  { isFloorFirst, signal }: { isFloorFirst: boolean; signal: AbortSignal },
  { value, floor }: { value: () => Promise<unknown>; floor: () => Promise<unknown> },
): Promise<void> {
  signal.throwIfAborted();
  if (isFloorFirst) await measure(floors, floor);
  await measure(values, value);
  if (!isFloorFirst) await measure(floors, floor);
}

async function measure<T>(into: number[], work: () => Promise<T>): Promise<T> {
  // What was made before is still on its way to the disk.
  await run('sync');
  const startedAt = performance.now();
  const result = await work();
  into.push(performance.now() - startedAt);
  return result;
}

type MutableSeries = { values: number[]; floors: number[] };

const series = (): MutableSeries => ({ values: [], floors: [] });
