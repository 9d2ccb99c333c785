// The Debian packages that Threadbox builds upon, and their installation.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/**
 * `files`: where one of these is, the package counts as installed.
 *
 * @typedef {{ name: string, purpose: string, files: string[] }} DebianPackage
 */

/** @type {DebianPackage[]} */
const always = [
  {
    name: 'ca-certificates',
    purpose: 'to know whom to trust when code is cloned over https',
    files: ['/etc/ssl/certs/ca-certificates.crt'],
  },
  { name: 'git', purpose: 'clones the repositories', files: ['/usr/bin/git', '/usr/local/bin/git'] },
  { name: 'openssh-client', purpose: 'clones repositories named by ssh', files: ['/usr/bin/ssh'] },
  { name: 'redis-server', purpose: 'the embedded Redis', files: ['/usr/bin/redis-server'] },
  { name: 'dovecot-imapd', purpose: 'the embedded IMAP server', files: ['/usr/lib/dovecot/imap'] },
  {
    name: 'dovecot-lmtpd',
    purpose: 'delivers mail to the embedded IMAP server',
    files: ['/usr/lib/dovecot/lmtp'],
  },
];

/** @type {DebianPackage} */
const imageBuilder = {
  name: 'debootstrap',
  purpose: 'builds the image that commands run in',
  files: ['/usr/sbin/debootstrap'],
};

/** @type {DebianPackage[]} */
const engine = [
  {
    name: 'docker.io',
    purpose: 'the Docker Engine',
    files: ['/usr/sbin/dockerd', '/usr/bin/dockerd', '/usr/local/bin/dockerd'],
  },
  {
    name: 'docker-cli',
    purpose: 'asks the engine for its networks',
    files: ['/usr/bin/docker', '/usr/local/bin/docker'],
  },
  {
    name: 'iptables',
    purpose: 'the network of the containers',
    files: ['/usr/sbin/iptables', '/sbin/iptables'],
  },
  {
    name: 'iproute2',
    purpose: 'the network of the containers',
    files: ['/usr/sbin/ip', '/sbin/ip', '/bin/ip'],
  },
  {
    name: 'e2fsprogs',
    purpose: 'makes the disks of workspaces',
    files: ['/usr/sbin/mkfs.ext4', '/sbin/mkfs.ext4'],
  },
  {
    name: 'mount',
    purpose: 'attaches the disks of workspaces',
    files: ['/usr/sbin/losetup', '/sbin/losetup'],
  },
];

/** @type {DebianPackage} */
const apparmor = {
  name: 'apparmor',
  purpose: 'without it Docker starts no container on this kernel',
  files: ['/usr/sbin/apparmor_parser', '/sbin/apparmor_parser'],
};

/** @type {DebianPackage[]} */
const forTests = [
  {
    name: 'postfix',
    purpose: 'a second kind of mail server, for the tests only',
    files: ['/usr/sbin/postfix'],
  },
  {
    name: 'squid-openssl',
    purpose: 'the proxy of repositories with an allow-list',
    files: ['/usr/sbin/squid'],
  },
  {
    name: 'chromium',
    purpose: 'opens the Container Monitor, for the tests only',
    files: [process.env['CHROMIUM'] ?? '/usr/bin/chromium'],
  },
  { name: 'openssl', purpose: 'makes certificates, for the tests only', files: ['/usr/bin/openssl'] },
  {
    name: 'docker-compose',
    purpose: 'reads docker-compose.yml, for the tests only',
    files: ['/usr/bin/docker-compose'],
  },
  {
    name: 'procps',
    purpose: 'looks for processes left behind, for the tests only',
    files: ['/usr/bin/pgrep'],
  },
];

/**
 * What the tests need: they start engines of their own, also where one answers.
 *
 * @returns {Promise<DebianPackage[]>}
 */
export async function testPackages() {
  return [...new Set([...(await botPackages()), ...engine, ...forTests])];
}

/**
 * What the bot needs with all its parts embedded.
 *
 * @returns {Promise<DebianPackage[]>}
 */
export async function botPackages() {
  const image = process.env['CONTAINER_IMAGE'] ? [] : [imageBuilder];
  const answers = await Promise.all(
    [process.env['DOCKER_HOST'], 'unix:///var/run/docker.sock'].map(mayHaveEngine),
  );
  if (answers.includes(true)) return [...always, ...image];
  const isConfined = readIfThere('/sys/module/apparmor/parameters/enabled').startsWith('Y');
  return [...always, ...image, ...engine, ...(isConfined ? [apparmor] : [])];
}

/**
 * Installs packages without starting their services: Threadbox starts its own, privately, on loopback.
 *
 * @param {string[]} names
 * @returns {Promise<string | null>} what a person has to do when it did not work
 */
export async function installPackages(names) {
  const byHand = `apt-get install ${names.join(' ')}`;
  if (!existsSync('/usr/bin/apt-get')) {
    return `This machine has no apt-get. Install what these Debian packages hold by its own means: ${names.join(' ')}`;
  }
  const root = rootPrefix();
  if (root === null) return `Installing packages needs root, and sudo does not work here. Ask for: ${byHand}`;
  const script = fileURLToPath(new URL('install-debian-packages.sh', import.meta.url));
  const [command = '', ...args] = [...root, 'sh', script, ...names];
  const child = spawn(command, args, { stdio: ['inherit', 'pipe', 'pipe'] });
  const startedAt = Date.now();
  /** @type {string[]} */
  const lines = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      if (lines.length > 15) lines.shift();
    });
  }
  const alive = setInterval(() => {
    console.log(`  ${Math.round((Date.now() - startedAt) / 1000)} s: ${(lines.at(-1) ?? '').slice(0, 90)}`);
  }, 5_000);
  const status = await new Promise((resolve) => {
    child.on('error', resolve);
    child.on('close', resolve);
  });
  clearInterval(alive);
  if (status === 0) return null;
  return (
    `${lines.join('\n')}\n\nThe packages could not be installed, see above. If the network is missing, connect it;\n` +
    `otherwise try by hand, and then again: ${byHand}`
  );
}

/** @returns {string[] | null} what makes a command run as root; null where nothing does */
function rootPrefix() {
  if (process.getuid?.() === 0) return [];
  if (spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0) return ['sudo', '-n', '--'];
  // Only where somebody sees the question for a password.
  if (!process.stdin.isTTY) return null;
  return spawnSync('sudo', ['-v'], { stdio: 'inherit' }).status === 0 ? ['sudo', '--'] : null;
}

/**
 * True when an engine answers, or refuses only this user.
 *
 * @param {string | undefined} dockerHost
 * @returns {Promise<boolean>}
 */
function mayHaveEngine(dockerHost) {
  if (!dockerHost || !URL.canParse(dockerHost)) return Promise.resolve(false);
  const url = new URL(dockerHost);
  const target =
    url.protocol === 'unix:' ? { socketPath: url.pathname } : { host: url.hostname, port: url.port || 2375 };
  return new Promise((resolve) => {
    const ping = request({ ...target, path: '/_ping', timeout: 5_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    ping.on('timeout', () => ping.destroy());
    ping.on('error', (error) => resolve('code' in error && error.code === 'EACCES'));
    ping.end();
  });
}

/** @param {string} path */
function readIfThere(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}
