import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { after, before, test } from 'node:test';
import { simpleParser, type ParsedMail } from 'mailparser';
import { keyOf, seal, type SecretsKey } from '../../src/secrets/sealing.ts';
import { endPause, startPause } from '../../src/store/pause.ts';
import { addRepository } from '../../src/store/repositories.ts';
import { setSecret } from '../../src/store/secrets.ts';
import { openClient } from '../http/client.ts';
import { openStage, type Stage } from '../lifecycle/stage.ts';
import { engine } from '../support/engine.ts';
import { ALICE, BOB } from '../support/app.ts';
import { startHttpUpstream, type HttpUpstream } from '../support/http-upstream.ts';
import { readMails } from '../support/mailbox.ts';
import { ranWith } from '../support/ran-with.ts';

const VALUE = `hunter2/${randomBytes(12).toString('base64')}$"x"`;
const OTHERS = `others-${randomBytes(12).toString('hex')}`;

const run = promisify(execFile);

const PASSWORD = `pa/ss word ${randomBytes(6).toString('hex')}`;

let server: HttpUpstream;
let stage: Stage;
let key: SecretsKey;
before(async () => {
  const base64 = randomBytes(32).toString('base64');
  key = keyOf(base64, 'SECRETS_KEY');
  stage = await openStage({
    SECRETS_KEY: base64,
    CONTAINER_NETWORK_GUARD: 'off',
    HTTP_LISTEN: '127.0.0.1:0',
  });
  const { dataDir, upstream } = stage.bot;
  const dir = join(dataDir, 'private');
  await run('git', ['clone', '-q', '--bare', upstream.url, join(dir, 'x.git')]);
  server = await startHttpUpstream(dir, 'deploy', PASSWORD);
  for (const [name, password] of [
    ['other', PASSWORD],
    ['refused', `${PASSWORD}wrong`],
  ] as const) {
    const url = server.urlFor('x.git', 'deploy', password);
    await addRepository(stage.bot.app.db, { name, url, branch: null, threadBy: null });
  }
  await give(1, 'API_TOKEN', VALUE);
  await give(2, 'OTHER_TOKEN', OTHERS);
});
after(async () => {
  await stage.close();
  await server.close();
});

async function give(repositoryId: number, name: string, value: string, by = key): Promise<void> {
  const sealed = seal(by, { repositoryId, name }, value);
  const secret = { repositoryId, name, keyId: by.id, sealed, setBy: 'test' };
  assert.ok(await setSecret(stage.bot.app.db, secret, { secrets: 50, bytes: 65_536 }));
}

/** The mails that the bot has stored, the newest last. */
async function mails(): Promise<ParsedMail[]> {
  const of = stage.bot.app.db('messages').where({ direction: 'out' }).orderBy('id');
  return Promise.all((await of.pluck<Buffer[]>('raw')).map((raw) => simpleParser(raw)));
}

/** All that the bot has stored of its mails, and what it has logged. */
async function everything(): Promise<string> {
  const texts = (await mails()).map(({ text, html }) => `${text}\n${String(html)}`);
  return [JSON.stringify(stage.bot.lines), ...texts].join('\n');
}

test('a command has its secrets in its environment; answers show them in none of their forms', async () => {
  const { text } = await stage.ask(
    'test "$API_TOKEN" && printf %s "$API_TOKEN" | sha256sum; echo "$API_TOKEN"; printf "u:%s" "$API_TOKEN" | base64; env | grep TOKEN; bash -c "exit $(test -z "$OTHER_TOKEN"; echo $?)"',
  );
  const { createHash } = await import('node:crypto');
  ranWith(text, new RegExp(`^${createHash('sha256').update(VALUE).digest('hex')}`));
  assert.match(
    text,
    /\n\s*\[secret API_TOKEN\]\n\s*.{0,4}\[secret API_TOKEN\].{0,8}\n\s*API_TOKEN=\[secret API_TOKEN\]\n/,
  );
  const all = await everything();
  assert.ok(!all.includes('hunter2') && !all.includes(Buffer.from(VALUE).toString('base64').slice(0, 20)));
});

test('a long output is masked in its attachment as well, and files that hold a value stay behind', async () => {
  const script =
    'for i in {1..3000}; do echo "line $i $API_TOKEN"; done; echo "x $API_TOKEN" >$THREADBOX_OUTBOX/a.txt; echo fine >$THREADBOX_OUTBOX/b.txt';
  const { text } = await stage.ask(script);
  const { attachments } = (await mails()).at(-1) as ParsedMail;
  assert.match(
    text,
    /Not attached, as a secret stands in it: a\.txt \(\[secret API_TOKEN\]\)\. It is still in/,
  );
  const names = attachments.map(({ filename }) => filename);
  assert.deepEqual(names.toSorted(), ['b.txt', 'output.log.gz']);
  const log = gunzipSync(
    attachments.find(({ filename }) => filename === 'output.log.gz')?.content ?? '',
  ).toString();
  assert.equal(log.split('[secret API_TOKEN]').length - 1, 3000);
  assert.ok(!log.includes('hunter2'));
});

test('nothing of them is kept: not in the state between commands, the container, its image, an exec or a save', async () => {
  await stage.ask('export KEPT=yes URL="https://$API_TOKEN@x"; readonly API_TOKEN; set -u; sleep 0');
  const { text } = await stage.ask(
    'echo "kept $KEPT url ${URL-none} token ${#API_TOKEN}"; export API_TOKEN; cat /proc/$PPID/environ | tr "\\0" "\\n" | grep -c hunt[e]r2; true',
  );
  ranWith(text, `kept yes url none token ${VALUE.length}\n0`);
  const files = await stage.inside(
    "grep -rlF 'hunter2' /workspace/.threadbox /workspace/sample | grep -v '/executions/.*\\.\\(out\\|ring.\\)$'; true",
  );
  assert.equal(files.trim(), '', 'beside what commands have printed');
  const { container_id: id, volume_name: volume } = (await stage.session()) ?? {
    container_id: '',
    volume_name: '',
  };
  const inspected = await engine.getContainer(id).inspect();
  const execs = await Promise.all((inspected.ExecIDs ?? []).map((exec) => engine.getExec(exec).inspect()));
  const image = await engine.getImage(inspected.Image).inspect();
  const all = JSON.stringify([
    inspected,
    execs,
    image,
    await engine.getVolume(volume).inspect(),
    await engine.getContainer(id).top(),
  ]);
  assert.ok(execs.length > 0 && !all.includes('hunter2') && !all.includes('API_TOKEN'));
});

test('a mail on a command that runs, and status, are masked; a change is in force from the next command', async () => {
  const running = stage.ask(
    'echo "now $API_TOKEN"; until test -e /tmp/go; do sleep 0.1; done; echo "end $API_TOKEN"',
  );
  await stage.untilRuns('sleep 0.1');
  await give(1, 'API_TOKEN', 'another-value');
  const { text } = await stage.ask('status');
  assert.match(text, /now \[secret API_TOKEN\]/);
  await stage.inside('touch /tmp/go');
  ranWith((await running).text, 'now [secret API_TOKEN]\nend [secret API_TOKEN]');
  ranWith((await stage.ask('echo "${#API_TOKEN}"; echo another-value')).text, '13\n[secret API_TOKEN]');
});

test("another repository's commands have their own secrets, and none of the first's", async () => {
  const { text } = await stage.ask('echo "${API_TOKEN-none} ${#OTHER_TOKEN} $OTHER_TOKEN"', {
    subject: '[other] Work',
  });
  ranWith(text, `none ${OTHERS.length} [secret OTHER_TOKEN]`);
});

test('what a command prints with colours within a value is masked, and where one is written over, not shown at all', async () => {
  ranWith(
    (await stage.ask("echo another-value | sed 's/ther/\\x1b[31m&\\x1b[m/'")).text,
    '[secret API_TOKEN]',
  );
  const { text, attachments } = await stage.ask(String.raw`printf 'anx\bother-value\n'`);
  assert.match(text, /^Exit code 0[^]*Its output is not shown: codes of the terminal/);
  assert.ok(!text.includes('another') && attachments.length === 0);
});

test('nor does a value come with a save, a diff, a mail on what waits, or the API, whoever has written it', async () => {
  const { db } = stage.bot.app;
  const subject = '[sample#told] Work';
  await stage.ask(
    'git checkout -q -b "b-$API_TOKEN"; truncate -s 600M "n-$API_TOKEN"; echo "x $API_TOKEN" >kept',
    { subject },
  );
  assert.match((await stage.ask('save', { subject })).text, /n-\[secret API_TOKEN\]/);
  const { text } = await stage.ask('diff', { subject });
  assert.match(
    text,
    /kept {2}\+1 -0[^]*The patch is not attached, as a secret stands in it: \[secret API_TOKEN\]\./,
  );
  assert.deepEqual((await mails()).at(-1)?.attachments, []);
  await startPause(db, '');
  const running = stage.ask('echo another-value; until test -e /tmp/go; do sleep 0.1; done', { subject });
  await stage.mailLike(/^Threadbox is paused[^]*echo \[secret API_TOKEN\]/);
  await endPause(db);
  await stage.untilRuns('sleep 0.1', `${ALICE}-sample#told`);
  const client = await openClient(stage);
  const [command] = await db('commands').where({ state: 'running' }).pluck<number[]>('id');
  for (const path of ['commands', `commands/${command}`, 'containers/sessions', 'saves']) {
    const told = JSON.stringify((await client.ask('GET', `/api/v1/${path}`)).body);
    assert.match(told, /\[secret API_TOKEN\]/, path);
    assert.ok(!told.includes('another-value'), path);
  }
  await stage.inside('touch /tmp/go', `${ALICE}-sample#told`);
  ranWith((await running).text, '[secret API_TOKEN]');
  assert.ok(!(await everything()).includes('another-value'));
});

test('a token in a mail is not repeated, and its sender is told what to do', async () => {
  const token = `ghp_${'a1B2'.repeat(9)}`;
  const { text } = await stage.ask(`echo ${token}`);
  assert.match(text, /\$ echo \[GitHub token\]/);
  assert.match(text, /looks like a GitHub token[^]*threadbox secret set sample/);
  assert.ok(!text.includes(token) && !String((await mails()).at(-1)?.html).includes(token));
});

test("a repository's credentials reach no container, log or mail, not even when they are refused", async () => {
  const script =
    'git config --list --show-origin; cat .git/objects/info/alternates; cat $(cat .git/objects/info/alternates)/../config; env; git fetch 2>&1 && echo fetched';
  const { text } = await stage.ask(script, { subject: '[other] Work' });
  assert.match(text, /^Exit code 0 [^]*remote\.origin\.url=[^]*\nfetched\n/);
  const refused = await stage.ask('true', { subject: '[refused] Work' });
  assert.match(refused.text, /^Could not run this command[^]*git says/);
  const { container_id: id } = (await stage.session(`${ALICE}-other`)) ?? { container_id: '' };
  const found = await stage.inside(
    "grep -rlE 'pa(/|%2F)[s]s( |%20|[+])word' /workspace /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null; true",
    `${ALICE}-other`,
  );
  assert.equal(found, '');
  const mirrors = await run('grep', ['-rlE', 'pa(/|%2F)ss', join(stage.bot.dataDir, 'mirrors')]).catch(
    () => null,
  );
  assert.equal(mirrors, null);
  const all = [await everything(), JSON.stringify(await engine.getContainer(id).inspect())].join('\n');
  for (const form of ['pa/ss word', 'pa%2Fss', Buffer.from(`deploy:${PASSWORD}`).toString('base64')]) {
    assert.ok(!all.includes(form), form);
  }
});

test('two users of one repository see nothing of each other, in either direction', async () => {
  const users = [ALICE, BOB].map((address) => ({
    address,
    threadId: `${address}-sample`,
    mark: `mark${randomBytes(8).toString('hex')}`,
  }));
  for (const { address: from, mark } of users) {
    // Committed, stashed, in /tmp, as a process with an argument and a variable, in the inbox and the outbox.
    const script = `echo ${mark} >own; git add own; git commit -qm ${mark}; echo ${mark} >>README.md; git stash -q
      for place in /tmp /dev/shm /workspace /workspace/.inbox $HOME $THREADBOX_OUTBOX; do echo ${mark} >$place/own; done
      X=${mark} nohup sleep 1${mark.replaceAll(/\D/g, '').slice(0, 5)}.5 >/dev/null 2>&1 & sleep 0.1`;
    assert.match((await stage.ask(script, { from })).text, /^Exit code 0/);
  }
  for (const [at, attacker] of users.entries()) {
    const victim = users[1 - at] as (typeof users)[0];
    // So that no list of processes shows the search itself.
    const patternOf = ({ mark }: typeof victim) => `${mark.slice(0, 8)}[${mark.charAt(8)}]${mark.slice(9)}`;
    const search = (pattern: string) => `{
      grep -rlE '${pattern}' /workspace /tmp /dev/shm /var /run /home /root /mnt /srv /opt "$mirror"
      cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' '\\n' | grep -E '${pattern}'
      git log --all --oneline | grep -E '${pattern}'; } 2>/dev/null`;
    const script = `
      mirror=$(dirname "$(cat .git/objects/info/alternates)")
      ${search(patternOf(attacker))} | wc -l
      ${search(patternOf(victim))}
      ls -A "$mirror/.." | grep -vx "\${mirror##*/}"
      touch "$mirror/x" 2>/dev/null && echo written
      git --git-dir="$mirror" update-ref refs/heads/evil HEAD 2>/dev/null && echo updated
      mount -o remount,rw "$mirror" 2>/dev/null && echo remounted
      ls /var/run/docker.sock /run/docker.sock 2>/dev/null
      echo "thread $THREADBOX_THREAD"`;
    const answers = (await readMails(stage.bot.userAt(victim.address))).at(-1);
    const { text } = await stage.ask(script, {
      from: attacker.address,
      ...(answers && { inReplyTo: answers }),
    });
    const [, own, rest] = /\n\n(\d+)\n(thread [^]*)/.exec(text) ?? [];
    assert.ok(Number(own) >= 8, `the search finds what is there: ${text}`);
    assert.match(rest ?? '', new RegExp(`^thread ${attacker.threadId}\\n`), text);
    assert.ok(!text.includes(victim.mark));
  }
  const [one, other] = await Promise.all(
    users.map(async ({ threadId }) => {
      const { container_id: id } = (await stage.session(threadId)) ?? { container_id: '' };
      return engine.getContainer(id).inspect();
    }),
  );
  assert.ok(one && other);
  const writable = [one, other].flatMap(({ Mounts }) =>
    Mounts.filter(({ RW }) => RW).map(({ Source }) => Source),
  );
  assert.equal(new Set(writable).size, writable.length);
  for (const { HostConfig } of [one, other]) {
    assert.ok(!HostConfig.Privileged && HostConfig.PidMode === '' && HostConfig.IpcMode !== 'host');
  }
});

test('with another key nothing is run, and it is told why', async () => {
  await give(1, 'API_TOKEN', 'sealed-otherwise', keyOf(randomBytes(32).toString('base64'), ''));
  const { text } = await stage.ask('echo ran');
  assert.match(
    text,
    /^Could not run this command[^]*The secret API_TOKEN was sealed with the key [0-9a-f]{16}/,
  );
  assert.match((await stage.ask('status')).text, /^Exit code|container/i);
});
