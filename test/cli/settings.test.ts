import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { limitsOf } from '../../src/cli/repo-limits.ts';
import { startEmbedded, type Embedded } from '../../src/embedded/embedded.ts';
import { createLog } from '../../src/log.ts';
import { migrate, openDatabase, type Db } from '../../src/store/database.ts';
import type { Repository } from '../../src/store/repositories.ts';
import { startGitUpstream, type GitUpstream } from '../support/git-upstream.ts';
import { privateDir, threadbox, type Finished } from './threadbox.ts';

const THREAD = 'john@example.com-critical-project';
let dir: Awaited<ReturnType<typeof privateDir>>;
let upstream: GitUpstream;
let embedded: Embedded;
let db: Db;
const run = (...words: string[]): Promise<Finished> =>
  threadbox(words, { env: { DATABASE_URL: embedded.databaseUrl ?? '', DATA_DIR: join(dir.path, 'data') } });

before(async () => {
  dir = await privateDir();
  upstream = await startGitUpstream();
  embedded = await startEmbedded({
    dataDir: join(dir.path, 'data'),
    want: { postgres: true, redis: false, mail: false },
    log: createLog('silent'),
    role: 'command',
  });
  db = openDatabase(embedded.databaseUrl ?? '', { poolSize: 2 });
  await migrate(db);
  await run('repo', 'add', 'critical-project', upstream.url);
  await run('repo', 'add', 'away', upstream.url.replace('sample', 'nothing'), '--no-check');
  await run('user', 'add', 'john@example.com', '--name', 'John');
});

after(async () => {
  await db.destroy();
  await embedded.close();
  await upstream.close();
  await dir.close();
});

test('the idle timeout of a repository is set, shown and unset', async () => {
  const set = await run('repo', 'set', 'Critical-Project', '--timeout', '180');
  assert.equal(set.code, 0, set.err);
  assert.equal(
    set.out,
    'Changed critical-project: idle timeout 180 min, restore commit, network internet, branch (default).\n',
  );
  assert.match(
    (await run('repo', 'list')).out,
    /^critical-project .* internet +\(default\) +180 min +commit +\d{4}-/m,
  );
  const { out } = await run('repo', 'set', 'critical-project', '--timeout', 'default', '--json');
  const record = JSON.parse(out) as { name: string; idleTimeoutMs: number | null };
  assert.equal(record.name, 'critical-project');
  assert.equal(record.idleTimeoutMs, null);
  assert.match((await run('repo', 'list')).out, /^critical-project .*\(default\) +\(default\) +commit/m);
});

test('what comes back after a removal is set, and the rest stays as it is', async () => {
  await run('repo', 'set', 'critical-project', '--timeout', '0.5');
  const set = await run('repo', 'set', 'critical-project', '--restore', 'uncommitted');
  assert.match(set.out, /idle timeout 0\.5 min, restore uncommitted, network internet, branch \(default\)/);
});

test('what the commands of a repository may use is set, shown and unset', async () => {
  const limits = '--command-timeout 2h30m --memory 4g --cpus 1.5 --workspace 20g --background end'.split(' ');
  const set = await run('repo', 'set', 'critical-project', ...limits);
  assert.match(set.out, /\nIts commands: 2 h 30 min, 4 GB, 1\.5 CPUs, workspace: 20 GB, background: end\.\n/);
  assert.match(set.out, /\nMemory and CPUs are those of a thread's next container; one that is there keeps/);
  assert.match(set.out, /\nA workspace that is there grows when its container is started the next time/);
  assert.match(
    (await run('repo', 'list')).out,
    /^critical-project .* 2 h 30 min, 4 GB, 1\.5 CPUs, workspace/m,
  );
  const usual = limits.map((word, index) => (index % 2 === 0 ? word : 'default'));
  const { out } = await run('repo', 'set', 'critical-project', ...usual, '--json');
  const row = JSON.parse(out) as Repository;
  const { commandTimeoutMs, memoryBytes, cpus, workspaceBytes, backgroundProcesses } = row;
  assert.deepEqual(
    [commandTimeoutMs, memoryBytes, cpus, workspaceBytes, backgroundProcesses],
    Array(5).fill(null),
  );
});

test('a secret is set by standard input, listed without its value, replaced and removed', async () => {
  const env = { DATABASE_URL: embedded.databaseUrl ?? '', DATA_DIR: join(dir.path, 'data') };
  const set = (input: string, more: object = {}) =>
    threadbox(['secret', 'set', 'Critical-Project', 'NPM_TOKEN'], { env: { ...env, ...more }, input });
  assert.equal((await set('hunter2-hunter2\n')).out, 'Set NPM_TOKEN of critical-project. Commands have it as $NPM_TOKEN, from the next one on.\n'); // prettier-ignore
  assert.match((await set('abc')).out, /so short that it is not masked/);
  const list = await run('secret', 'list', 'critical-project');
  assert.match(list.out, /^NAME +SET +BY\nNPM_TOKEN +\d{4}-\d\d-\d\d \d\d:\d\d UTC +\S+@\S+\n$/);
  const stored = JSON.stringify(await db('secrets').select());
  assert.ok(!stored.includes('hunter2') && !stored.includes(Buffer.from('hunter2').toString('base64')));
  assert.equal((await db('secrets')).length, 2);

  const other = await set('hunter3', { SECRETS_KEY: Buffer.alloc(32).toString('base64') });
  assert.match(other.err, /were sealed with the key [0-9a-f]{16}, and the key here is [0-9a-f]{16}\. Bring/);
  assert.match(
    (await run('secret', 'remove', 'critical-project', 'NPM_TOKE')).err,
    /Did you mean NPM_TOKEN\?/,
  );
  const removed = await run('secret', 'remove', 'critical-project', 'NPM_TOKEN');
  assert.match(removed.out, /^Removed NPM_TOKEN of critical-project\./);
  assert.match((await run('secret', 'list', 'critical-project')).out, /has no secrets\. To give it one/);
});

test('the value of a secret is never taken as an argument, nor repeated', async () => {
  const { code, err } = await run('secret', 'set', 'critical-project', 'NPM_TOKEN', 'hunter2');
  assert.equal(code, 2);
  assert.match(err, /^threadbox: the value is never an argument: .*standard input/);
  assert.ok(!err.includes('hunter2'));
});

test('limits of a repository are read, or it is said what was expected', () => {
  const read = (written: Record<string, string>) => limitsOf(written);
  assert.deepEqual(read({ memory: '512M', cpus: '2', 'command-timeout': '1 hour', background: 'keep' }), {
    memoryBytes: 512 * 2 ** 20,
    cpus: 2,
    commandTimeoutMs: 3_600_000,
    backgroundProcesses: 'keep',
  });
  for (const [name, value] of [
    ['memory', '4'],
    ['memory', '1m'],
    ['memory', 'much'],
    ['cpus', '0'],
    ['cpus', '-1'],
    ['command-timeout', '90'],
    ['command-timeout', '8d'],
    ['background', 'kill'],
  ] as const) {
    assert.throws(
      () => read({ [name]: value }),
      new RegExp(`^CliError: --${name}: expected .* got ${value}$`),
    );
  }
});

test('a repository can be left without a network; it is said from when on', async () => {
  const set = await run('repo', 'set', 'away', '--network', 'none');
  assert.match(
    set.out,
    /network none, .*\nIn force from the next command of each thread, whose container is made anew around its files\.\n$/,
  );
  assert.match((await run('repo', 'list')).out, /^away .* none +\(default\)/m);
});

test('a directory without any commit can be a repository', async () => {
  const empty = join(dir.path, 'empty.git');
  await mkdir(empty);
  execFileSync('git', ['init', '-q', '--bare', empty]);
  const env = { DATABASE_URL: embedded.databaseUrl ?? '', DATA_DIR: join(dir.path, 'data') };
  const added = await threadbox(['repo', 'add', 'empty', './empty.git'], { cwd: dir.path, env });
  assert.equal(added.code, 0, added.err);
  assert.match(added.out, /It has no commit yet/);
  await run('repo', 'remove', 'empty');
});

test('a branch is looked for before it is set', async () => {
  const typo = await run('repo', 'set', 'critical-project', '--branch', 'mian');
  assert.equal(typo.code, 1);
  assert.match(typo.err, /has no branch mian\. Did you mean main\?/);
  assert.match(typo.err, /Nothing was set\. Correct the branch, or set it as it is with --no-check\.\n$/);
  const away = await run('repo', 'set', 'away', '--branch', 'main');
  assert.match(away.err, /git cannot read git:.*\n {2}fatal: /);
  assert.match((await run('repo', 'set', 'away', '--branch', 'next', '--no-check')).out, /branch next\.\n$/);
  assert.match((await run('repo', 'set', 'away', '--branch', 'default')).out, /branch \(default\)\.\n$/);
  assert.match((await run('repo', 'set', 'critical-project', '--branch', 'main')).out, /branch main\.\n$/);
});

test('the idle timeout of a user is set, shown and unset', async () => {
  const set = await run('user', 'set', 'John@example.com', '--timeout', '120', '--name', 'John Doe');
  assert.equal(
    set.out,
    'Changed john@example.com: user, may use all repositories, idle timeout 120 min, name John Doe.\n',
    set.err,
  );
  assert.match(
    (await run('user', 'list')).out,
    /^john@example\.com +John Doe +user +all repositories +120 min +\d{4}-/m,
  );
  const [user] = JSON.parse((await run('user', 'list', '--json')).out) as { idleTimeoutMs: number }[];
  assert.equal(user?.idleTimeoutMs, 7_200_000);
  await run('user', 'set', 'john@example.com', '--timeout', 'default');
  assert.match(
    (await run('user', 'list')).out,
    /^john@example\.com +John Doe +user +all repositories +\(default\) +\d{4}-/m,
  );
});

test('what is set of nobody is told', async () => {
  const repository = await run('repo', 'set', 'critical-projekt', '--timeout', '5');
  assert.equal(repository.code, 1);
  assert.match(repository.err, /no repository is called critical-projekt\. Did you mean critical-project\?/);
  const user = await run('user', 'set', 'jon@example.com', '--timeout', '5');
  assert.equal(user.code, 1);
  assert.match(user.err, /no user has the address jon@example\.com\. Did you mean john@example\.com\?/);
});

test('saved states are listed, and deleted only on purpose', async () => {
  assert.match((await run('saves', 'list')).out, /^No saved state is kept\./);
  await insertSaves();
  const listed = await run('saves', 'list');
  const lines = listed.out.split('\n');
  assert.match(lines[0] ?? '', /^THREAD +SAVED +CHANGED +NOT PUSHED +KEPT UNTIL +COMMIT$/);
  assert.match(
    listed.out,
    /^john@example\.com-critical-project {6}Mon 2 Nov, 14:32 UTC +3 files +1 commit +\w.* UTC +1a2b3c4d5e$/m,
  );
  assert.match(listed.out, /^john@example\.com-critical-project {6}.* UTC \(put aside\)$/m);
  assert.match(listed.out, /^john@example\.com-critical-project#two .*\(in use\)/m);
  const records = JSON.parse((await run('saves', 'list', '--json')).out) as { threadId: string }[];
  assert.equal(records.length, 3);

  const asked = await run('saves', 'delete', THREAD);
  assert.equal(asked.code, 2);
  assert.match(
    asked.err,
    /^threadbox: this work would be gone for good:\n {2}of Mon 2 Nov, 14:32 UTC: 3 files changed, 1 commit not pushed\n {2}of /,
  );
  assert.match(asked.err, /\nTo delete it, add --yes\.\n$/);
  const inUse = await run('saves', 'delete', `${THREAD}#two`, '--yes');
  assert.equal(inUse.code, 1);
  assert.match(inUse.err, /#two has a container, .* Mail stop in that thread first\.\n$/);
  const typo = await run('saves', 'delete', `${THREAD}s`, '--yes');
  assert.match(
    typo.err,
    /nothing is saved of a thread .*s\. Did you mean john@example\.com-critical-project\?/,
  );
  const { out } = await run('saves', 'delete', THREAD, '--yes');
  assert.equal(out, `Deleted 2 saved states of ${THREAD}.\n`);
  const due = await db('saved_states').where('expires_at', '<', db.fn.now()).select('id');
  assert.equal(due.length, 2);
});

test('a saved state is exported only from where it is, and over no file', async () => {
  await writeFile(join(dir.path, 'there'), 'mine');
  const over = await run('saves', 'export', `${THREAD}#two`, join(dir.path, 'there'));
  assert.equal(over.code, 1);
  assert.match(over.err, /there is there already\. Give another FILE, or remove it\.\n$/);
  const file = join(dir.path, 'work.bundle');
  const elsewhere = await run('saves', 'export', `${THREAD}#two`, file);
  assert.equal(elsewhere.code, 1);
  assert.match(elsewhere.err, /is not in .*\. Run this on the machine of the bot, with its DATA_DIR\.\n$/);
  assert.ok(!existsSync(file));
});

async function insertSaves(): Promise<void> {
  await db.raw(`
    insert into threads (id, user_id, repository_id, label)
      select t.id, u.id, r.id, t.label from users u, repositories r,
        (values ('${THREAD}', ''), ('${THREAD}#two', 'two')) as t (id, label)
      where u.address = 'john@example.com' and r.name = 'critical-project';
    insert into saved_states
        (thread_id, user_id, repository_id, state, snapshot, commit_hash, files_modified, unpushed_commits, saved_at, expires_at)
      select s.thread_id, t.user_id, t.repository_id, s.state, repeat('ab', 20), s.hash, s.files, s.files / 2,
        '2026-11-02T14:32:00Z', s.expires_at
      from threads t, (values
        ('${THREAD}', 'current', '1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d', 3, now() + interval '5 days'),
        ('${THREAD}', 'aside', null, 1, now() + interval '5 days'),
        ('${THREAD}#two', 'current', null, 0, null)) as s (thread_id, state, hash, files, expires_at)
      where t.id = s.thread_id;
  `);
}

test('a token is shown once, listed without its secret, and revoked by its name', async () => {
  const made = await run('token', 'create', 'grafana', '--role', 'read');
  assert.match(made.out, /^tbx_\d+_[\w-]{43}\n$/);
  assert.match(made.err, /^Made the token grafana, with the role read\. It is shown this once\.\n/);
  const again = await run('token', 'create', 'Grafana', '--role', 'admin');
  assert.equal(again.code, 1);
  assert.match(
    again.err,
    /There is a token Grafana already\. Take another name, or: threadbox token revoke Grafana/,
  );
  const { out } = await run('token', 'list');
  assert.match(out, /^NAME +ROLE +SINCE +LAST USED\ngrafana +read +\d{4}-\d\d-\d\d +never\n$/);
  const [{ hash }] = (await db('api_tokens').select('hash')) as [{ hash: Buffer }];
  assert.ok(!made.out.includes(hash.toString('base64url')));
  assert.match((await run('token', 'revoke', 'grafanna')).err, /Did you mean grafana\?/);
  assert.equal(
    (await run('token', 'revoke', 'grafana')).out,
    'Revoked grafana. Whoever has it is let in no longer.\n',
  );
  assert.match((await run('token', 'list')).out, /^There is no token yet/);
});
