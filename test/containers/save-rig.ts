import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'node:test';
import { restoreWorkspace, type RestoredWork } from '../../src/containers/restore.ts';
import { saveWorkspace, type SavedWork, type SaveRequest } from '../../src/containers/save.ts';
import { storePathOf } from '../../src/containers/saves-store.ts';
import { connectDocker, type Docker } from '../../src/containers/client.ts';
import { ensureContainer, type Container } from '../../src/containers/container.ts';
import { volumeName } from '../../src/containers/names.ts';
import { readFrames, startExec } from '../../src/containers/exec.ts';
import { ensureMirror } from '../../src/containers/mirror.ts';
import { prepareWorkspace } from '../../src/containers/workspace.ts';
import { namesBelow } from '../support/names-below.ts';
import {
  docker,
  dockerHost,
  execIn,
  installationFor,
  LIMITS,
  never,
  removeThread,
  sharedUpstream,
  silent,
  temporaryDir,
  upstream,
} from './rig.ts';

type Scope = Parameters<typeof temporaryDir>[0];

const image = process.env['CONTAINER_IMAGE'] ?? 'threadbox-workspace:1';
export const THREAD_ID = 'john@example.com-my-app';
let rigs = 0;

export type Workspace = {
  container: Container;
  /** Runs a script in the repository, as the commands do; what it prints. Fails when it fails. */
  sh: (script: string) => Promise<string>;
  /** As if the volume had been lost. */
  wipe: () => Promise<unknown>;
  prepare: (holdForRestore?: boolean) => ReturnType<typeof prepareWorkspace>;
  save: (savedStateId: number, more?: Partial<SaveRequest>, through?: Docker) => Promise<SavedWork>;
  restore: (savedStateId: number, through?: Docker) => Promise<RestoredWork>;
};

export type SaveRig = {
  url: string;
  storePath: string;
  mirrorPath: string;
  fetchMirror: () => Promise<void>;
  /** A container of its own, with a volume of its own, until the test is over; another test may have had it. */
  open: (options?: { isEmpty?: boolean; sizeBytes?: number; isWritable?: boolean }) => Promise<Workspace>;
};

/** One repository with its mirror, one thread with its store; as many containers one after another as wanted. */
export async function startSaveRig(scope: Scope, { url }: { url?: string } = {}): Promise<SaveRig> {
  const instance = installationFor(scope);
  const rig = (rigs += 1);
  const dir = await temporaryDir(scope);
  const { url: from, mirrorsDir } =
    url === undefined ? await sharedUpstream() : { url, mirrorsDir: join(dir, 'mirrors') };
  const fetchMirror = async () =>
    (
      await ensureMirror({
        mirrorsDir,
        repository: { id: 7, url: from },
        log: silent,
        signal: never,
      })
    ).path;
  const mirrorPath = await fetchMirror();
  const storePath = storePathOf(join(dir, 'saves'), THREAD_ID);
  let count = 0;
  return {
    url: from,
    storePath,
    mirrorPath,
    fetchMirror: async () => void (await fetchMirror()),
    async open({ isEmpty = false, sizeBytes, isWritable = false } = {}) {
      count += 1;
      const threadId = `${THREAD_ID}#${rig}-${count}`;
      const isPlain = sizeBytes === undefined && !isWritable;
      // Of those that others may have, nothing is left when the file is over.
      if (!isPlain) scope.after(() => removeThread(instance, threadId));
      if (sizeBytes !== undefined) {
        await docker.createVolume({
          Name: volumeName(instance, threadId),
          Labels: { 'threadbox.instance': instance },
          DriverOpts: { type: 'tmpfs', device: 'tmpfs', o: `size=${sizeBytes},uid=1000,gid=1000` },
        });
      }
      const make = (): Promise<Container> =>
        ensureContainer(isWritable ? withWritableRoot() : docker, {
          instance,
          threadId,
          userId: 3,
          repositoryId: 7,
          repositoryName: 'my-app',
          image,
          mirrorPath,
          limits: LIMITS,
          runtime: null,
        });
      const container = (isPlain && (await leftContainer(mirrorPath))) || (await make());
      if (isPlain) taken.push({ container, mirrorPath });
      const inside = (dir: string, script: string) => runInside(container.id, dir, script);
      const workspace: Workspace = {
        container,
        sh: (script) => inside('/workspace/my-app', script),
        wipe: () =>
          inside('/', 'chmod -R u+rwX /workspace 2>/dev/null || true; rm -rf /workspace/* /workspace/.[!.]*'),
        prepare: (holdForRestore = false) =>
          prepareWorkspace(docker, container.id, {
            repositoryName: 'my-app',
            url: from,
            branch: null,
            mirrorPath,
            author: { name: 'John "J" Doe', address: 'john@example.com' },
            holdForRestore,
          }),
        save: (savedStateId, more = {}, through = docker) =>
          saveWorkspace(through, container.id, {
            threadId: THREAD_ID,
            repositoryName: 'my-app',
            kind: 'quick',
            style: 'commit',
            storePath,
            mirrorPath,
            savedStateId,
            base: null,
            now: new Date('2024-01-20T10:30:00.123Z'),
            signal: never,
            ...more,
          }),
        restore: (savedStateId, through = docker) =>
          restoreWorkspace(through, container.id, {
            storePath,
            mirrorPath,
            repositoryName: 'my-app',
            savedStateId,
            signal: never,
          }),
      };
      if (!isEmpty) await workspace.prepare();
      return workspace;
    },
  };
}

type Taken = { container: Container; mirrorPath: string };

/** What this test has, and what others have left: to make a container takes five times as long as to empty one. */
let taken: Taken[] = [];
const left: Taken[] = [];
beforeEach(() => {
  // What is there for all tests is not for others.
  taken = [];
});
afterEach(() => {
  left.push(...taken);
  taken = [];
});

/** As if it were new, or null where none is left that still runs. */
async function leftContainer(mirrorPath: string): Promise<Container | null> {
  const index = left.findIndex((one) => one.mirrorPath === mirrorPath);
  const [found] = index < 0 ? [] : left.splice(index, 1);
  if (!found) return null;
  // The mirror is mounted below /tmp, too.
  const empty = `kill -KILL -1; shopt -s dotglob; chmod -R u+rwX /workspace/* 2>/dev/null; rm -rf /workspace/*
    find /tmp -xdev -mindepth 1 -user 1000 -delete; [[ -z $(ls -A /workspace) ]]`;
  const isEmpty = await execIn(found.container.id, ['bash', '-c', empty], { user: '1000:1000' }).then(
    () => true,
    () => false,
  );
  return isEmpty ? found.container : leftContainer(mirrorPath);
}

/** Half as long as the command line of Docker takes. */
async function runInside(containerId: string, dir: string, script: string): Promise<string> {
  const command = ['bash', '-c', `cd "$0" && bash -ec "$1" && printf '\\0ok' >&2`, dir, script];
  const stream = await startExec(docker, containerId, { command, env: {} });
  const said: [Buffer[], Buffer[]] = [[], []];
  for await (const { isError, data } of readFrames(stream)) said[isError ? 1 : 0].push(Buffer.from(data));
  const [out, words] = said.map((chunks) => Buffer.concat(chunks).toString()) as [string, string];
  if (!words.endsWith('\0ok')) throw new Error(`A script failed: ${script}\n${words}`);
  return out + words.slice(0, -3);
}

/** A richer upstream: two branches that conflict, an annotated tag, an executable, a link, rules for ignored files. */
export async function richUpstream(scope: Scope): Promise<string> {
  const dir = await upstream(scope);
  execFileSync('bash', ['-ec', RICH], { cwd: dir, env: { ...process.env, ...IDENTITY } });
  return dir;
}

const IDENTITY = {
  GIT_AUTHOR_NAME: 'Up Stream',
  GIT_AUTHOR_EMAIL: 'up@example.com',
  GIT_COMMITTER_NAME: 'Up Stream',
  GIT_COMMITTER_EMAIL: 'up@example.com',
};

const RICH = `
printf '%s\\n' 'node_modules/' '*.log' '.env' 'build' >.gitignore
printf '#!/bin/sh\\necho run\\n' >run.sh; chmod +x run.sh; ln -s src/app.js link; mkdir -p lib/deep
for i in 1 2 3 4 5; do echo "line $i" >lib/deep/$i.txt; done
git add -A; git commit -qm More; git tag -a v1 -m 'First release'
git checkout -qb other; echo other >README.md; git commit -qam Other; echo more >>README.md; git commit -qam 'Other two'
git checkout -q main; echo main >README.md; git commit -qam Main; git tag light
`;

/** All that can be seen of a workspace, as text. */
export const MANIFEST = `
shopt -s globstar dotglob nullglob
echo '== files'; find . -path ./.git -prune -o -type d -printf 'd %m %P\\0' -o -printf '%y %m %s %l %P\\0' | sort -z | tr '\\0\\n' '\\n\\1' | cat -v
echo '== bytes'; find . -path ./.git -prune -o -type f -readable -print0 | sort -z | xargs -0 -r sha256sum -z | tr '\\0\\n' '\\n\\1' | cat -v
echo '== state'; find .git -path .git/objects -prune -o -path .git/refs -prune -o -path .git/logs/refs/remotes -prune -o -type f ! -name index ! -name 'sharedindex.*' ! -name packed-refs ! -name '*.lock' -print0 | sort -z | xargs -0 -r sha256sum
echo '== HEAD'; cat .git/HEAD
echo '== status'; git -c core.fsmonitor=false status --porcelain=v2 --branch --show-stash || true
echo '== index'; git ls-files -s -v; git ls-files -u
echo '== refs'; git for-each-ref --format='%(objectname) %(objecttype) %(*objectname) %(refname) %(symref)'
echo '== stash'; git stash list -p || true
echo '== reflog'; git reflog || true
echo '== fsck'; git fsck --no-dangling --no-progress --connectivity-only 2>&1 | sort || true
`;

/** What lies in the store, beside what belongs there. */
export async function leftovers(storePath: string): Promise<string[]> {
  const names = await namesBelow(storePath);
  return names.filter((name) => /\.lock$|incoming-|export-|tmp_|\.part/.test(name));
}

/** For a test that replaces git in a container, as its commands cannot. */
function withWritableRoot(): Docker {
  const through = connectDocker(dockerHost);
  const createContainer = through.createContainer.bind(through) as (
    options: Docker.ContainerCreateOptions,
  ) => Promise<Docker.Container>;
  through.createContainer = (options: Docker.ContainerCreateOptions) =>
    createContainer({ ...options, HostConfig: { ...options.HostConfig, ReadonlyRootfs: false } });
  return through;
}
