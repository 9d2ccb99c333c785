import { spawn } from 'node:child_process';

/** Enough for git's last words; what it says before is dropped. */
const MAX_WORDS_BYTES = 16 * 1024;
const LAST_LINES = 5;

/**
 * git asks nobody, runs no hook and uses no transport that runs a command. It gets what it must know of a secret by its
 * environment, which other users of the machine cannot read.
 */
const START = `
umask 022
IFS= read -r THREADBOX_GIT_USER
IFS= read -r THREADBOX_GIT_PASSWORD
export THREADBOX_GIT_USER THREADBOX_GIT_PASSWORD
export GIT_TERMINAL_PROMPT=0 GIT_ASKPASS=true GIT_ALLOW_PROTOCOL=https:http:ssh:git:file LC_ALL=C
export GIT_SSH_COMMAND="\${GIT_SSH_COMMAND:-ssh -o BatchMode=yes -o ConnectTimeout=20}"
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY
set -- git -c core.hooksPath=/dev/null -c gc.auto=0 -c maintenance.auto=false \\
  -c http.lowSpeedLimit=100 -c http.lowSpeedTime=60 "$@"
# A bot that is killed takes git with it: what would go on would hold locks in the mirror.
setpriv --pdeathsig KILL true 2>/dev/null && set -- setpriv --pdeathsig KILL "$@"
exec "$@" </dev/null
`;

/** A password for git, given out only when the server asks for one. */
const CREDENTIAL_HELPER =
  '!f() { test "$1" != get || printf "username=%s\\npassword=%s\\n" "$THREADBOX_GIT_USER" "$THREADBOX_GIT_PASSWORD"; }; f';

export type Credentials = { user: string; password: string };

/**
 * Takes user and password out of an http(s) address, so that they stand in no file, no process list and no message. Of
 * others a password goes for good: neither ssh nor git's own protocol has a use for it.
 */
export function splitCredentials(url: string): { url: string; credentials: Credentials | null } {
  if (!URL.canParse(url)) return { url, credentials: null };
  const parsed = new URL(url);
  if (!/^https?:$/.test(parsed.protocol)) {
    if (parsed.password === '') return { url, credentials: null };
    parsed.password = '';
    return { url: parsed.href, credentials: null };
  }
  if (parsed.username === '' && parsed.password === '') return { url, credentials: null };
  const credentials = { user: decoded(parsed.username), password: decoded(parsed.password) };
  parsed.username = '';
  parsed.password = '';
  return { url: parsed.href, credentials };
}

/**
 * Runs git on the bot's side.
 *
 * @param signal ends it, with all processes it started
 * @returns its standard output
 * @throws with git's last useful lines as the message, credentials masked; or the reason of `signal`
 */
export async function hostGit(
  args: readonly string[],
  { credentials, signal }: { credentials: Credentials | null; signal: AbortSignal },
): Promise<string> {
  signal.throwIfAborted();
  const helper = credentials
    ? ['-c', 'credential.helper=', '-c', `credential.helper=${CREDENTIAL_HELPER}`]
    : [];
  // In a process group of its own, because git starts others for the transport.
  const git = spawn('sh', ['-c', START, 'sh', ...helper, ...args], { detached: true });
  const kill = () => {
    try {
      if (git.pid !== undefined) process.kill(-git.pid, 'SIGKILL');
    } catch {
      // It has ended already.
    }
  };
  signal.addEventListener('abort', kill, { once: true });
  const output = { out: Buffer.alloc(0), words: Buffer.alloc(0) };
  git.stdout.on('data', (chunk: Buffer) => (output.out = last(Buffer.concat([output.out, chunk]))));
  git.stderr.on('data', (chunk: Buffer) => (output.words = last(Buffer.concat([output.words, chunk]))));
  git.stdin.on('error', () => undefined);
  const { user, password } = credentials ?? { user: '', password: '' };
  git.stdin.end(`${user.replaceAll('\n', '')}\n${password.replaceAll('\n', '')}\n`);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      git.on('error', reject);
      git.on('close', resolve);
    });
    signal.throwIfAborted();
    if (code !== 0)
      throw new Error(lastWords(output.words.toString(), credentials) || `git ended with status ${code}`);
    return output.out.toString();
  } finally {
    signal.removeEventListener('abort', kill);
  }
}

/** The lines of git's messages that tell a person something, without secrets. */
export function lastWords(text: string, credentials: Credentials | null): string {
  let words = text
    .split(/[\r\n]+/)
    .map((line) => line.trim())
    .filter(
      (line) => line !== '' && !/^(Cloning into|hint:|remote: (Enumerating|Counting|Compressing))/.test(line),
    )
    .slice(-LAST_LINES)
    .join('\n')
    .replaceAll(/:\/\/[^/@\s]+@/g, '://***@');
  for (const secret of [credentials?.password, credentials?.user]) {
    if (secret !== undefined && secret.length >= 4) words = words.replaceAll(secret, '***');
  }
  return words;
}

function last(bytes: Buffer): Buffer<ArrayBuffer> {
  return Buffer.from(bytes.subarray(Math.max(0, bytes.length - MAX_WORDS_BYTES)));
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
