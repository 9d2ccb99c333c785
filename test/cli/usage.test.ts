import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { nameOf } from '../../src/cli/command.ts';
import { commands } from '../../src/cli/commands.ts';
import { explain } from '../../src/cli/explain.ts';
import { commandHelp, overview } from '../../src/cli/help.ts';
import { readWords } from '../../src/cli/read-words.ts';
import { bin, privateDir, threadbox, threadboxProcess } from './threadbox.ts';

let dir: Awaited<ReturnType<typeof privateDir>>;
before(async () => {
  dir = await privateDir();
});
after(() => dir.close());

test('help goes to standard output and is no failure; a missing command is one', async () => {
  const help = await threadboxProcess(['--help']);
  assert.equal(help.code, 0);
  assert.match(help.out, /^Threadbox runs what you mail it/);
  assert.match(help.out, /^ {2}repo add NAME URL {9}registers a git repository/m);
  assert.equal(help.err, '');

  const nothing = await threadboxProcess([]);
  assert.equal(nothing.code, 2);
  assert.equal(nothing.out, '');
  assert.equal(nothing.err, help.out);
});

test('each command and each family has help', async () => {
  const families = new Set<string>();
  for (const command of commands) {
    const [family, isOfFamily] = nameOf(command).split(' ');
    if (family && isOfFamily) families.add(family);
    const asked = readWords(commands, [...nameOf(command).split(' '), '--help']);
    assert.ok(asked.kind === 'command-help', nameOf(command));
    assert.ok(commandHelp(asked.command).startsWith(`Usage: threadbox ${nameOf(command)}`));
  }
  assert.ok(['repo', 'user', 'secret', 'saves', 'token'].every((family) => families.has(family)));
  for (const family of families) {
    const asked = readWords(commands, [family, '--help']);
    assert.deepEqual(asked, { kind: 'overview', family, isAskedFor: true });
    assert.match(overview(commands, family), new RegExp(`^Usage: threadbox ${family} COMMAND`));
  }
  const { code, out } = await threadbox(['repo', 'add', '--help']);
  assert.equal(code, 0);
  assert.match(out, /^Usage: threadbox repo add NAME URL/);
});

test('the version tells that of Threadbox and of Node', async () => {
  const { code, out } = await threadboxProcess(['--version']);
  assert.equal(code, 0);
  assert.match(out, /^threadbox \d+\.\d+\.\d+ on Node \d+\.\d+\.\d+\n$/);
});

test('wrong usage is told in one line on standard error, with exit code 2', async () => {
  const { code, out, err } = await threadboxProcess(['repo', 'add', 'my app', 'https://example.com/app.git']);
  assert.equal(code, 2);
  assert.equal(out, '');
  assert.match(err, /^threadbox: NAME: expected up to 64 letters.*; got my app\n$/);
});

const wrongSettings: [words: string[], says: RegExp][] = [
  [
    ['repo', 'set', 'app'],
    /^threadbox: nothing to change: give --timeout, --restore, --branch, --network, --command-timeout, --memory, --cpus, --workspace, --background or --root\n$/,
  ],
  [
    ['user', 'set', 'a@example.com', '--role', 'root'],
    /^threadbox: --role: expected user or admin; got root\n$/,
  ],
  [['user', 'set', 'a@example.com', '--repositories', 'app'], /^threadbox: --repositories: only all; /],
  [
    ['user', 'set', 'a@example.com'],
    /^threadbox: nothing to change: give --timeout, --name, --role or --repositories\n$/,
  ],
  [
    ['repo', 'set', 'app', '--timeout', '2h'],
    /--timeout: expected minutes, as in 120, .* or default; got 2h\n$/,
  ],
  [['user', 'set', 'a@example.com', '--timeout', '0'], /got 0\n$/],
  [['user', 'set', 'a@example.com', '--timeout', '10081'], /up to 10080,/],
  [['repo', 'set', 'app', '--root', 'yes'], /--root: expected on or off; got yes\n$/],
  [
    ['repo', 'set', 'app', '--network', 'lan'],
    /--network: expected internet, none, or allow:HOST,HOST; got "lan"\n$/,
  ],
  [['repo', 'set', 'app', '--restore', 'clean'], /--restore: expected commit or uncommitted; got clean\n$/],
  [['repo', 'set', 'app', '--branch', 'a b'], /--branch: expected the name of a branch/],
  [['user', 'set', 'nobody', '--timeout', '5'], /ADDRESS: expected an email address/],
];
for (const [words, says] of wrongSettings) {
  test(`"${words.join(' ')}" is wrong usage, and said how it is right`, async () => {
    const request = readWords(commands, words);
    assert.ok(request.kind === 'run');
    const error: unknown = await request.command.run(request.args, request.options).then(
      () => null,
      (error: unknown) => error,
    );
    const { text, exitCode } = explain(error, false);
    assert.equal(exitCode, 2);
    assert.match(text, says);
  });
}

test('a URL that would make git run a program is refused, and its password is not repeated', async () => {
  const transport = await threadbox(['repo', 'add', 'app', 'ext::sh -c id']);
  assert.equal(transport.code, 2);
  assert.match(transport.err, /^threadbox: URL: expected https:/);
  const secret = await threadbox(['repo', 'add', 'app', 'ftp://user:geheim@example.com/x']);
  assert.equal(secret.code, 2);
  assert.doesNotMatch(secret.err, /geheim/);
});

test('all wrong settings are told at once, also those of a .env file, and nothing is started', async () => {
  await writeFile(join(dir.path, '.env'), 'COMMAND_CONCURRENCY=none\nIMAP_URL=pop3://x\n');
  const { code, err } = await threadbox(['start'], { cwd: dir.path, env: { REDIS_URL: 'nonsense' } });
  assert.equal(code, 2);
  assert.match(err, /settings are wrong/);
  for (const name of ['COMMAND_CONCURRENCY', 'IMAP_URL', 'REDIS_URL']) {
    assert.match(err, new RegExp(`^ {2}${name}: .*expected`, 'm'));
  }
});

test('a database that is away is told in plain words, without its password and without a stack', async () => {
  const env = { DATABASE_URL: 'postgres://me:geheim@127.0.0.1:1/box' };
  const { code, out, err } = await threadbox(['repo', 'list', '--json'], { env });
  assert.equal(code, 1);
  assert.equal(out, '');
  assert.match(
    err,
    /^threadbox: The database of DATABASE_URL \(127\.0\.0\.1:1\/box\) does not answer: connect ECONNREFUSED 127\.0\.0\.1:1\.\nCheck .*\n$/,
  );
  const debugging = await threadbox(['repo', 'list'], { env: { ...env, LOG_LEVEL: 'debug' } });
  assert.match(debugging.err, /\n +at /);
});

test('looking at an installation that is not there makes none', async () => {
  const env = { DATA_DIR: join(dir.path, 'none') };
  const table = await threadbox(['repo', 'list'], { env });
  assert.equal(table.code, 0);
  assert.match(
    table.out,
    /^No repository is registered yet\. To register one: threadbox repo add NAME URL\n$/,
  );
  assert.match(
    table.err,
    /^threadbox: there is no installation in .*none yet \(DATA_DIR says where it is\)\n$/,
  );
  const json = await threadbox(['user', 'list', '--json'], { env });
  assert.deepEqual(JSON.parse(json.out), []);
  const saves = await threadbox(['saves', 'list'], { env });
  assert.match(saves.out, /^No saved state is kept\./);
  for (const words of [
    ['repo', 'set', 'app', '--timeout', '5'],
    ['user', 'set', 'a@example.com', '--timeout', '5'],
    ['saves', 'delete', 'a@example.com-app', '--yes'],
    ['saves', 'export', 'a@example.com-app', join(dir.path, 'out.bundle')],
  ]) {
    const nothing = await threadbox(words, { env });
    assert.equal(nothing.code, 1, words.join(' '));
    assert.match(
      nothing.err,
      /no repository is called app|no user has the address|nothing is saved of a thread/,
    );
  }
  const removal = await threadbox(['user', 'remove', 'a@example.com'], { env });
  assert.equal(removal.code, 1);
  assert.match(removal.err, /no user has the address a@example\.com/);
});

test('on a terminal queries are asked for one after another; a failed one does not end it, and no bot is needed', () => {
  const typed = 'SELECT 40 +\n  2 AS n;\nDELETE FROM users;\nidle\nquit\n';
  const { stdout, status } = spawnSync('script', ['-qec', `${process.execPath} ${bin} sql`, '/dev/null'], {
    env: { PATH: process.env['PATH'], DATA_DIR: join(dir.path, 'prompt') },
    input: typed,
    encoding: 'utf8',
  });
  assert.equal(status, 0, stdout);
  const said = stdout.replaceAll('\r', '');
  assert.match(said, /Read-only\. help tells more\.\n[^]* n\n--\n42\n\(1 row in /);
  assert.match(
    said,
    /threadbox: DELETE cannot be run here\nLINE 1: DELETE FROM users\n[^]*thread +idle +warned_at/,
  );
});

test('a data directory that cannot be one is told by its path', async () => {
  await writeFile(join(dir.path, 'file'), '');
  const { code, err } = await threadbox(['user', 'add', 'a@example.com'], {
    env: { DATA_DIR: join(dir.path, 'file') },
  });
  assert.equal(code, 1);
  assert.match(err, /\/file cannot be used: it is there, and is not a directory\.\nDATA_DIR/);
});

test('a mail without a bot to get it says how to start one', async () => {
  const env = { DATA_DIR: join(dir.path, 'none') };
  const { code, err } = await threadbox(['mail', '--body', 'ls'], { env });
  assert.equal(code, 1);
  assert.match(err, /^threadbox: no bot runs on .*none \(DATA_DIR\)\. Start one .*: threadbox start\n$/);
  const empty = await threadbox(['mail'], { env });
  assert.equal(empty.code, 2);
  assert.match(empty.err, /--subject or --body is missing/);
});

test('with a real mail server, the mailbox to write from must be set', async () => {
  const env = {
    DATA_DIR: join(dir.path, 'none'),
    IMAP_URL: 'imap://bot:secret@127.0.0.1:1',
    SMTP_URL: 'smtp://bot:secret@127.0.0.1:1',
    BOT_ADDRESS: 'bot@example.com',
  };
  const unset = await threadbox(['mail', '--from', 'a@example.com', '--body', 'ls'], { env });
  assert.equal(unset.code, 2);
  assert.match(unset.err, /^threadbox: CLIENT_IMAP_URL and CLIENT_SMTP_URL are not set/);
  const client = {
    CLIENT_IMAP_URL: 'imap://a:secret@127.0.0.1:1',
    CLIENT_SMTP_URL: 'smtp://a:secret@127.0.0.1:1',
  };
  const away = await threadbox(['mail', '--from', 'a@example.com', '--body', 'ls'], {
    env: { ...env, ...client },
  });
  assert.equal(away.code, 1);
  assert.match(away.err, /^threadbox: the SMTP server 127\.0\.0\.1:1 could not be used: .*ECONNREFUSED/);
  assert.doesNotMatch(away.err, / at |secret/);
});
