import { execFile, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export type GitUpstream = {
  /** `git://127.0.0.1:port/name.git`: a clone goes over the network. */
  url: string;
  /** Commits files on the branch `main` of the upstream, as somebody else would. */
  commit: (files: Readonly<Record<string, string>>, message: string) => Promise<string>;
  /** Forces another history on `main`; what was there before is gone from the server. */
  replaceHistory: (files: Readonly<Record<string, string>>) => Promise<void>;
  /** Stops the server; `start` brings it back on the same port. */
  stop: () => Promise<void>;
  start: () => Promise<void>;
  close: () => Promise<void>;
};

const identity = [
  '-c',
  'user.name=Up Stream',
  '-c',
  'user.email=up@stream.test',
  '-c',
  'commit.gpgsign=false',
];

/** A real git server with one repository. @param files its first commit; `null`: no commit at all */
export async function startGitUpstream(
  files: Readonly<Record<string, string>> | null = { 'README.md': '# Sample\n' },
): Promise<GitUpstream> {
  const dir = await mkdtemp(join(tmpdir(), 'threadbox-upstream-'));
  const bare = join(dir, 'sample.git');
  const work = join(dir, 'work');
  await run('git', ['init', '-q', '--bare', '-b', 'main', bare]);
  await run('git', ['init', '-q', '-b', 'main', work]);
  await run('git', ['-C', work, 'remote', 'add', 'origin', bare]);
  const port = await freePort();
  let stop = async (): Promise<void> => {};

  async function commit(changed: Readonly<Record<string, string>>, message: string): Promise<string> {
    for (const [name, content] of Object.entries(changed)) await writeFile(join(work, name), content);
    await run('git', ['-C', work, 'add', '-A']);
    await run('git', ['-C', work, ...identity, 'commit', '-q', '-m', message]);
    await run('git', ['-C', work, 'push', '-q', 'origin', 'main']);
    return (await run('git', ['-C', work, 'rev-parse', 'HEAD'])).stdout.trim();
  }

  async function replaceHistory(files: Readonly<Record<string, string>>): Promise<void> {
    await run('git', ['-C', work, 'checkout', '-q', '--orphan', 'another']);
    await run('git', ['-C', work, 'rm', '-rqf', '.']);
    for (const [name, content] of Object.entries(files)) await writeFile(join(work, name), content);
    await run('git', ['-C', work, 'add', '-A']);
    await run('git', ['-C', work, ...identity, 'commit', '-q', '-m', 'Another start']);
    await run('git', ['-C', work, 'branch', '-qM', 'main']);
    await run('git', ['-C', work, 'push', '-qf', 'origin', 'main']);
    await run('git', ['-C', bare, 'gc', '-q', '--prune=now']);
  }

  async function start(): Promise<void> {
    const daemon = spawn(
      'git',
      [
        'daemon',
        '--reuseaddr',
        '--export-all',
        '--verbose',
        '--listen=127.0.0.1',
        `--port=${port}`,
        `--base-path=${dir}`,
        dir,
      ],
      // A group of its own: `git daemon` leaves its children to themselves otherwise.
      { stdio: ['ignore', 'ignore', 'pipe'], detached: true },
    );
    await new Promise<void>((resolve, reject) => {
      let said = '';
      daemon.stderr.on('data', (chunk: Buffer) => {
        said += chunk.toString();
        if (said.includes('Ready to rumble')) resolve();
      });
      daemon.once('exit', (code) => reject(new Error(`git daemon ended with ${code}: ${said}`)));
    });
    stop = async () => {
      stop = async () => {};
      const exit = once(daemon, 'exit');
      process.kill(-(daemon.pid as number), 'SIGKILL');
      await exit;
    };
  }

  if (files) await commit(files, 'Start');
  await start();
  return {
    url: `git://127.0.0.1:${port}/sample.git`,
    commit,
    replaceHistory,
    start,
    stop: () => stop(),
    async close() {
      await stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Below those that a system gives out by itself: what other tests listen on meanwhile has one of these. */
const OWN_PORTS = { first: 20_000, count: 12_000 };

/** A port of 127.0.0.1 that nobody listened on a moment ago, and hardly anybody will before, or between, its uses. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = OWN_PORTS.first + randomInt(OWN_PORTS.count);
    const server = createServer().listen(port, '127.0.0.1');
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}
