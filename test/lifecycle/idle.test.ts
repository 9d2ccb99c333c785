import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Redis } from 'ioredis';
import { sendToBot } from '../../src/cli/write-to-bot.ts';
import { storePathOf } from '../../src/containers/saves-store.ts';
import { connectEmbedded } from '../../src/embedded/embedded.ts';
import type { ParsedMessage } from '../../src/mail/parse.ts';
import { addRepository, removeRepository, setRepository } from '../../src/store/repositories.ts';
import { registerUser, setUser } from '../../src/store/users.ts';
import { ALICE } from '../support/app.ts';
import { ranWith } from '../support/ran-with.ts';
import { until } from '../support/until.ts';
import { openStage, type Stage } from './stage.ts';

const MINUTE_MS = 60_000;
let stage: Stage;
before(async () => {
  stage = await openStage({
    CONTAINER_EXTEND_MAX_MS: String(6 * 60 * MINUTE_MS),
  });
});
after(() => stage.close());

const threadOf = (label: string) => `alice@example.com-sample#${label}`;
const quoted = ({ text }: ParsedMessage) => `On Sunday, Threadbox wrote:\n${text.replaceAll(/^/gm, '> ')}`;
/** As a mail names it, whatever day stands before it. */
const clock = (at: number) => `${new Date(at).toISOString().slice(11, 16)} UTC`;
const saved = async (thread_id: string) =>
  stage.bot.app.db('saved_states').where({ thread_id, state: 'current' }).first();

test('an idle container is warned of once, saved and removed; the next command finds all its work again', async () => {
  const first = await stage.ask(
    `printf '.env\\ncache/\\n' > .gitignore; git add .; git commit -qm Ignore
echo SECRET=1 > .env; mkdir cache; echo cached > cache/it
echo changed > README.md
echo new > "a new file"
git branch idea
(until [ -e ../go ]; do sleep 0.05; done; echo late > late.txt; touch ../written) > ../said 2>&1 &`,
  );
  const begun = await until(async () => {
    const session = await stage.session();
    return session?.is_saved && session;
  });
  const after = (await saved(begun.thread_id)).snapshot as string;
  stage.forward(35);
  await stage.sweep();
  assert.equal(await stage.mailsLike(/^Your container goes/), 0);

  // What no command tells of: a program of an earlier one writes.
  await stage.inside('touch /workspace/go');
  await until(async () => (await stage.inside('ls /workspace')).includes('written'));
  stage.forward(5.1);
  await stage.sweep();
  await stage.sweep();
  const warning = await stage.mailLike(
    /^Your container goes (?:at|on \w{3} \d+ \w{3},) \d\d:\d\d UTC, in [45] minutes/,
  );
  assert.match(warning.text, /Your work is saved first: 3 files changed, 1 commit not pushed\./);
  assert.match(warning.text, /^ *extend$/m);
  assert.equal(warning.subject, first.subject);
  assert.equal(warning.inReplyTo !== null && first.references.includes(warning.inReplyTo), true);
  assert.ok(await stage.isThere(begun.container_id));
  // A host that is lost now has lost nothing of it.
  const { snapshot } = await saved(begun.thread_id);
  assert.notEqual(snapshot, after);
  const { app, dataDir } = stage.bot;
  const store = storePathOf(join(dataDir, 'saves', app.installation), begun.thread_id);
  const inStore = (commit: string, file: string) =>
    execFileSync('git', ['--git-dir', store, 'ls-tree', '-r', '--name-only', commit, file]).toString();
  assert.deepEqual(
    [inStore(after, 'work/late.txt'), inStore(snapshot, 'work/late.txt')],
    ['', 'work/late.txt\n'],
  );

  stage.forward(5);
  await stage.sweep();
  assert.equal(await stage.mailsLike(/^Your container goes/), 1);
  assert.equal(await stage.isThere(begun.container_id), false);
  const ended = await stage.session();
  assert.deepEqual([ended?.state, ended?.is_active, ended?.end_reason], ['ended', false, 'idle']);

  const restored = once(app.lifecycle.events, 'container:restored');
  const again = await stage.ask(
    'cat README.md "a new file" .env cache/it late.txt; git branch --list idea; git log -1 --format=%B; git status --short',
  );
  const [{ from }] = (await restored) as [{ from: string }];
  assert.equal(from, 'volume');
  assert.match(again.text, /^Your work of (?:\w{3} \d+ \w{3}, )?\d\d:\d\d UTC was restored: 3 files\.$/m);
  ranWith(
    again.text,
    /^changed\nnew\nSECRET=1\ncached\nlate\n {2}idea\nAuto-save: Container cleanup after idle timeout\n\n/m,
  );
  assert.match(
    again.text,
    /\n\nThread: alice@example\.com-sample\nTimestamp: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\nFiles modified: 3\n\nThis commit was automatically created when the container was cleaned up\.\n/,
  );
  const quiet = await stage.ask('true');
  assert.doesNotMatch(quiet.text, /was restored/);
});

test('an answer comes before the save of its work, and that before the next command of the thread', async () => {
  const { db, lifecycle } = stage.bot.app;
  const at = { subject: '[sample#order] Work' };
  const mail = { to: stage.bot.botAddress, ...at };
  await stage.ask('echo 1 > work.txt', at);
  await until(async () => (await stage.session(threadOf('order')))?.is_saved);
  const { id } = await saved(threadOf('order'));
  // The save that comes next cannot be recorded before this lets go.
  const hold = await db.transaction();
  const savedAt = once(lifecycle.events, 'container:saved').then(() => new Date());
  try {
    await hold('saved_states').where({ id }).forUpdate();
    await sendToBot(stage.bot.userAt(ALICE), { ...mail, body: 'echo 2 > work.txt; echo "$((20 + 1))st"' });
    await sendToBot(stage.bot.userAt(ALICE), { ...mail, body: 'cat work.txt; echo "$((20 + 2))nd"' });
    await stage.mailLike(/^21st$/m);
    // The second mail may have come later than the first was answered.
    await until(
      async () =>
        (await db('commands').where({ thread_id: threadOf('order'), state: 'queued' })).length === 1,
    );
    await until(async () => (await db.raw(`select from pg_locks where not granted`)).rows.length > 0);
    const [next] = await db('commands')
      .where({ thread_id: threadOf('order') })
      .orderBy('id', 'desc');
    assert.deepEqual([next.state, next.started_at], ['queued', null]);
  } finally {
    await hold.commit();
  }
  ranWith((await stage.mailLike(/^22nd$/m)).text, '2\n22nd');
  const [next] = await db('commands')
    .where({ thread_id: threadOf('order') })
    .orderBy('id', 'desc');
  assert.equal(next.started_at >= (await savedAt), true);
});

test('the warning goes into the latest conversation; any answer to it but extend is a command, and starts the time anew', async () => {
  const one = await stage.ask('true', { subject: '[sample#talks] Work' });
  const latest = await stage.ask('true', { subject: '[sample#talks] Another matter' });
  const warnings = () => stage.mailsLike(/Thread alice@example\.com-sample#talks/);
  stage.forward(41);
  await stage.sweep();
  const warning = await stage.mailLike(/Thread alice@example\.com-sample#talks/);
  assert.equal(warning.subject, 'Re: [sample#talks] Another matter');
  assert.equal(warning.inReplyTo, latest.inReplyTo);
  assert.deepEqual(warning.references, latest.references);
  assert.doesNotMatch(warning.references.join(' '), new RegExp(one.inReplyTo ?? ''));

  const answer = await stage.ask(`echo still $((6*7))\n\n${quoted(warning)}`, {
    subject: warning.subject,
    inReplyTo: warning,
  });
  ranWith(answer.text, 'still 42');
  stage.forward(35);
  await stage.sweep();
  assert.equal(await warnings(), 1);
  stage.forward(6);
  await stage.sweep();
  await until(async () => (await warnings()) === 2);
  // Of that thread, and not of that conversation.
  const extended = await stage.ask('extend', { subject: one.subject, inReplyTo: one });
  const { last_activity_at: last } = (await stage.session(threadOf('talks'))) ?? {};
  assert.ok(last);
  assert.match(
    extended.text,
    new RegExp(`^Kept until (?:\\w{3} \\d+ \\w{3}, )?${clock(last.getTime() + 45 * MINUTE_MS)}`),
  );
  stage.forward(35);
  await stage.sweep();
  assert.equal(await warnings(), 2);
});

test('extend in an answer to the warning, with the warning quoted below, keeps the container', async () => {
  await stage.ask('true', { subject: '[sample#extended] Work' });
  const thread = threadOf('extended');
  const kept = (until: number) => new RegExp(`^Kept until (?:\\w{3} \\d+ \\w{3}, )?${clock(until)}`);
  stage.forward(41);
  await stage.sweep();
  const warning = await stage.mailLike(/Thread alice@example\.com-sample#extended/);
  const answer = await stage.ask(`EXTEND.\n\n${quoted(warning)}`, {
    subject: warning.subject,
    inReplyTo: warning,
  });
  const once = await stage.session(thread);
  assert.match(answer.text, kept((once?.last_activity_at.getTime() ?? 0) + 45 * MINUTE_MS));
  stage.forward(35);
  await stage.sweep();
  assert.equal((await stage.session(thread))?.is_active, true);
  stage.forward(6);
  await stage.sweep();
  await until(async () => (await stage.mailsLike(/Thread alice@example\.com-sample#extended/)) === 2);

  const longer = await stage.ask('extend 2h', { inReplyTo: warning, subject: warning.subject });
  const twice = await stage.session(thread);
  assert.match(longer.text, kept(twice?.keep_until?.getTime() ?? 0));
  const hours = ((twice?.keep_until?.getTime() ?? 0) - stage.now().getTime()) / 3_600_000;
  assert.ok(hours > 1.98 && hours <= 2, `${hours}`);
  stage.forward(100);
  await stage.sweep();
  assert.equal((await stage.session(thread))?.is_active, true);
  const capped = await stage.ask('extend 99h', { inReplyTo: warning, subject: warning.subject });
  assert.match(capped.text, /Longer is not possible: 6 h after the last command/);
  const last = await stage.session(thread);
  const mostMs = (last?.last_command_at.getTime() ?? 0) + 6 * 60 * MINUTE_MS;
  assert.equal(last?.keep_until?.getTime(), mostMs);
  assert.match(capped.text, kept(mostMs));
  stage.forward(4 * 60);
  await stage.sweep();
  stage.forward(6);
  await stage.sweep();
  assert.equal((await stage.session(thread))?.is_active, false);

  const restored = await stage.ask('extend', { inReplyTo: warning, subject: warning.subject });
  assert.match(restored.text, /^Restored, and kept until /);
  assert.equal((await stage.session(thread))?.is_active, true);
});

test('a clock that jumps forward an hour warns first; where nothing was changed that is remembered, without a commit', async () => {
  await stage.ask('true', { subject: '[sample#clock] Work' });
  stage.forward(60);
  await stage.sweep();
  const warning = await stage.mailLike(/Thread alice@example\.com-sample#clock/);
  assert.match(warning.text, /Nothing in it is changed, and everything is pushed\./);
  assert.equal((await stage.session(threadOf('clock')))?.is_active, true);
  stage.forward(6);
  await stage.sweep();
  const ended = await stage.session(threadOf('clock'));
  assert.deepEqual([ended?.is_active, ended?.end_reason], [false, 'idle']);

  const state = await saved(threadOf('clock'));
  const upstream = execFileSync('git', ['ls-remote', stage.bot.upstream.url, 'HEAD']).toString().slice(0, 40);
  assert.deepEqual([state.commit_hash, state.files_modified], [upstream, 0]);
  const { redisUrl } = (await connectEmbedded(stage.bot.dataDir)) ?? {};
  const redis = new Redis(redisUrl as string);
  try {
    const known = JSON.parse((await redis.get(`container:state:${threadOf('clock')}`)) ?? '{}') as object;
    assert.deepEqual({ ...known, commit: upstream, isActive: false }, known);
  } finally {
    redis.disconnect();
  }
  const again = await stage.ask('git log --format=%s; git status --short', {
    subject: '[sample#clock] Work',
  });
  assert.match(again.text, /^Your work of .* was restored: no files were changed in it\.$/m);
  ranWith(again.text, 'Start');
});

test("a user's and a repository's own timeout are in force from the next sweep, the repository's first", async () => {
  const { db } = stage.bot.app;
  const warnings = () => stage.mailsLike(/Thread alice@example\.com-sample#short/);
  await stage.ask('true', { subject: '[sample#short] Work' });
  stage.forward(16);
  await stage.sweep();
  await registerUser(db, ALICE, 'Alice');
  await setUser(db, ALICE, { idleTimeoutMs: 120 * MINUTE_MS });
  stage.forward(30);
  await stage.sweep();
  assert.equal(await warnings(), 0);
  await setRepository(db, 'sample', { idleTimeoutMs: 15 * MINUTE_MS });
  await stage.sweep();
  await until(async () => (await warnings()) === 1);
  await setRepository(db, 'sample', { idleTimeoutMs: null });
  stage.forward(60);
  await stage.sweep();
  assert.equal(await warnings(), 1);
  assert.equal((await stage.session(threadOf('short')))?.is_active, true);
  stage.forward(10);
  await stage.sweep();
  await until(async () => (await warnings()) === 2);
  stage.forward(6);
  await stage.sweep();
  assert.equal((await stage.session(threadOf('short')))?.is_active, false);
  await setUser(db, ALICE, { idleTimeoutMs: null });
});

test('a repository that was removed meanwhile: its owner is told what becomes of the work, which is there when it is added again', async () => {
  const { db } = stage.bot.app;
  const at = { subject: '[sample#out] Work' };
  await stage.ask('echo work > work.txt', at);
  await removeRepository(db, 'sample');
  stage.forward(41);
  await stage.sweep();
  const warning = await stage.mailLike(
    /^Your container goes [^]*removed sample from Threadbox[^]*It stays for 7 days\.[^]*#out$/m,
  );
  assert.match(warning.text, /Your work is saved first: 1 file changed\./);
  assert.doesNotMatch(warning.text, /extend/);
  stage.forward(6);
  await stage.sweep();
  assert.equal((await stage.session(threadOf('out')))?.is_active, false);
  stage.forward(6 * 24 * 60);
  await stage.sweep();
  await stage.mailLike(
    /^Your saved work in sample expires [^]*removed sample from Threadbox, so it cannot be kept/,
  );
  await addRepository(db, { name: 'sample', url: stage.bot.upstream.url, branch: null, threadBy: null });
  ranWith((await stage.ask('cat work.txt', at)).text, 'work');
});
