import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connectDocker } from '../../src/containers/client.ts';
import { removeInstallation } from '../../src/containers/remove-installation.ts';
import { connectEmbedded } from '../../src/embedded/embedded.ts';
import { installationId, openDatabase } from '../../src/store/database.ts';
import { startGitUpstream, type GitUpstream } from '../support/git-upstream.ts';
import { privateDir, startThreadbox, threadbox, threadboxProcess } from './threadbox.ts';
import type { Finished, Running } from './threadbox.ts';

let dir: Awaited<ReturnType<typeof privateDir>>;
let upstream: GitUpstream;
let bot: Running;
let installation: string;
const run = (...words: string[]): Promise<Finished> => threadbox(words, { env: { DATA_DIR: dataDir() } });
const dataDir = (): string => join(dir.path, 'data');

before(async () => {
  dir = await privateDir();
  upstream = await startGitUpstream();
  // Without a bot: the command starts the embedded database for itself alone.
  const added = await run('user', 'add', 'Alice@example.com', '--name', '山田 Alice');
  assert.equal(added.code, 0, added.err);
  assert.equal(added.out, 'Added alice@example.com. Commands mailed from there are run.\n');
  assert.match(added.err, /^threadbox: there is no installation in .* yet: making one\n$/);
  bot = startThreadbox(['start'], { env: { DATA_DIR: dataDir() } });
  await bot.says(/Threadbox waits for mail to bot@threadbox\.test/);
  installation = await idOfInstallation();
});

after(async () => {
  try {
    await bot.kill();
    // Only now that the bot can make no more of them.
    await removeInstallation(connectDocker(process.env['DOCKER_HOST'] ?? ''), installation);
  } finally {
    await upstream.close();
    await dir.close();
  }
});

async function idOfInstallation(): Promise<string> {
  const db = openDatabase((await connectEmbedded(dataDir()))?.databaseUrl ?? '');
  try {
    return await installationId(db);
  } finally {
    await db.destroy();
  }
}

test('the first start says what is still missing', () => {
  assert.match(bot.said.out, /there is no repository to run commands in yet: threadbox repo add NAME URL/);
  assert.doesNotMatch(bot.said.out, /nobody may have commands run yet/);
});

test('a repository is checked before it is registered; what git says is told', async () => {
  const away = await run('repo', 'add', 'away', upstream.url.replace('sample', 'nothing'));
  assert.equal(away.code, 1);
  assert.match(away.err, /^threadbox: git cannot read git:\/\/.*\/nothing\.git\. It says:\n {2}fatal: /);
  assert.match(
    away.err,
    /\nNothing was registered\. Correct the URL, or register it as it is with --no-check\.\n$/,
  );

  const branch = await run('repo', 'add', 'sample', upstream.url, '--branch', 'mian');
  assert.equal(branch.code, 1);
  assert.match(
    branch.err,
    /has no branch mian\. Did you mean main\?\nIts branches: main\nNothing was registered/,
  );

  const unchecked = await run(
    'repo',
    'add',
    'later',
    upstream.url.replace('sample', 'nothing'),
    '--no-check',
  );
  assert.equal(unchecked.code, 0, unchecked.err);
});

test('repositories are added, listed and removed, for people and for programs', async () => {
  const added = await run('repo', 'add', 'sample', upstream.url, '--branch', 'main', '--json');
  assert.equal(added.code, 0, added.err);
  assert.deepEqual(JSON.parse(added.out), {
    name: 'sample',
    url: upstream.url,
    branch: 'main',
    threadBy: null,
    isEmpty: false,
  });
  const again = await run('repo', 'add', 'Sample', upstream.url);
  assert.equal(again.code, 1);
  assert.match(
    again.err,
    /there is a repository Sample already\. To change it: threadbox repo remove Sample/,
  );

  await run('repo', 'add', 'private', 'https://me:geheim@127.0.0.1/private.git', '--no-check');
  const listed = await run('repo', 'list');
  assert.match(listed.out, /^NAME +URL +BRANCH +LIMITS +NETWORK +THREAD BY +IDLE TIMEOUT +RESTORE +SINCE\n/);
  assert.match(listed.out, /^private +https:\/\/127\.0\.0\.1\/private\.git +\(default\)/m);
  const records = JSON.parse((await run('repo', 'list', '--json')).out) as { name: string; url: string }[];
  assert.deepEqual(
    records.filter(({ name }) => name !== 'later').map(({ name, url }) => [name, url]),
    [
      ['private', 'https://127.0.0.1/private.git'],
      ['sample', upstream.url],
    ],
  );

  const removed = await run('repo', 'remove', 'private');
  assert.match(removed.out, /^Removed private\./);
  const typo = await run('repo', 'remove', 'smaple');
  assert.equal(typo.code, 1);
  assert.match(typo.err, /no repository is called smaple\. Did you mean sample\?/);
});

test('users are let into single repositories, shut out and let in again; their roles are shown', async () => {
  await run('user', 'add', 'carol@example.com');
  const [denied, misspelt] = await Promise.all([
    run('user', 'deny', 'carol@example.com', 'Sample'),
    run('user', 'allow', 'carol@example.com', 'smple'),
  ]);
  assert.equal(denied.out, 'Changed: carol@example.com may use later.\n');
  assert.match(misspelt.err, /no repository is called smple\. Did you mean sample\?/);
  const allowed = await run('user', 'allow', 'Carol@example.com', 'sample');
  assert.equal(allowed.out, 'Changed: carol@example.com may use later, sample.\n');
  const listed = JSON.parse((await run('user', 'list', '--json')).out) as Record<string, unknown>[];
  assert.deepEqual(
    listed.map(({ address, role, repositories }) => [address, role, repositories]),
    [
      ['alice@example.com', 'user', null],
      ['carol@example.com', 'user', ['later', 'sample']],
    ],
  );
  const set = await run('user', 'set', 'carol@example.com', '--role', 'admin', '--repositories', 'all');
  assert.match(set.out, /^Changed carol@example\.com: admin, may use all repositories, /);
  await run('user', 'remove', 'carol@example.com');
});

test('users are listed with columns that line up, and removed', async () => {
  await run('user', 'add', 'bob@example.com', '--name', 'Bob');
  const listed = await run('user', 'list');
  const lines = listed.out.split('\n');
  assert.match(
    lines[1] ?? '',
    /^alice@example\.com {2}山田 Alice {2}user {2}all repositories {2}\(default\) {5}\d{4}-/,
  );
  assert.match(
    lines[2] ?? '',
    /^bob@example\.com {4}Bob {7} {2}user {2}all repositories {2}\(default\) {5}\d{4}-/,
  );
  assert.match((await run('user', 'add', 'bob@example.com')).err, /bob@example\.com is a user already/);
  assert.equal((await run('user', 'remove', 'bob@example.com')).code, 0);
  assert.match(
    (await run('user', 'remove', 'bob@example.com')).err,
    /no user has the address bob@example\.com/,
  );
});

test('a mail is sent as the only user, and its answer shown', async () => {
  const words = ['mail', '--subject', '[sample] Look', '--body', 'cat README.md; exit 3'];
  const { code, out } = await run(...words);
  assert.equal(code, 0);
  assert.match(out, /^Subject: Re: \[sample\] Look\n\nExit code 3 /i);
  assert.match(out, /\n# Sample\n/);

  const json = await threadboxProcess(['mail', '-s', '[sample] Look', '-b', '-', '--json'], {
    env: { DATA_DIR: dataDir() },
    input: 'echo "from standard input"\n',
  });
  const answer = JSON.parse(json.out) as { text: string; subject: string; tookMs: number };
  assert.match(answer.text, /\nfrom standard input\n/);
  assert.ok(answer.tookMs > 0);
});

test('work that is saved is exported as a bundle, which git clones, with what was not committed beside it', async () => {
  const body = `echo one > work.txt; git add .; git commit -qm Work; git branch idea; git tag -am One v1
echo two >> work.txt; echo loose > loose.txt`;
  await run('mail', '-s', '[sample] Look', '-b', body);
  assert.match(
    (await run('mail', '-s', '[sample] Look', '-b', 'save')).out,
    /\nSaved: 2 files changed, 1 commit not pushed/,
  );
  const bundle = join(dir.path, 'work.bundle');
  const exported = await run('saves', 'export', 'alice@example.com-sample', bundle);
  assert.equal(exported.code, 0, exported.err);
  assert.match(
    exported.out,
    /^Exported alice@example\.com-sample to .*work\.bundle\. To look at it: git clone /,
  );

  const clone = join(dir.path, 'clone');
  execFileSync('git', ['clone', '-q', bundle, clone]);
  const git = (...words: string[]) => execFileSync('git', ['-C', clone, ...words]).toString();
  for (const ref of ['HEAD', 'v1', 'origin/idea']) {
    assert.equal(git('log', '--format=%s', ref), 'Work\nStart\n');
  }
  assert.equal(git('show', 'HEAD:work.txt'), 'one\n');
  // As docs/lifecycle.md says it.
  git('fetch', '-q', bundle, 'refs/threadbox/saved');
  git('restore', '--source=FETCH_HEAD:work', '.');
  assert.equal(git('status', '--short'), ' M work.txt\n?? loose.txt\n');
  assert.equal(git('diff', '--stat').split('\n')[0], ' work.txt | 1 +');
});

test('a mail that the bot drops is told at once, with the reason', async () => {
  const { code, err } = await run('mail', '--from', 'eve@example.net', '-s', '[sample] Hi', '-b', 'id');
  assert.equal(code, 1);
  assert.match(err, /^threadbox: the bot got the mail and does not answer it: the sender is not allowed\.\n/);
  assert.match(err, /To let them in: threadbox user add eve@example\.net\n$/);
});

test('no answer in time is told with what is known of the command', async () => {
  const wait = (seconds: number) =>
    run('mail', '-s', '[sample] Slow', '-b', `sleep ${seconds + 5}`, '--wait', `${seconds}`);
  let { code, err } = await wait(3);
  // A machine that has much else to do has not begun it by then.
  if (!err.includes('still runs')) ({ code, err } = await wait(30));
  assert.equal(code, 1);
  assert.match(
    err,
    /^threadbox: no answer within \d+ s: the command still runs\. It is answered when it ends\.\n$/,
  );
});

test('the outbox lists what became of the mails of the bot', async () => {
  const { code, out } = await run('outbox');
  assert.equal(code, 0);
  assert.match(
    out,
    /^ID +WRITTEN +TO +SUBJECT +STATE +TRIES +CODE +REASON\n\d+ +.*\d\d:\d\d UTC +alice@example\.com +Re: /,
  );
  assert.match(out, / sent +1\n/);
  assert.equal((await run('outbox', '--failed')).out, 'No mail has failed.\n');
  assert.deepEqual(JSON.parse((await run('outbox', '--failed', '--json')).out), []);
});

test('SQL reads the embedded database while the bot runs: a table, CSV or JSON, errors with their place', async () => {
  const [json, table, wrong, named, reserved] = await Promise.all([
    run('sql', 'SELECT 42 AS n, true AS b, NULL AS x; VALUES (9007199254740993)', '--format', 'json'),
    run('sql', 'SELECT address FROM users WHERE address = ? AND is_registered', 'alice@example.com'),
    run('sql', 'SELECT adress FROM users'),
    run('sql', 'history', 'Alice@example.com', '--format=csv'),
    run('repo', 'add', 'sql', upstream.url),
  ]);
  assert.equal(json.code, 0, json.err);
  const [first = '', second = ''] = json.out.split(/(?<=^\])\n/m);
  assert.deepEqual(JSON.parse(first), [{ n: 42, b: true, x: null }]);
  assert.deepEqual(JSON.parse(second), [{ column1: '9007199254740993' }]);
  assert.equal(table.out, 'address\n-----------------\nalice@example.com\n', table.err);
  assert.match(table.err, /^\(1 row in \d+\.\d+ s\)\n$/);
  assert.equal(wrong.code, 1);
  assert.match(
    wrong.err,
    /^threadbox: column "adress" does not exist\nLINE 1: SELECT adress FROM users\n {15}\^\nHint: Perhaps/,
  );
  assert.match(named.out, /^id,thread,made,ended,why\r\n\d+,alice@example\.com-sample,/, named.err);
  const audit = 'SELECT DISTINCT via, name, outcome FROM sql_queries WHERE ended_at IS NOT NULL';
  const audited = (await run('sql', audit, '--format', 'csv')).out.trim().split('\r\n').slice(1).toSorted();
  assert.deepEqual(audited, ['command-line,,error', 'command-line,,rows', 'command-line,history,rows']);
  assert.equal(reserved.code, 2);
  assert.match(reserved.err, /NAME: mails with \[sql\] are queries of admins/);
});

test('without waiting, the mail is only sent', async () => {
  const { code, out } = await run('mail', '-s', '[sample] echo later', '--wait', '0', '--json');
  assert.equal(code, 0);
  assert.match((JSON.parse(out) as { sent: string }).sent, /^<.+@example\.com>$/);
});

test('a second bot on the same data is refused in plain words', async () => {
  const { code, err } = await run('start');
  assert.equal(code, 1);
  assert.match(
    err,
    /^threadbox: Another Threadbox \(process \d+\) runs on the data directory .*\. Stop it first/,
  );
});

test('Ctrl-C stops a waiting mail with 130, and the bot cleanly with 0', async () => {
  const waiting = startThreadbox(['mail', '-s', '[sample#wait] Wait', '-b', 'sleep 60'], {
    env: { DATA_DIR: dataDir() },
  });
  await bot.says(/"thread":"alice@example\.com-sample#wait"[^\n]*"command queued"/);
  const mail = await waiting.stop('SIGINT');
  assert.equal(mail.code, 130);
  assert.match(
    waiting.said.err,
    /no longer waiting\. The answer will come to the mailbox of alice@example\.com/,
  );

  const { code, tookMs } = await bot.stop('SIGINT');
  assert.equal(code, 0);
  assert.ok(tookMs < 15_000, `${tookMs} ms`);
  assert.equal(await connectEmbedded(dataDir()), null);
});
