import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ImapFlow } from 'imapflow';
import { createTransport } from 'nodemailer';
import type { MailServer } from '../../src/config.ts';
import { configuration, type Owner } from './dovecot-configuration.ts';
import { freePort } from './git-upstream.ts';
import { until } from './until.ts';

const run = promisify(execFile);

type ListedMail = { uid: number; subject: string; flags: string[] };

export type Dovecot = {
  imapPort: number;
  imapsPort: number;
  lmtpPort: number;
  /** Where other servers have logins checked. */
  authPort: number;
  /** Every address is a mailbox, with this password. */
  password: string;
  /** How to log in as an address; without TLS unless told otherwise. */
  account: (user: string, tls?: MailServer['tls'], verifyCertificate?: boolean) => MailServer;
  /** Delivers a mail by LMTP, as a mail server does. */
  deliver: (user: string, raw: string | Buffer) => Promise<void>;
  /** Puts mails into a mailbox by IMAP, as having arrived at a time. */
  append: (user: string, raws: readonly (string | Buffer)[], arrivedAt?: Date) => Promise<void>;
  withImap: <T>(user: string, work: (client: ImapFlow) => Promise<T>) => Promise<T>;
  /** All mails of an address, by the paths of their mailboxes. */
  listed: (user: string) => Promise<Record<string, ListedMail[]>>;
  /** The mails of an address, as files. */
  files: (user: string) => Promise<{ path: string; sizeBytes: number }[]>;
  /** Forgets the UIDs of a mailbox, as after a restore: the mails are there under another UIDVALIDITY. */
  rebuild: (user: string) => Promise<void>;
  /** Sends a signal to all its processes. */
  signal: (signal: 'SIGSTOP' | 'SIGCONT') => void;
  stop: (signal?: 'SIGTERM' | 'SIGKILL') => Promise<void>;
  start: () => Promise<void>;
  close: () => Promise<void>;
};

type DovecotKind = {
  /** false: what passes can be read by a proxy. */
  hasTls?: boolean;
  /** What stands before the name of every mailbox but INBOX, with the separator of levels at its end. */
  prefix?: string;
  /** What it says it can do, for one that can do less. */
  capabilities?: string;
  /** Says whose an access token is; logins by XOAUTH2 and OAUTHBEARER are taken then. */
  introspectionUrl?: string;
};

/** How Dovecot ends where it cannot listen. */
const PORT_TAKEN = 89;

/** A private Dovecot on loopback ports; `stop` and `start` keep ports and mail. */
export async function startDovecot({
  hasTls = true,
  prefix = '',
  capabilities,
  introspectionUrl,
}: DovecotKind = {}): Promise<Dovecot> {
  const dir = await mkdtemp(join(tmpdir(), 'threadbox-dovecot-'));
  const [imapPort, imapsPort, lmtpPort] = [await freePort(), await freePort(), await freePort()];
  const authPort = await freePort();
  const password = 'correct-horse';
  const owner = await mailOwner();
  await chmod(dir, 0o755);
  await mkdir(join(dir, 'mail'));
  await chown(join(dir, 'mail'), owner.uid, owner.gid);
  await makeCertificate(dir);
  const conf = join(dir, 'dovecot.conf');
  await writeFile(
    conf,
    configuration({
      dir,
      owner,
      imapPort,
      imapsPort,
      lmtpPort,
      authPort,
      password,
      hasTls,
      prefix,
      capabilities,
      introspectionUrl,
    }),
  );

  if (introspectionUrl !== undefined) {
    const oauth = [
      `introspection_url = ${introspectionUrl}`,
      'introspection_mode = get',
      'username_attribute = email',
      'active_attribute = active',
      'active_value = true',
    ];
    await writeFile(join(dir, 'oauth2.conf.ext'), `${oauth.join('\n')}\n`);
  }

  let master: ChildProcess | null = null;
  const maildir = (user: string): string => join(dir, 'mail', user, 'Maildir');
  const account: Dovecot['account'] = (user, tls = 'offered', verifyCertificate = false) => ({
    host: '127.0.0.1',
    port: tls === 'implicit' ? imapsPort : imapPort,
    user,
    tls,
    verifyCertificate,
  });

  const isRunning = (child: ChildProcess): boolean => child.exitCode === null && child.signalCode === null;

  async function withImap<T>(user: string, work: (client: ImapFlow) => Promise<T>): Promise<T> {
    const client = new ImapFlow({
      host: '127.0.0.1',
      port: imapPort,
      secure: false,
      doSTARTTLS: false,
      auth: { user, pass: password },
      logger: false,
    });
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.logout();
    }
  }

  async function start(): Promise<void> {
    if (master && isRunning(master)) return;
    // A group of its own, to be killed as a whole; it dies with this process whatever happens.
    const args = ['--pdeathsig', 'TERM', '/usr/sbin/dovecot', '-F', '-c', conf];
    const begin = (): ChildProcess =>
      spawn('setpriv', args, { stdio: ['ignore', 'inherit', 'inherit'], detached: true });
    let child = begin();
    await until(() => {
      master = child;
      // A process of one that was killed may hold a port for a moment longer.
      if (child.exitCode === PORT_TAKEN) child = begin();
      else if (!isRunning(child))
        throw new Error(`Dovecot ended with ${child.exitCode}; see ${dir}/dovecot.log`);
      return isRunning(child) && answers(imapPort);
    });
    master = child;
  }

  async function stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = master;
    if (!child || !isRunning(child)) return;
    const exit = once(child, 'exit');
    process.kill(signal === 'SIGKILL' ? -(child.pid as number) : (child.pid as number), signal);
    await exit;
  }

  await start();
  return {
    imapPort,
    imapsPort,
    lmtpPort,
    authPort,
    password,
    account,
    start,
    stop,
    signal: (name) => void process.kill(-(master?.pid as number), name),
    async deliver(user, raw) {
      const transport = createTransport({ host: '127.0.0.1', port: lmtpPort, lmtp: true, ignoreTLS: true });
      await transport.sendMail({ envelope: { from: 'somebody@example.com', to: [user] }, raw });
      transport.close();
    },
    append: (user, raws, arrivedAt) =>
      withImap(user, async (client) => {
        for (const raw of raws) await client.append('INBOX', raw, [], arrivedAt);
      }),
    withImap,
    listed: (user) =>
      withImap(user, async (client) => {
        const found: Record<string, ListedMail[]> = {};
        for (const { path, flags } of await client.list()) {
          if (flags.has('\\Noselect')) continue;
          const { exists } = await client.mailboxOpen(path, { readOnly: true });
          const query = { uid: true, envelope: true, flags: true };
          const rows = exists > 0 ? await client.fetchAll('1:*', query) : [];
          found[path] = rows.map(({ uid, envelope, flags }) => ({
            uid,
            subject: envelope?.subject ?? '',
            flags: [...(flags ?? [])].filter((flag) => flag !== '\\Recent'),
          }));
        }
        return found;
      }),
    async files(user) {
      const dirs = ['new', 'cur'].map((name) => join(maildir(user), name));
      const paths = await Promise.all(
        dirs.map(async (dir) => (await readdir(dir)).map((name) => join(dir, name))),
      );
      return Promise.all(paths.flat().map(async (path) => ({ path, sizeBytes: (await stat(path)).size })));
    },
    async rebuild(user) {
      await stop();
      const files = await readdir(maildir(user));
      const forgotten = files.filter((name) => /^dovecot(?:\.index|-uidlist)/.test(name));
      for (const name of forgotten) await rm(join(maildir(user), name));
      await start();
    },
    async close() {
      await stop('SIGKILL');
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Dovecot does not let root own mail. */
async function mailOwner(): Promise<Owner> {
  const isRoot = userInfo().uid === 0;
  const name = isRoot ? 'nobody' : userInfo().username;
  const [uid, gid, group] = await Promise.all(
    ['-u', '-g', '-gn'].map(async (wanted) => (await run('id', [wanted, name])).stdout.trim()),
  );
  return { uid: Number(uid), gid: Number(gid), name, group: group ?? name, isRoot };
}

/** A key pair for `localhost` that nobody has signed: `key.pem` and `cert.pem`. */
export async function makeCertificate(dir: string): Promise<void> {
  const files = ['-keyout', join(dir, 'key.pem'), '-out', join(dir, 'cert.pem')];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await run('openssl', ['req', '-x509', ...key, '-days', '2', '-subj', '/CN=localhost', ...files]);
}

/** True when a mail server at this port greets. */
export async function answers(port: number): Promise<boolean> {
  const socket = createConnection(port, '127.0.0.1');
  try {
    // One that has only begun to start may take a connection and close it without a word.
    await once(socket, 'data', { signal: AbortSignal.timeout(5_000) });
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
