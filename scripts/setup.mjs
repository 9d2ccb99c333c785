// What `npm run demo`, `npm test` and `npm run bench` need before they can begin: npm packages, Debian packages, and
// a handing over to the Node that is pinned in package.json. Plain JavaScript without packages, for Node 20 and up.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { installPackages } from './debian-packages.mjs';

export const projectRoot = fileURLToPath(new URL('..', import.meta.url));
const pinnedNode = `${projectRoot}node_modules/.bin/node`;
const stampFile = `${projectRoot}node_modules/.threadbox-lock-hash`;

/** Something a person has to mend. Its message is all they need to see. */
class SetupError extends Error {}

/**
 * Runs a script of ours, and ends this process with its exit code; says in plain words what a person has to do.
 *
 * @param {() => Promise<number>} work
 */
export async function runScript(work) {
  try {
    process.exitCode = await work();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    process.stderr.write(`\n${error.message}\n`);
    process.exitCode = 1;
  }
}

/**
 * Everything that has to be on the machine.
 *
 * @param {import('./debian-packages.mjs').DebianPackage[]} packages
 */
export async function setUp(packages) {
  if (process.platform !== 'linux') {
    throw new SetupError(`Threadbox runs on Linux only, and this is ${process.platform}.`);
  }
  ensurePackages();
  await ensureDebianPackages(packages);
}

/** `npm ci`, when the packages are not those of package-lock.json. */
function ensurePackages() {
  const lock = readFileSync(`${projectRoot}package-lock.json`);
  const hash = createHash('sha256').update(lock).digest('hex');
  const stamp = existsSync(stampFile) ? readFileSync(stampFile, 'utf8') : null;
  if (stamp === hash) return;
  if (stamp === null && isNewerThanLock()) {
    rememberHash(hash);
    return;
  }
  console.log('Installing the npm packages (npm ci) ...');
  const npm = process.env['npm_execpath'];
  const args = ['ci', '--include=dev', '--include=optional', '--loglevel=error'];
  const [command, words] = npm ? [process.execPath, [npm, ...args]] : ['npm', args];
  const { status, error } = spawnSync(command, words, { cwd: projectRoot, stdio: 'inherit' });
  if (error) throw new SetupError(`npm cannot be run (${error.message}). Install it: apt-get install npm`);
  if (status !== 0) {
    throw new SetupError(
      'npm ci failed, see above. It needs the npm registry (or a mirror: npm config set registry URL), and to write\n' +
        `to ${projectRoot}node_modules.`,
    );
  }
  if (spawnSync(pinnedNode, ['--version']).status !== 0) {
    throw new SetupError(
      `The pinned Node does not run on this machine (${process.arch}). Threadbox is for x64 and arm64 with glibc.`,
    );
  }
  rememberHash(hash);
}

/** Somebody may have run npm ci by hand: npm writes this file of its own last. */
function isNewerThanLock() {
  const installed = `${projectRoot}node_modules/.package-lock.json`;
  if (!existsSync(installed) || !existsSync(pinnedNode)) return false;
  return statSync(installed).mtimeMs >= statSync(`${projectRoot}package-lock.json`).mtimeMs;
}

/** @param {string} hash */
function rememberHash(hash) {
  try {
    writeFileSync(stampFile, hash);
  } catch {
    // Packages that root has installed are as good; only the next run has to look again.
  }
}

/**
 * Names each missing package, then installs them all.
 *
 * @param {import('./debian-packages.mjs').DebianPackage[]} packages
 */
async function ensureDebianPackages(packages) {
  const missing = packages.filter(({ files }) => !files.some((file) => existsSync(file)));
  if (missing.length === 0) return;
  for (const { name, purpose } of missing) console.log(`Installing Debian package ${name}: ${purpose}`);
  const problem = await installPackages(missing.map(({ name }) => name));
  if (problem !== null) throw new SetupError(problem);
  const still = missing.filter(({ files }) => !files.some((file) => existsSync(file)));
  if (still.length > 0) {
    throw new SetupError(
      still
        .map(({ name, files }) => `Debian takes ${name} for installed, but ${files[0]} is not there.`)
        .concat(`Put it back: apt-get install --reinstall ${still.map(({ name }) => name).join(' ')}`)
        .join('\n'),
    );
  }
}

/**
 * Runs the pinned Node until it ends. It gets SIGTERM when this process dies, however that happens.
 *
 * @param {string[]} args
 * @returns {Promise<number>} its exit code
 */
export function handOver(args) {
  const setpriv = '/usr/bin/setpriv';
  const leash = existsSync(setpriv) ? [setpriv, '--pdeathsig', 'TERM', '--'] : [];
  const [command = '', ...words] = [...leash, pinnedNode, ...args];
  // An ordinary user's path lacks the directories where the servers are.
  const path = `${process.env['PATH'] ?? '/usr/bin:/bin'}:/usr/local/sbin:/usr/sbin:/sbin`;
  const env = { ...process.env, PATH: path };
  const child = spawn(command, words, { cwd: projectRoot, stdio: 'inherit', env });
  // Ctrl-C reaches the child through the terminal's process group. We wait for it to tidy up.
  process.on('SIGINT', () => undefined);
  for (const signal of /** @type {const} */ (['SIGTERM', 'SIGHUP'])) {
    process.on(signal, () => child.kill(signal));
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}
