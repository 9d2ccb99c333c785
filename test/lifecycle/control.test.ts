import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { simpleParser } from 'mailparser';
import { sendToBot } from '../../src/cli/write-to-bot.ts';
import { ALICE, BOB } from '../support/app.ts';
import { ranWith } from '../support/ran-with.ts';
import { until } from '../support/until.ts';
import { openStage, type Stage } from './stage.ts';

let stage: Stage;
before(async () => {
  stage = await openStage();
});
after(() => stage.close());

const inThread = (label: string) => ({ subject: `[sample#${label}] Words` });
const threadOf = (label: string) => `alice@example.com-sample#${label}`;

test('while a command runs status, help, log, diff, keep and extend are answered at once', async () => {
  await stage.ask('echo before > before.txt', inThread('status'));
  await until(async () => (await stage.session(threadOf('status')))?.is_saved);
  const to = stage.bot.botAddress;
  const { subject } = inThread('status');
  const body = 'echo one; echo two; while [ ! -e go ]; do sleep 0.05; done';
  await sendToBot(stage.bot.userAt(ALICE), { to, subject, body });
  await stage.untilRuns('sleep 0.05', threadOf('status'));
  await sendToBot(stage.bot.userAt(ALICE), { to, subject, body: 'echo waits its turn' });
  await until(async () => (await stage.bot.app.db('commands').where({ state: 'queued' })).length === 1);
  const status = await stage.ask('Status', inThread('status'));
  assert.match(status.text, /echo one; echo two/);
  assert.match(status.text, /one\n *two/);
  assert.match(status.text, /echo waits its turn/);
  assert.match(status.text, /echo before/);
  const others: [word: string, answer: RegExp][] = [
    ['help', /^What you can mail to Threadbox/],
    ['log', /echo one; echo two/],
    ['diff', /before\.txt {2}\+1 -0/],
    ['keep', /^No saved work is about to expire for sample/],
    ['extend', /^Kept until /],
  ];
  const answers = await Promise.all(others.map(([word]) => stage.ask(word, inThread('status'))));
  for (const [index, [, expected]] of others.entries()) assert.match(answers[index]?.text ?? '', expected);
  const states = await stage.bot.app
    .db('commands')
    .where({ thread_id: threadOf('status') })
    .orderBy('id')
    .pluck('state');
  assert.deepEqual(states, ['finished', 'running', 'queued']);
  await stage.inside('touch /workspace/sample/go', threadOf('status'));
  await stage.mailLike(/waits its turn[^]*\nwaits its turn/);
  const idle = await stage.ask('status', inThread('status'));
  assert.match(idle.text, /Container +kept until (?:\w{3} \d+ \w{3}, )?\d\d:\d\d UTC: \d\d min/);
});

test('a word for a thread that never ran anything, or a word to no repository, is answered; nothing runs', async () => {
  const none = await stage.ask('stop', { ...inThread('never'), from: BOB });
  assert.match(none.text, /^There is no container now for sample/);
  const help = await stage.ask('help', { from: 'carol@example.com', subject: 'Hello' });
  assert.match(help.text, /^What you can mail to Threadbox/);
  const fault = await stage.ask('extend banana', inThread('never'));
  assert.match(fault.text, /"extend banana" names no length of time/);
  assert.equal(await stage.session(threadOf('never')), undefined);
});

test('save says what is saved; diff has it as a patch that applies; log lists what ran', async () => {
  await stage.ask(
    'echo "# Changed" > README.md; echo new > new.txt; echo .env > .gitignore; echo SECRET=1 > .env',
    inThread('look'),
  );
  const saved = await stage.ask('save', inThread('look'));
  assert.match(saved.text, /^Saved: 3 files changed/);
  const diff = await stage.ask('diff', inThread('look'));
  assert.match(diff.text, /README\.md {2}\+1 -1/);
  assert.match(diff.text, /new\.txt {2}\+1 -0/);
  assert.doesNotMatch(diff.text, /\.env/);
  const log = await stage.ask('log', inThread('look'));
  assert.match(log.text, /echo "# Changed"/);
  const raw = await stage.bot.app
    .db('messages')
    .where({ direction: 'out', thread_id: threadOf('look') })
    .whereRaw(`convert_from(raw, 'UTF8') like '%changes.patch%'`);
  assert.equal(raw.length, 1);
});

test('fresh starts over from the repository, and restore swaps back and forth, however often', async () => {
  await stage.ask('echo first > mine.txt', inThread('fresh'));
  const fresh = await stage.ask('fresh', inThread('fresh'));
  assert.match(fresh.text, /^Your next command starts from the repository/);
  const empty = await stage.ask('ls; echo second > other.txt', inThread('fresh'));
  ranWith(empty.text, 'README.md');
  const back = await stage.ask('restore', inThread('fresh'));
  assert.match(back.text, /^Your work of .* is back/);
  ranWith((await stage.ask('ls; cat mine.txt', inThread('fresh'))).text, 'README.md\nmine.txt\nfirst');
  await stage.ask('restore', inThread('fresh'));
  ranWith((await stage.ask('ls', inThread('fresh'))).text, 'README.md\nother.txt');
  // What was put aside last, whatever was before.
  await stage.ask('fresh', inThread('fresh'));
  await stage.ask('echo third > third.txt', inThread('fresh'));
  await stage.ask('restore', inThread('fresh'));
  const last = await stage.ask('ls', inThread('fresh'));
  ranWith(last.text, 'README.md\nother.txt');
  assert.doesNotMatch(last.text, /was restored|container was gone/);
});

test('stop while a command runs is confirmed at once, and done when that has ended; an extend after it brings it back', async () => {
  const { subject } = inThread('stop');
  const to = stage.bot.botAddress;
  await stage.ask('true', { subject });
  await sendToBot(stage.bot.userAt(ALICE), { to, subject, body: 'while [ ! -e go ]; do sleep 0.05; done' });
  await stage.untilRuns('sleep 0.05', threadOf('stop'));
  await sendToBot(stage.bot.userAt(ALICE), { to, subject, body: 'stop' });
  await stage.mailLike(/^Understood: stop, as soon as it can be done/);
  const going = await stage.session(threadOf('stop'));
  assert.equal(going?.is_active, true);
  await sendToBot(stage.bot.userAt(ALICE), { to, subject, body: 'extend 2h' });
  // That it is kept is not said of one that goes.
  await stage.mailLike(
    /^Understood: extend, as soon as it can be done\s+2 commands of this thread come first/,
  );
  await stage.inside('touch /workspace/sample/go', threadOf('stop'));
  await stage.mailLike(/^Stopped, and your work is saved/);
  await stage.mailLike(/^Restored, and kept until /);
  const session = await stage.session(threadOf('stop'));
  assert.deepEqual([session?.is_active, session?.id === going?.id], [true, false]);
  const keptHours = ((session?.keep_until?.getTime() ?? 0) - Date.now()) / 3_600_000;
  assert.ok(keptHours > 1.9 && keptHours <= 2, `${keptHours}`);
  await stage.ask('stop', { subject });
  assert.match((await stage.ask('keep', { subject })).text, /^Kept until /);
});

test('the patch of diff, applied to a clean clone, gives the very same tree', async (t) => {
  await stage.bot.upstream.commit(
    { 'long.txt': 'a line\n'.repeat(30), 'tool.sh': 'true\n', 'gone.txt': 'x\n', picture: '\0\x01\n' },
    'More',
  );
  await stage.ask(
    `echo '# Changed' > README.md; git commit -qam Changed; git mv long.txt renamed.txt; echo more >> renamed.txt
chmod +x tool.sh; git rm -q gone.txt; head -c 3000 /dev/urandom > picture; head -c 3000 /dev/urandom > "another one.bin"
ln -s README.md link; printf 'no line end' > café.txt`,
    inThread('patch'),
  );
  await stage.ask('save', inThread('patch'));
  const diff = await stage.ask('diff', inThread('patch'));
  const { raw } = await stage.bot.app.db('messages').where({ message_id: diff.messageId }).first('raw');
  const [patch] = (await simpleParser(raw as Buffer)).attachments;
  assert.equal(patch?.filename, 'changes.patch');

  const dir = await mkdtemp(join(tmpdir(), 'threadbox-clone-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  execFileSync('git', ['clone', '-q', stage.bot.upstream.url, dir]);
  const git = (words: string[], input?: Buffer) =>
    execFileSync('git', ['-C', dir, ...words], { ...(input && { input }) }).toString();
  git(['apply', '--index', '-'], patch.content);
  const tree =
    'cd /workspace/sample; GIT_INDEX_FILE=/tmp/index git add -A; GIT_INDEX_FILE=/tmp/index git write-tree';
  assert.equal(git(['write-tree']), await stage.inside(tree, threadOf('patch')));
  const summary = git(['diff', '--cached', '-M', '--summary']);
  for (const kind of [
    'rename long.txt',
    'mode change 100644 => 100755 tool.sh',
    'delete mode 100644 gone.txt',
    'create mode 120000 link',
  ]) {
    assert.ok(summary.includes(kind), summary);
  }
});

test('a mail sent before the removal and taken after it is run in the restored workspace', async () => {
  await stage.ask('echo work > work.txt', inThread('race'));
  const subject = inThread('race').subject;
  await stage.ask('stop', { subject });
  const to = stage.bot.botAddress;
  const bodies = ['echo 1 >> work.txt', 'extend', 'echo 2 >> work.txt', 'stop'];
  await Promise.all(bodies.map((body) => sendToBot(stage.bot.userAt(ALICE), { to, subject, body })));
  // A mail the server has accepted may still get a later place in the mailbox than one sent after it.
  const { db } = stage.bot.app;
  await until(async () => {
    const ofThread = { thread_id: threadOf('race') };
    const taken = await db('messages').where({ ...ofThread, direction: 'in', state: 'handled' });
    const open = await db('commands').where(ofThread).whereIn('state', ['queued', 'running']);
    return taken.length === 2 + bodies.length && open.length === 0;
  });
  const text = (await stage.ask('sort work.txt', { subject })).text;
  ranWith(text, '1\n2\nwork');
});
