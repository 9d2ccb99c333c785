import { execFile } from 'node:child_process';
import { chmod, mkdir, stat, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The user that servers run as. */
export type RunAs = {
  /** Their names as the servers see them. */
  user: string;
  group: string;
  /** Who has to own the files that they write. */
  ownerUid: number;
  ownerGid: number;
  /** The beginning of a command line that changes to this user and sends `signal` when its parent has died. */
  command: (signal: 'SIGINT' | 'SIGTERM' | 'SIGKILL') => string[];
};

const USER = 'nobody';

/**
 * Whom to run servers as: this user, or, as no server should run as root, `nobody`. Where `nobody` cannot reach all of
 * `paths`, because a directory above is closed to others as /root is, it is root in a user namespace of its own, which
 * has no power but over root's files (user_namespaces(7)).
 *
 * @param paths directories to pass through and files to read
 * @throws when neither is possible, with what to do
 */
export async function chooseUser(paths: readonly string[]): Promise<RunAs> {
  if (process.getuid?.() !== 0) {
    const { username, uid, gid } = namedUser();
    const group = (await run('id', ['-gn'])).stdout.trim();
    return {
      user: username,
      group,
      ownerUid: uid,
      ownerGid: gid,
      command: (signal) => ['setpriv', '--pdeathsig', signal.slice('SIG'.length)],
    };
  }
  const { uid, gid, group } = await askOnce();
  const drop = ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--no-new-privs'];
  const unreachable = await firstUnreachable(drop, paths);
  if (unreachable === null) {
    return {
      user: USER,
      group,
      ownerUid: uid,
      ownerGid: gid,
      command: (signal) => [...drop, '--pdeathsig', signal.slice('SIG'.length)],
    };
  }
  const namespace = ['unshare', '--user', `--map-user=${uid}`, `--map-group=${gid}`];
  try {
    await run('unshare', [...namespace.slice(1), 'true']);
  } catch (error) {
    throw new Error(
      `Expected that the user ${USER} can reach ${unreachable}, as the embedded servers do not run as root; ` +
        'a directory above it is closed to others, and this machine allows no user namespaces. ' +
        'Open the directory (chmod o+x), or put Threadbox and its DATA_DIR somewhere else, e.g. below /opt or /var/lib.',
      { cause: error },
    );
  }
  return {
    user: USER,
    group,
    ownerUid: 0,
    ownerGid: 0,
    command: (signal) => [...namespace, 'setpriv', '--pdeathsig', signal.slice('SIG'.length)],
  };
}

let asked: ReturnType<typeof askForUser> | null = null;

/** Each embedded part needs them, and asking starts three processes. Where that fails, it is asked anew. */
function askOnce(): ReturnType<typeof askForUser> {
  return (asked ??= askForUser().catch((error: unknown) => {
    asked = null;
    throw error;
  }));
}

async function askForUser(): Promise<{ uid: number; gid: number; group: string }> {
  const ask = async (what: string): Promise<string> => (await run('id', [what, USER])).stdout.trim();
  const [uid, gid, group] = await Promise.all([ask('-u'), ask('-g'), ask('-gn')]);
  return { uid: Number(uid), gid: Number(gid), group };
}

function namedUser(): { username: string; uid: number; gid: number } {
  try {
    return userInfo();
  } catch (error) {
    const uid = process.getuid?.();
    throw new Error(
      `Expected a name for this user (id ${uid}), as PostgreSQL and Dovecot ask for it; there is none`,
      {
        cause: error,
      },
    );
  }
}

async function firstUnreachable(drop: readonly string[], paths: readonly string[]): Promise<string | null> {
  const script =
    'for path; do if [ -d "$path" ]; then [ -x "$path" ]; else [ -r "$path" ]; fi || { printf %s "$path"; exit; }; done';
  const [command, ...args] = [...drop, 'sh', '-c', script, 'sh', ...paths] as [string, ...string[]];
  const { stdout } = await run(command, args, { cwd: '/' });
  return stdout === '' ? null : stdout;
}

/**
 * A part's directory, for everybody to pass through, whatever the umask; and in it a lock for us alone.
 *
 * @throws Error with code NOT_OURS when it is another user's
 */
export async function makePartDir(path: string): Promise<{ lockPath: string }> {
  const lockPath = join(path, 'lock');
  try {
    await mkdir(path, { recursive: true });
    await chmod(path, 0o711);
    await writeFile(lockPath, '', { flag: 'a', mode: 0o600 });
  } catch (error) {
    throw isForbidden(error) ? notOurs(path, error) : error;
  }
  return { lockPath };
}

/**
 * A directory, and all in it, for the servers alone.
 *
 * @throws Error with code NOT_OURS when it is another user's
 */
export async function makeOwnDir(path: string, { ownerUid, ownerGid }: RunAs): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  const { uid } = await stat(path);
  if (uid === ownerUid) return;
  if (process.getuid?.() !== 0) throw notOurs(path);
  await run('chown', ['-R', '-P', `${ownerUid}:${ownerGid}`, path]);
}

/** True for the errors of a system call on a file that is not for this user to use. */
export function isForbidden(error: unknown): boolean {
  return ['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '');
}

export function notOurs(path: string, cause?: unknown): Error {
  const user = process.getuid?.();
  return Object.assign(
    new Error(
      `Expected ${path} to belong to the user that Threadbox runs as (id ${user}). ` +
        'Run it as the user who ran it here before, or set DATA_DIR to another directory.',
      { cause },
    ),
    { code: 'NOT_OURS' },
  );
}
