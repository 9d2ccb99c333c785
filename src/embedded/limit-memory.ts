import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Of addresses, what the server shares with all its processes included: about a third of it is taken before it begins. */
const MOST_BYTES = 768 << 20;

/**
 * Keeps one process of the embedded PostgreSQL, by its id, from taking more memory than a query may need: what asks for
 * more fails with "out of memory" (prlimit(1), RLIMIT_AS), and the server and its other processes go on.
 */
export async function limitMemory(pid: number): Promise<void> {
  const [uid = '', gid = ''] = await idsOf(pid);
  // Not even root may do it to somebody else's process where it has not all of its powers, as in a container.
  const asOwner =
    Number(uid) === process.getuid?.()
      ? []
      : ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'];
  const bound = ['prlimit', '--pid', String(pid), `--as=${MOST_BYTES}`];
  const [file, ...args] = [...asOwner, ...bound] as [string, ...string[]];
  try {
    await run(file, args, { cwd: '/' });
  } catch (error) {
    const { stderr = '' } = error as { stderr?: string };
    throw Object.assign(
      new Error(`Expected prlimit to bound the memory of a query; it said: ${stderr.trim()}`, {
        cause: error,
      }),
      { code: 'NO_MEMORY_LIMIT' },
    );
  }
}

/** The real user and group (proc(5)). */
async function idsOf(pid: number): Promise<(string | undefined)[]> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return ['Uid', 'Gid'].map((name) => new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
}
