import { spawn, spawnSync, type ChildProcessByStdio } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { lastWords } from './host-git.ts';

const MAX_WORDS_BYTES = 16 * 1024;
const MAX_OUTPUT_BYTES = 256 * 1024 * 1024;

/**
 * git in a store of ours, where nothing but what is written here applies: no settings, no hooks, no environment. What
 * it reads there came out of a container.
 */
const ENVIRONMENT = {
  LC_ALL: 'C',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_TERMINAL_PROMPT: '0',
  GIT_ALLOW_PROTOCOL: 'none',
  GIT_NO_LAZY_FETCH: '1',
  // A pack of some megabytes can hold a tree or a delta of any size, which git would take apart in memory. Files that are
  // larger than core.bigFileThreshold it reads in pieces.
  GIT_ALLOC_LIMIT: '640m',
  GIT_AUTHOR_NAME: 'Threadbox',
  GIT_AUTHOR_EMAIL: 'threadbox@localhost',
  GIT_COMMITTER_NAME: 'Threadbox',
  GIT_COMMITTER_EMAIL: 'threadbox@localhost',
};

const SETTINGS = [
  'core.hooksPath=/dev/null',
  'gc.auto=0',
  'maintenance.auto=false',
  'core.fsync=committed',
  'pack.threads=2',
  'pack.compression=1',
  'pack.windowMemory=64m',
  'core.bigFileThreshold=16m',
].flatMap((setting) => ['-c', setting]);

/** A bot that is killed takes git with it, where the machine knows how. */
const WITH_THE_BOT = ['setpriv', '--pdeathsig', 'KILL', '--'];
/**
 * For all it asks for bit by bit: a tree of a few bytes can name ten thousand million files. What it maps to read does not
 * count (prlimit(1), RLIMIT_DATA).
 */
const BOUNDED = ['prlimit', `--data=${2 * 1024 ** 3}`, '--'];
const LOOK_AROUND = [WITH_THE_BOT, BOUNDED]
  .map((prefix) => `${prefix.join(' ')} true 2>/dev/null && printf yes; echo`)
  .concat(`printf %s "$PATH"`)
  .join('\n');

type Surroundings = { path: string; prefix: readonly string[] };
let surroundings: Surroundings | undefined;

function lookAround(): Surroundings {
  const { stdout } = spawnSync('sh', ['-c', LOOK_AROUND], { encoding: 'utf8' });
  const [canEndWithBot, canBeBounded, path = ''] = stdout.split('\n');
  const prefixes = [canBeBounded === 'yes' ? BOUNDED : [], canEndWithBot === 'yes' ? WITH_THE_BOT : []];
  return { path, prefix: prefixes.flat() };
}

export type StoreGitOptions = {
  signal?: AbortSignal | undefined;
  /** New objects go there instead of into the store. */
  quarantine?: { objects: string; alternates: string };
};

export type StoreProcess = {
  stdin: Writable;
  stdout: Readable;
  /** Settles when it has ended. @throws with git's last words; or the reason of the signal */
  ended: Promise<void>;
};

/** Starts git with its input and output as streams. */
export function startStoreGit(args: readonly string[], options: StoreGitOptions = {}): StoreProcess {
  const { signal, quarantine } = options;
  signal?.throwIfAborted();
  surroundings ??= lookAround();
  const [program, ...words] = [...surroundings.prefix, 'git', ...SETTINGS, ...args] as [string, ...string[]];
  const git: ChildProcessByStdio<Writable, Readable, Readable> = spawn(program, words, {
    env: {
      ...ENVIRONMENT,
      PATH: surroundings.path,
      ...(quarantine && {
        GIT_OBJECT_DIRECTORY: quarantine.objects,
        GIT_ALTERNATE_OBJECT_DIRECTORIES: quarantine.alternates,
      }),
    },
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const kill = () => {
    try {
      if (git.pid !== undefined) process.kill(-git.pid, 'SIGKILL');
    } catch {
      // It has ended already.
    }
  };
  signal?.addEventListener('abort', kill, { once: true });
  let said = Buffer.alloc(0);
  git.stderr.on('data', (chunk: Buffer) => {
    said = Buffer.from(Buffer.concat([said, chunk]).subarray(-MAX_WORDS_BYTES));
  });
  // It may end before it has read all; its status says whether that was right.
  git.stdin.on('error', () => undefined);
  const ended = new Promise<number | null>((resolve, reject) => {
    git.on('error', reject);
    git.on('close', resolve);
  })
    .finally(() => signal?.removeEventListener('abort', kill))
    .then((code) => {
      signal?.throwIfAborted();
      if (code !== 0) throw new Error(lastWords(said.toString(), null) || `git ended with status ${code}`);
    });
  ended.catch(() => undefined);
  return { stdin: git.stdin, stdout: git.stdout, ended };
}

/** git has more to say than somebody wants to read. */
export class TooMuchSaid extends Error {
  constructor(limit: string) {
    super(`there is more than the ${limit} that are read`);
    this.name = 'TooMuchSaid';
  }
}

/**
 * Runs git to its end.
 *
 * @returns its standard output
 * @throws with git's last words as the message; {@link TooMuchSaid}; or the reason of the signal
 */
export async function storeGit(
  args: readonly string[],
  {
    input = '',
    maxBytes = MAX_OUTPUT_BYTES,
    signal,
    ...options
  }: StoreGitOptions & { input?: string | Buffer; maxBytes?: number } = {},
): Promise<Buffer> {
  const ending = new AbortController();
  const either = signal ? AbortSignal.any([signal, ending.signal]) : ending.signal;
  const git = startStoreGit(args, { ...options, signal: either });
  git.stdin.end(input);
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  git.stdout.on('data', (chunk: Buffer) => {
    sizeBytes += chunk.length;
    if (sizeBytes <= maxBytes) chunks.push(chunk);
    else ending.abort(new TooMuchSaid(`${maxBytes} bytes`));
  });
  await git.ended;
  return Buffer.concat(chunks);
}
