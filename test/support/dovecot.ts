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
import { freePort } from './git-upstream.ts';
import { until } from './until.ts';

const run = promisify(execFile);

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
  /** The mails of an address, as files. */
  files: (user: string) => Promise<{ path: string; sizeBytes: number }[]>;
  /** Forgets the UIDs of a mailbox, as after a restore: the mails are there under another UIDVALIDITY. */
  rebuild: (user: string) => Promise<void>;
  stop: (signal?: 'SIGTERM' | 'SIGKILL') => Promise<void>;
  start: () => Promise<void>;
  close: () => Promise<void>;
};

/**
 * A private Dovecot on loopback ports; `stop` and `start` keep ports and mail.
 *
 * @param hasTls false: what passes can be read by a proxy
 * @param introspectionUrl says whose an access token is; logins by XOAUTH2 and OAUTHBEARER are taken then
 */
export async function startDovecot({
  hasTls = true,
  introspectionUrl,
}: { hasTls?: boolean; introspectionUrl?: string } = {}): Promise<Dovecot> {
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

  async function start(): Promise<void> {
    if (master && isRunning(master)) return;
    // A group of its own, to be killed as a whole; it dies with this process whatever happens.
    const args = ['--pdeathsig', 'TERM', '/usr/sbin/dovecot', '-F', '-c', conf];
    const child = spawn('setpriv', args, { stdio: ['ignore', 'inherit', 'inherit'], detached: true });
    master = child;
    await until(() => {
      if (!isRunning(child)) throw new Error(`Dovecot ended with ${child.exitCode}; see ${dir}/dovecot.log`);
      return answers(imapPort);
    });
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
    async deliver(user, raw) {
      const transport = createTransport({ host: '127.0.0.1', port: lmtpPort, lmtp: true, ignoreTLS: true });
      await transport.sendMail({ envelope: { from: 'somebody@example.com', to: [user] }, raw });
      transport.close();
    },
    async append(user, raws, arrivedAt) {
      const client = new ImapFlow({
        host: '127.0.0.1',
        port: imapPort,
        secure: false,
        doSTARTTLS: false,
        auth: { user, pass: password },
        logger: false,
      });
      await client.connect();
      for (const raw of raws) await client.append('INBOX', raw, [], arrivedAt);
      await client.logout();
    },
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

type Owner = { uid: number; gid: number; name: string; group: string; isRoot: boolean };

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

function configuration({
  dir,
  owner,
  imapPort,
  imapsPort,
  lmtpPort,
  authPort,
  password,
  hasTls,
  introspectionUrl,
}: {
  dir: string;
  owner: Owner;
  imapPort: number;
  imapsPort: number;
  lmtpPort: number;
  authPort: number;
  password: string;
  hasTls: boolean;
  introspectionUrl: string | undefined;
}): string {
  const home = `uid=${owner.uid} gid=${owner.gid} home=${dir}/mail/%u`;
  return `
base_dir = ${dir}/run
state_dir = ${dir}/run
log_path = ${dir}/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
first_valid_uid = 1
mail_location = maildir:~/Maildir
mail_fsync = never
disable_plaintext_auth = no
auth_mechanisms = plain login${introspectionUrl === undefined ? '' : ' xoauth2 oauthbearer'}
ssl = ${hasTls ? 'yes' : 'no'}
ssl_cert = <${dir}/cert.pem
ssl_key = <${dir}/key.pem
mail_max_userip_connections = 100
${owner.isRoot ? '' : unprivileged(owner)}
${introspectionUrl === undefined ? '' : oauthLogins(dir)}
passdb {
  driver = static
  args = password=${password}
}
userdb {
  driver = static
  args = ${home} allow_all_users=yes
}
namespace inbox {
  inbox = yes
  separator = /
}
service imap-login {
  inet_listener imap {
    port = ${imapPort}
  }
  inet_listener imaps {
    port = ${imapsPort}
    ssl = yes
  }
}
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = ${lmtpPort}
  }
}
service auth {
  inet_listener {
    address = 127.0.0.1
    port = ${authPort}
  }
}
service stats {
  unix_listener stats-writer {
    mode = 0666
  }
}
`;
}

const oauthLogins = (dir: string): string => `
passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = ${dir}/oauth2.conf.ext
}
`;

/** Everything runs as one ordinary user, who may not chroot. */
const unprivileged = ({ name, group }: Owner): string => `
default_internal_user = ${name}
default_login_user = ${name}
default_internal_group = ${group}
service anvil {
  chroot =
}
service imap-login {
  chroot =
}
`;

/** True when a mail server at this port greets. */
export async function answers(port: number): Promise<boolean> {
  const socket = createConnection(port, '127.0.0.1');
  try {
    await once(socket, 'data');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
