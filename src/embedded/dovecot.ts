import { createHash } from 'node:crypto';
import { chown, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Log } from '../log.ts';
import { dovecotSettings } from './dovecot-settings.ts';
import { keepRunning, type Kept } from './keep-running.ts';
import { chooseUser, makePartDir, makeOwnDir, type RunAs } from './run-as.ts';
import { startServer } from './server-process.ts';

const NAME = 'the embedded mail server';
/** Names of sockets are limited to 107 bytes (unix(7)); Dovecot's own take up to 27 of them. */
const LONGEST_RUN_DIR = 80;

/**
 * Its sessions, and the process that writes its log, live on for seconds after it: they get a moment to see that it is
 * gone, and then the whole process group is ended, this shell included.
 */
const UNTIL_TOLD = `
trap 'kill -TERM "$server"; sleep 0.2; kill -KILL 0' TERM
setpriv --pdeathsig TERM "$0" "$@" &
server=$!
wait "$server"
`;

/** Debian's Dovecot with its data in `dir`: IMAP on 127.0.0.1, and LMTP on a socket for our own use. */
export async function startDovecot({
  dir,
  imapPort,
  password,
  log,
}: {
  dir: string;
  imapPort: number;
  password: string;
  log: Log;
}): Promise<Kept & { lmtpSocket: string }> {
  const { lockPath } = await makePartDir(dir);
  const runAs = await chooseUser([dir]);
  // Closed to others: Dovecot wants its own directory of sockets to be open.
  const dataDir = join(dir, 'data');
  const storeDir = join(dataDir, 'mailboxes');
  await makeOwnDir(dataDir, runAs);
  await makeOwnDir(storeDir, runAs);
  const { runDir, removeRunDir } = await makeRunDir(dataDir, runAs);
  const configFile = join(dataDir, 'dovecot.conf');
  await rm(configFile, { force: true });
  await writeFile(
    configFile,
    dovecotSettings({ imapPort, password, runDir, storeDir, user: runAs.user, group: runAs.group }),
    { mode: 0o600 },
  );
  await chown(configFile, runAs.ownerUid, runAs.ownerGid);
  const program = {
    name: NAME,
    command: ['sh', '-c', UNTIL_TOLD, 'dovecot', '-F', '-c', configFile],
    debian: { program: 'dovecot', packages: 'dovecot-imapd dovecot-lmtpd' },
    runAs,
    isReadyLine: (line: string) => line.includes('starting up for'),
    stopSignal: 'SIGTERM',
    lockPath,
  } as const;
  try {
    const kept = await keepRunning(NAME, (signal) => startServer(program, log, signal), log);
    return {
      lmtpSocket: join(runDir, 'lmtp'),
      async close() {
        await kept.close();
        await removeRunDir();
      },
    };
  } catch (error) {
    await removeRunDir();
    throw error;
  }
}

async function makeRunDir(
  dataDir: string,
  runAs: RunAs,
): Promise<{ runDir: string; removeRunDir: () => Promise<void> }> {
  const usual = join(dataDir, 'run');
  const isShort = Buffer.byteLength(usual) <= LONGEST_RUN_DIR;
  const parent = isShort ? dataDir : await makeShortDir(dataDir);
  await makeOwnDir(parent, runAs);
  const runDir = join(parent, 'run');
  await rm(runDir, { recursive: true, force: true });
  await makeOwnDir(runDir, runAs);
  return { runDir, removeRunDir: () => rm(isShort ? runDir : parent, { recursive: true, force: true }) };
}

/** Always the same one, so that what a killed bot leaves is gone with its next start. */
async function makeShortDir(dataDir: string): Promise<string> {
  const hash = createHash('sha256').update(dataDir).digest('hex').slice(0, 12);
  const dir = join(tmpdir(), `threadbox-${hash}`);
  await rm(dir, { recursive: true, force: true });
  // Fails on what anybody else puts there now.
  await mkdir(dir, { mode: 0o700 });
  return dir;
}
