import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { debianMirrors } from '../../src/containers/debian-mirrors.ts';

const run = promisify(execFile);
const tools = fileURLToPath(new URL('../../.threadbox/tools', import.meta.url));
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
/** The first Debian that has it; the program runs on Debian 12. */
const SUITE = 'trixie';
/** An index of 10 MB and a package of 13 MB. */
const FETCH_LIMIT_MS = 300_000;

/**
 * Compose v2 as a plugin of the `docker` command. Debian 12 has no package of it, so the next release's is fetched, once, and
 * unpacked into the project. apt does it, so that its signatures are checked, and in directories of its own: nothing is
 * installed, and what the machine knows of packages and where it gets them from stays as it is.
 *
 * @returns what DOCKER_CONFIG has to be
 * @throws Error that says what is missing
 */
export async function fetchComposeV2(): Promise<string> {
  const dir = join(tools, 'compose-v2');
  const plugins = join(dir, 'cli-plugins');
  if (existsSync(join(plugins, 'docker-compose'))) return dir;
  const { main: mirror } = await debianMirrors('bookworm');
  const scratch = await mkdtemp(join(tmpdir(), 'tb-apt-'));
  try {
    const file = await download(scratch, mirror);
    // On the file system it is for: there all of it at once, or nothing.
    await mkdir(dir, { recursive: true });
    const unpacked = await mkdtemp(join(tools, 'unpacked-'));
    await run('dpkg-deb', ['--extract', file, unpacked]);
    await rename(join(unpacked, 'usr/libexec/docker/cli-plugins'), plugins);
    await rm(unpacked, { recursive: true });
    return dir;
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    throw new Error(
      `Compose v2 could not be fetched from ${mirror}, suite ${SUITE}. This test needs that mirror, and the keys of\n` +
        `Debian 13 in ${KEYRING} (package debian-archive-keyring).\n${said}`,
      { cause },
    );
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** @returns the path of the package, which apt has found to be what Debian has signed */
async function download(dir: string, mirror: string): Promise<string> {
  // apt gives root up for what it fetches.
  await chmod(dir, 0o755);
  const target = join(dir, 'package');
  await mkdir(target);
  if (process.getuid?.() === 0) await run('chown', ['_apt', target]);
  for (const name of ['state', 'cache']) await mkdir(join(dir, name));
  await writeFile(join(dir, 'status'), '');
  await writeFile(join(dir, 'sources.list'), `deb [signed-by=${KEYRING}] ${mirror} ${SUITE} main\n`);
  const settings = join(dir, 'settings');
  await writeFile(settings, aptSettings(dir));
  const apt = (...words: string[]) =>
    run('apt-get', ['-q', '--config-file', settings, ...words], {
      cwd: target,
      timeout: FETCH_LIMIT_MS,
      env: { ...process.env, LC_ALL: 'C' },
    });
  await apt('update', '--error-on=any');
  await apt('download', 'docker-compose');
  const [name = ''] = await readdir(target);
  return join(target, name);
}

/** Read after the machine's own, of which a proxy and the like remain. See apt.conf(5). */
function aptSettings(dir: string): string {
  const paths = {
    State: `${dir}/state`,
    'State::status': `${dir}/status`,
    Cache: `${dir}/cache`,
    'Etc::sourcelist': `${dir}/sources.list`,
    'Etc::sourceparts': '/dev/null',
    'Etc::preferences': '/dev/null',
    'Etc::preferencesparts': '/dev/null',
    'Etc::trusted': '/dev/null',
    'Etc::trustedparts': '/dev/null',
  };
  return [
    ...Object.entries(paths).map(([name, path]) => `Dir::${name} "${path}";`),
    'Acquire::Languages "none";',
    'Acquire::AllowInsecureRepositories "false";',
    'Acquire::AllowWeakRepositories "false";',
    'APT::Get::AllowUnauthenticated "false";',
    // What else the machine does when its lists are new.
    '#clear APT::Update;',
    '',
  ].join('\n');
}
