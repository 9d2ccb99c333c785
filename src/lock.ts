import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** A lock on a file. It ends with {@link Lock.release}, or with this process, however that dies. */
export type Lock = {
  release(): Promise<void>;
};

/** What `flock` exits with when somebody else has the lock: any number that nothing else here uses. */
const CONFLICT = 75;

/**
 * Takes a flock(2) lock, making the file where it is missing.
 *
 * Node has no flock, so a child holds it: util-linux's `flock`, turned into a `cat` that ends when our end of its
 * pipe does. It has a session of its own, so that Ctrl-C in a terminal does not take the lock away from a process
 * that is still tidying up.
 *
 * @returns null when somebody else has it and did not give it up within `waitMs`.
 * @throws when the file cannot be opened, or `flock` is not installed.
 */
export async function takeLock(
  path: string,
  { kind, waitMs }: { kind: 'shared' | 'exclusive'; waitMs: number },
): Promise<Lock | null> {
  const holder = spawn(
    'flock',
    [
      `--${kind}`,
      ...(waitMs === 0 ? ['--nonblock'] : ['--timeout', String(waitMs / 1000)]),
      '--no-fork',
      `--conflict-exit-code=${CONFLICT}`,
      path,
      'sh',
      '-c',
      'echo held && exec cat >/dev/null',
    ],
    { detached: true, stdio: ['pipe', 'pipe', 'pipe'] },
  );
  const ended = once(holder, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  let complaint = '';
  holder.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  // Ending the pipe of a holder that was killed is no fault: the lock is as gone as it should be.
  holder.stdin.on('error', () => undefined);
  const held = once(holder.stdout, 'data').then(() => 'held' as const);
  held.catch(() => undefined);
  const first = await Promise.race([held, ended]).catch((error: unknown) => {
    throw new Error(`Expected a lock on ${path}; the program flock (package util-linux) cannot be run`, {
      cause: error,
    });
  });
  if (first === 'held') {
    return {
      release: async () => {
        holder.stdin.end();
        await ended;
      },
    };
  }
  if (first[0] === CONFLICT) return null;
  throw new Error(`Expected a lock on ${path}; flock said: ${complaint.trim() || `exit code ${first[0]}`}`);
}
