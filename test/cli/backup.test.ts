import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connectDocker } from '../../src/containers/client.ts';
import { removeInstallation } from '../../src/containers/remove-installation.ts';
import { connectEmbedded } from '../../src/embedded/embedded.ts';
import { installationId, openDatabase } from '../../src/store/database.ts';
import { loadObstacle } from '../../src/store/dump.ts';
import { addRepository } from '../../src/store/repositories.ts';
import { registerUser } from '../../src/store/users.ts';
import { startGitUpstream, type GitUpstream } from '../support/git-upstream.ts';
import { layPostgres } from '../support/laid-postgres.ts';
import { startPrivateDatabase, type PrivateDatabase } from '../support/private-database.ts';
import { privateDir, startThreadbox, threadbox, type Finished, type Running } from './threadbox.ts';

const SECRET = 'geheim-8231';
const docker = connectDocker(process.env['DOCKER_HOST'] ?? '');

let dir: Awaited<ReturnType<typeof privateDir>>;
let upstream: GitUpstream;
let bot: Running | null = null;
let installation: string | null = null;
let server: PrivateDatabase;
/** Of places that have no embedded database. */
const databaseUrls = new Map<string, string>();
const envOf = (place: string): Record<string, string> => {
  const DATABASE_URL = databaseUrls.get(place);
  return { DATA_DIR: join(dir.path, place), ...(DATABASE_URL !== undefined && { DATABASE_URL }) };
};
const on = (place: string, ...words: string[]): Promise<Finished> =>
  threadbox(words, { cwd: dir.path, env: envOf(place) });
const backup = (): string => join(dir.path, 'backup.tar.gz');

async function startOn(place: string): Promise<Running> {
  bot = startThreadbox(['start'], { cwd: dir.path, env: envOf(place) });
  await bot.says(/Threadbox waits for mail to/);
  return bot;
}

before(async () => {
  dir = await privateDir();
  upstream = await startGitUpstream();
  server = await startPrivateDatabase();
  await writeFile(join(dir.path, '.env'), `STILL_RUNNING_AFTER_MS=0\n# ${SECRET}\n`, { mode: 0o600 });
});

after(async () => {
  await bot?.kill();
  if (installation !== null) await removeInstallation(docker, installation);
  await server.close();
  await upstream.close();
  await dir.close();
});

/** Empty, on a server that knows nothing of Threadbox, of a user who may do nothing beyond it. */
async function ordinaryDatabase(): Promise<string> {
  await server.db.raw(`create role ordinary login password 'x'`);
  await server.db.raw('create database outside owner ordinary');
  const url = new URL(server.url);
  [url.username, url.password, url.pathname] = ['ordinary', 'x', 'outside'];
  return url.href;
}

test('a thread goes on in an empty installation after its backup, with work that no container has any more', async () => {
  await mkdir(join(dir.path, 'old'), { mode: 0o711 });
  await layPostgres(join(dir.path, 'old', 'postgres'));
  const old = await startOn('old');
  const db = openDatabase((await connectEmbedded(join(dir.path, 'old')))?.databaseUrl ?? '');
  installation = await installationId(db);
  await registerUser(db, 'alice@example.com', 'Ali\u2028ce');
  const added = { branch: null, threadBy: null };
  await addRepository(db, { name: 'sample', url: upstream.url, ...added });
  await addRepository(db, { name: 'private', url: `https://me:${SECRET}@127.0.0.1/private.git`, ...added });
  await db.destroy();
  const work = 'echo done-7719 > work.txt; git add work.txt; git commit -qm Work; echo loose > loose.txt';
  assert.equal((await on('old', 'mail', '-s', '[sample] Work', '-b', work)).code, 0);
  await on('old', 'mail', '-s', '[sample] Work', '-b', 'stop');

  await writeFile(join(dir.path, 'old', 'secrets.key'), 'the key of all secrets', { mode: 0o600 });
  const [written, looked] = await Promise.all([on('old', 'backup', backup()), on('old', 'doctor')]);
  assert.equal(written.code, 0, written.err);
  assert.match(written.out, /^Wrote .*backup\.tar\.gz: \d+ rows, 1 thread with saved work, \.env\.\n/);
  assert.match(written.out, /keep it where nobody else reads it\. threadbox restore FILE puts it back\.\n$/);
  assert.equal((await stat(backup())).mode & 0o777, 0o600);
  assert.deepEqual(
    (await readdir(dir.path)).filter((name) => name.endsWith('.part')),
    [],
  );
  assert.match(looked.out, /^ok {4}tables +up to date \(\d{4}-[a-z-]+\)$/m);
  assert.match(looked.out, /^ok {4}repository +sample: can be read$/m);
  assert.match(
    looked.out,
    /^bad {3}repository +private: git cannot read https:\/\/127\.0\.0\.1\/private\.git/m,
  );
  assert.doesNotMatch(looked.out, new RegExp(SECRET));

  const onRunning = await on('old', 'restore', backup());
  assert.equal(onRunning.code, 1);
  assert.match(
    onRunning.err,
    /^threadbox: a backup is only restored onto an empty installation, .*: a bot runs on it\.\n/,
  );

  await old.stop('SIGTERM');
  const log = old.said.out + old.said.err;
  assert.match(log, /"thread":"alice@example\.com-sample"/);
  // Neither what was mailed, nor what came of it, nor a password.
  for (const kept of ['done-7719', 'loose.txt', SECRET]) assert.ok(!log.includes(kept), kept);
  await removeInstallation(docker, installation);
  await rm(join(dir.path, 'old'), { recursive: true });

  const restored = await on('new', 'restore', backup());
  assert.equal(restored.code, 0, restored.err);
  assert.match(restored.out, /^Restored the backup of 20.*: \d+ rows, 1 thread with saved work\.\n/);
  assert.match(restored.out, /\nIt is paused, so that nothing is run twice unseen: .* threadbox resume\n$/);
  assert.match(await readFile(join(dir.path, 'new', 'restored.env'), 'utf8'), new RegExp(SECRET));
  assert.equal(await readFile(join(dir.path, 'new', 'secrets.key'), 'utf8'), 'the key of all secrets');
  const twice = await on('new', 'restore', backup());
  assert.match(
    twice.err,
    /is not: there are saved states in .*new\/saves\.\nStop the bot there, or name another/,
  );

  // From the embedded database to another one, and on there.
  const databaseUrl = await ordinaryDatabase();
  for (const place of ['outside', 'beside']) databaseUrls.set(place, databaseUrl);
  const outside = await on('outside', 'restore', backup());
  assert.equal(outside.code, 0, outside.err);
  assert.match(
    (await on('beside', 'restore', backup())).err,
    /^threadbox: the database is not empty: there are rows in the table users\.\nName an empty database: /,
  );
  await startOn('outside');
  const resumed = await on('outside', 'resume');
  assert.equal(resumed.code, 0, resumed.err);
  const { out } = await on(
    'outside',
    'mail',
    '-s',
    '[sample] Work',
    '-b',
    'git log --format=%s; cat work.txt loose.txt',
  );
  const users = await on('outside', 'user', 'list', '--json');
  assert.equal((JSON.parse(users.out) as { name: string }[])[0]?.name, 'Ali\u2028ce');
  assert.match(out, /\nAuto-save: .*\nWork\nStart\ndone-7719\nloose\n/);
});

test('what is no whole backup is refused before anything is made of it', async () => {
  const cut = join(dir.path, 'cut.tar.gz');
  const whole = await readFile(backup());
  await writeFile(cut, whole.subarray(0, whole.length - 2000));
  const refused = await on('none', 'restore', cut);
  assert.equal(refused.code, 1);
  assert.match(
    refused.err,
    /^threadbox: .*cut\.tar\.gz cannot be used as a backup: tar says: .*\nNothing was changed\.\n$/,
  );
  assert.deepEqual(
    (await readdir(join(dir.path, 'none'))).filter((name) => name !== 'backup.lock'),
    [],
  );
});

test('a backup of a newer version is not loaded', async () => {
  const obstacle = await loadObstacle(undefined as never, ['0001-start', '9999-later']);
  assert.equal(obstacle?.todo, 'Update this Threadbox.');
  assert.match(obstacle.says, /made by a newer Threadbox: this one does not know 9999-later$/);
});
