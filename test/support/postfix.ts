import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { closeAfter, closeAll } from './close-all.ts';
import { answers, makeCertificate, type Dovecot } from './dovecot.ts';
import { freePort } from './git-upstream.ts';
import { until } from './until.ts';

const run = promisify(execFile);

export type Postfix = {
  port: number;
  /** To all of its processes. */
  signal: (signal: 'STOP' | 'CONT') => Promise<void>;
  stop: (signal?: 'TERM' | 'KILL') => Promise<void>;
  start: () => Promise<void>;
  /** Its queue has no room for another mail, or has it again. Without a disk of its own it only thinks so. */
  setFull: (isFull: boolean) => Promise<void>;
  close: () => Promise<void>;
};

/** What the server writes on top of a mail; as it knows its users, the envelope is all it has to look at. */
export const AUTHSERV_ID = 'mail.threadbox.test';
const RESULTS = `/@([a-z.]+)$/ PREPEND Authentication-Results: ${AUTHSERV_ID}; dmarc=pass header.from=$1\n`;

const MASTER = '/usr/lib/postfix/sbin/master';

/**
 * A private Postfix on a loopback port: it takes mail only after STARTTLS and a login that Dovecot has checked, and
 * brings it to Dovecot. Nothing leaves the machine. It starts as root only: others need sudo without a password.
 *
 * @param diskMb size of a disk of its own for its queue; null: none
 */
export async function startPostfix(
  dovecot: Dovecot,
  domains: readonly string[],
  {
    largestMailBytes = 10_240_000,
    diskMb = null,
  }: { largestMailBytes?: number; diskMb?: number | null } = {},
): Promise<Postfix> {
  const port = await freePort();
  const dir = await mkdtemp(join(tmpdir(), 'threadbox-postfix-'));
  const [etc, spool, data] = ['etc', 'spool', 'data'].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ];
  const asRoot = process.getuid?.() === 0 ? [] : ['sudo', '-n'];
  const command = async (...words: string[]): Promise<void> => {
    const [file = '', ...args] = [...asRoot, ...words];
    await run(file, args);
  };
  let master: ChildProcess | null = null;
  async function start(): Promise<void> {
    const words = ['setpriv', '--pdeathsig', 'TERM', MASTER, '-d', '-c', etc];
    const [file = '', ...args] = [...asRoot, ...words];
    const child = spawn(file, args, { stdio: 'ignore', detached: true });
    master = child;
    await until(async () => {
      if (child.exitCode !== null) {
        // Where a beginning fails, its log goes with it.
        const log = await readFile(join(dir, 'postfix.log'), 'utf8').catch(() => '');
        throw new Error(`Postfix ended with ${child.exitCode}:\n${log.slice(-2_000)}`);
      }
      return answers(port);
    });
  }
  const signalAll = (signal: string): Promise<void> =>
    command('kill', `-${signal}`, '--', String(-(master?.pid as number)));
  async function stop(signal = 'TERM'): Promise<void> {
    if (!master || master.exitCode !== null || master.signalCode !== null) return;
    const exit = once(master, 'exit');
    await signalAll(signal);
    await exit;
  }
  const closers: (() => unknown)[] = [() => command('rm', '-rf', dir)];
  const close = (): Promise<void> => closeAll(closers);
  const filler = join(spool, 'filler');
  async function setFull(isFull: boolean): Promise<void> {
    if (diskMb === null) {
      await command('postconf', '-c', etc, '-e', `queue_minfree = ${isFull ? 10 ** 15 : 0}`);
      await command('postfix', '-c', etc, 'reload');
    } else if (isFull) {
      // It ends when there is no room left.
      await command('dd', 'if=/dev/zero', `of=${filler}`, 'bs=4k').catch(() => {});
    } else {
      await command('rm', filler);
    }
  }
  try {
    await layOut(dir, mainConfiguration({ dir, port, dovecot, domains, largestMailBytes }), port);
    if (diskMb !== null) {
      await command('mount', '-t', 'tmpfs', '-o', `size=${diskMb}m`, 'tmpfs', spool);
      closers.push(() => command('umount', '--lazy', spool));
    }
    await command('chown', '-R', 'root:root', etc, spool);
    await command('chown', 'postfix', data);
    await command('postfix', '-c', etc, 'check');
    closers.push(stop);
    await start();
    return { port, signal: signalAll, stop, start, setFull, close };
  } catch (error) {
    return await closeAfter(error, close);
  }
}

/** @param main the text of main.cf */
async function layOut(dir: string, main: string, port: number): Promise<void> {
  await chmod(dir, 0o755);
  const etc = join(dir, 'etc');
  for (const made of ['etc', 'spool', 'data']) await mkdir(join(dir, made));
  await makeCertificate(etc);
  await writeFile(join(etc, 'results'), RESULTS);
  await writeFile(join(etc, 'main.cf'), main);
  const services = await readFile('/usr/share/postfix/master.cf.dist', 'utf8');
  await writeFile(
    join(etc, 'master.cf'),
    services
      .replace(/^smtp +inet .*$/m, `127.0.0.1:${port} inet n - n - - smtpd`)
      // No chroot: the fifth column.
      .replace(/^(\w\S*\s+(?:unix|unix-dgram|fifo)\s+\S+\s+\S+\s+)y(\s)/gm, '$1n$2'),
  );
  for (const name of ['dynamicmaps.cf', 'postfix-files'])
    await copyFile(`/etc/postfix/${name}`, join(etc, name));
}

function mainConfiguration({
  dir,
  dovecot,
  domains,
  largestMailBytes,
  port,
}: {
  dir: string;
  dovecot: Dovecot;
  domains: readonly string[];
  largestMailBytes: number;
  port: number;
}): string {
  return `
compatibility_level = 3.6
queue_directory = ${dir}/spool
data_directory = ${dir}/data
maillog_file_prefixes = /var, ${dir}
maillog_file = ${dir}/postfix.log
myhostname = mail.threadbox.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
in_flow_delay = 0
# What Dovecot does not take at once is brought again soon.
minimal_backoff_time = 2s
maximal_backoff_time = 5s
queue_run_delay = 2s
message_size_limit = ${largestMailBytes}
mailbox_size_limit = 0
virtual_mailbox_limit = 0
smtpd_tls_cert_file = ${dir}/etc/cert.pem
smtpd_tls_key_file = ${dir}/etc/key.pem
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:${dovecot.authPort}
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = check_sender_access regexp:${dir}/etc/results, permit_sasl_authenticated, reject
virtual_mailbox_domains = ${domains.join(', ')}
virtual_transport = lmtp:inet:127.0.0.1:${dovecot.lmtpPort}
lmtp_destination_recipient_limit = 1
# Taken, and then refused where it is brought to, which is here again, without a login: it bounces.
transport_maps = inline:{ elsewhere.test=smtp:[127.0.0.1]:${port} }
default_transport = error:5.1.2 nothing leaves this machine
`;
}
