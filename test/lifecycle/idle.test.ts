import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setRepository } from '../../src/store/repositories.ts';
import { engine } from '../support/engine.ts';
import { ranWith } from '../support/ran-with.ts';
import { until } from '../support/until.ts';
import { openStage, type Stage } from './stage.ts';

let stage: Stage;
before(async () => {
  stage = await openStage();
});
after(() => stage.close());

test('an idle container is warned of once, saved and removed; the next command finds all its work again', async () => {
  const first = await stage.ask('echo changed > README.md\necho new > "a new file"\ngit branch idea');
  const begun = await stage.session();
  assert.ok(begun);
  stage.forward(39);
  await stage.sweep();
  assert.equal(await stage.mailsLike(/^Your container goes/), 0);

  stage.forward(1.1);
  await stage.sweep();
  await stage.sweep();
  const warning = await stage.mailLike(
    /^Your container goes (?:at|on \w{3} \d+ \w{3},) \d\d:\d\d UTC, in [45] minutes/,
  );
  assert.match(warning.text, /2 changed files|2 files changed/);
  assert.match(warning.text, /^ *extend$/m);
  assert.equal(warning.subject, first.subject);
  assert.equal(warning.inReplyTo !== null && first.references.includes(warning.inReplyTo), true);
  assert.ok(await stage.isThere(begun.container_id));

  stage.forward(5);
  await stage.sweep();
  assert.equal(await stage.mailsLike(/^Your container goes/), 1);
  assert.equal(await stage.isThere(begun.container_id), false);
  const ended = await stage.session();
  assert.deepEqual([ended?.state, ended?.is_active, ended?.end_reason], ['ended', false, 'idle']);

  const again = await stage.ask(
    'cat README.md "a new file"; git branch --list idea; git log -1 --format=%B; git status --short',
  );
  assert.match(again.text, /^Your work of (?:\w{3} \d+ \w{3}, )?\d\d:\d\d UTC was restored: 2 files\.$/m);
  ranWith(again.text, /^changed\nnew\n {2}idea\nAuto-save: Container cleanup after idle timeout\n\n/m);
  assert.match(
    again.text,
    /\n\nThread: alice@example\.com-sample\nTimestamp: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\nFiles modified: 2\n\nThis commit was automatically created when the container was cleaned up\.\n/,
  );
  const quiet = await stage.ask('true');
  assert.doesNotMatch(quiet.text, /was restored/);
});

test('without the volume the saved state alone brings everything back', async () => {
  await stage.ask(
    'echo kept > kept.txt; echo "SECRET=1" > .env; echo .env > .gitignore; git stash list; chmod +x kept.txt',
  );
  await stage.ask('stop');
  const stopped = await stage.session();
  assert.equal(stopped?.end_reason, 'stopped');
  await engine.getVolume(stopped?.volume_name ?? '').remove();
  const again = await stage.ask('cat kept.txt .env; test -x kept.txt && echo executable');
  ranWith(again.text, /^kept\nSECRET=1\nexecutable$/m);
  assert.match(again.text, /^Your work of .* was restored: \d+ files?\.$/m);
});

test('extend in an answer to the warning, with the warning quoted below, keeps the container', async () => {
  await stage.ask('true', { subject: '[sample#extended] Work' });
  const thread = 'alice@example.com-sample#extended';
  stage.forward(41);
  await stage.sweep();
  const warning = await stage.mailLike(/Thread alice@example\.com-sample#extended/);
  const quoted = warning.text
    .split('\n')
    .map((line) => `> ${line}`)
    .join('\n');
  const answer = await stage.ask(`EXTEND.\n\nOn Sunday, Threadbox wrote:\n${quoted}`, {
    subject: warning.subject,
    inReplyTo: warning,
  });
  assert.match(answer.text, /^Kept until (?:\w{3} \d+ \w{3}, )?\d\d:\d\d UTC/);
  stage.forward(39);
  await stage.sweep();
  assert.equal((await stage.session(thread))?.is_active, true);
  stage.forward(2);
  await stage.sweep();
  await until(async () => (await stage.mailsLike(/Thread alice@example\.com-sample#extended/)) === 2);

  const longer = await stage.ask('extend 2h', { inReplyTo: warning, subject: warning.subject });
  assert.match(longer.text, /^Kept until /);
  stage.forward(100);
  await stage.sweep();
  assert.equal((await stage.session(thread))?.is_active, true);
  const capped = await stage.ask('extend 3 days', { inReplyTo: warning, subject: warning.subject });
  assert.match(capped.text, /Longer is not possible: 12 h after the last command/);
  stage.forward(13 * 60);
  await stage.sweep();
  stage.forward(6);
  await stage.sweep();
  assert.equal((await stage.session(thread))?.is_active, false);

  const restored = await stage.ask('extend', { inReplyTo: warning, subject: warning.subject });
  assert.match(restored.text, /^Restored, and kept until /);
  assert.equal((await stage.session(thread))?.is_active, true);
});

test('a clock that jumps forward an hour, or a bot that was down, warns first', async () => {
  await stage.ask('true', { subject: '[sample#clock] Work' });
  stage.forward(60);
  await stage.sweep();
  await stage.mailLike(/Thread alice@example\.com-sample#clock/);
  assert.equal((await stage.session('alice@example.com-sample#clock'))?.is_active, true);
  stage.forward(6);
  await stage.sweep();
  assert.equal((await stage.session('alice@example.com-sample#clock'))?.is_active, false);
});

test("a repository's own timeout is in force from the next sweep", async () => {
  await stage.ask('true', { subject: '[sample#short] Work' });
  stage.forward(16);
  await stage.sweep();
  assert.equal(await stage.mailsLike(/Thread alice@example\.com-sample#short/), 0);
  await setRepository(stage.bot.app.db, 'sample', { idleTimeoutMs: 15 * 60_000 });
  await stage.sweep();
  await stage.mailLike(/Thread alice@example\.com-sample#short/);
  await setRepository(stage.bot.app.db, 'sample', { idleTimeoutMs: null });
});
