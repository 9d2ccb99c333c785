import assert from 'node:assert/strict';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { storePathOf } from '../../src/containers/saves-store.ts';
import { sendToBot } from '../../src/cli/write-to-bot.ts';
import { removeContainer, removeVolume } from '../../src/containers/container.ts';
import { setRepository } from '../../src/store/repositories.ts';
import { ALICE } from '../support/app.ts';
import { engine } from '../support/engine.ts';
import { ranWith } from '../support/ran-with.ts';
import { until } from '../support/until.ts';
import { openStage, type Stage } from './stage.ts';

let stage: Stage;
before(async () => {
  stage = await openStage({ SAVE_IGNORED_MAX_BYTES: '100000' });
});
after(() => stage.close());

const at = (label: string) => ({ subject: `[sample#${label}] Work` });
const threadOf = (label: string) => `alice@example.com-sample#${label}`;
const isSaved = (label: string) =>
  until(async () => {
    const session = await stage.session(threadOf(label));
    return session?.is_saved && session;
  });

test('a swap whose volume cannot be removed at once is finished later, and mixes nothing', async () => {
  await stage.ask('echo old > old.txt', at('held'));
  const session = await isSaved('held');
  const holder = await engine.createContainer({
    Image: process.env['CONTAINER_IMAGE'] ?? '',
    Entrypoint: ['sleep', 'infinity'],
    Labels: { 'threadbox.instance': stage.bot.app.installation },
    HostConfig: {
      NetworkMode: 'none',
      Mounts: [{ Type: 'volume', Source: session.volume_name, Target: '/held' }],
    },
  });
  await holder.start();
  const told = await stage.ask('fresh', at('held'));
  assert.match(told.text, /^"fresh" could not be done to its end[^]*finished by itself/);
  await stage.sweep();
  await holder.remove({ force: true });
  const next = await stage.ask('ls', at('held'));
  ranWith(next.text, 'README.md');
  await stage.ask('restore', at('held'));
  ranWith((await stage.ask('cat old.txt', at('held'))).text, 'old');
});

test('what is too large to be saved does not go with fresh unless it is asked for twice', async () => {
  await stage.ask('echo data > .gitignore; head -c 5000000 /dev/urandom > data', at('large'));
  const asked = await stage.ask('fresh', at('large'));
  assert.match(asked.text, /^Something would be lost: is that meant\?[^]*data/);
  ranWith((await stage.ask('stat -c %s data', at('large'))).text, '5000000');
  // Nor once its container has gone: only the volume has it then.
  await stage.ask('stop', at('large'));
  const askedAgain = await stage.ask('fresh', at('large'));
  assert.match(askedAgain.text, /^Something would be lost: is that meant\?[^]*data/);
  ranWith((await stage.ask('stat -c %s data', at('large'))).text, '5000000');
  await stage.ask('stop', at('large'));
  await stage.ask('fresh', at('large'));
  assert.match((await stage.ask('fresh', at('large'))).text, /^Your next command starts from the repository/);
  ranWith((await stage.ask('ls', at('large'))).text, 'README.md');
});

test('work that is not where it could be saved does not go with fresh unless it is asked for twice', async () => {
  await stage.ask('echo 1 > one.txt', at('moved'));
  await stage.ask('mv ../sample ../old; echo 2 > ../old/two.txt', at('moved'));
  const asked = await stage.ask('fresh', at('moved'));
  assert.match(
    asked.text,
    /^Something would be lost[^]*cannot be saved[^]*everything in \/workspace that is newer than the last save \(the directory sample is not there\)/,
  );
  ranWith((await stage.ask('cat /workspace/old/two.txt', at('moved'))).text, '2');
});

test('a workspace without its repository is never called saved: it is kept, and what comes back is told', async () => {
  await stage.ask('echo 1 > one.txt', at('gone'));
  await isSaved('gone');
  await stage.ask('mv ../sample ../old; echo 2 > ../old/two.txt', at('gone'));
  const asked = await stage.ask('save', at('gone'));
  assert.match(
    asked.text,
    /^"save" could not be done\n[^]*The directory sample is not in the workspace any more/,
  );
  assert.equal((await stage.session(threadOf('gone')))?.is_saved, false);
  assert.match((await stage.ask('stop', at('gone'))).text, /^Your work in sample could not be saved yet\n/);
  const told = await stage.mailLike(/^The directory of sample has gone from its workspace\n/);
  assert.match(told.text, /Your next command brings back your work of .* in its place/);
  const kept = await stage.session(threadOf('gone'));
  assert.equal(kept?.state, 'save_failed');
  assert.equal(await stage.isThere(kept?.container_id ?? ''), true);
  const back = await stage.ask('cat one.txt ../old/two.txt', at('gone'));
  ranWith(back.text, '1\n2');
  assert.match(back.text, /Its directory was not there any more; what happened after that time is not in it/);
});

test('container and volume lost while the bot was down, in a command: the saved state stands and comes back', async () => {
  await stage.ask('echo precious > precious.txt', at('down'));
  const session = await isSaved('down');
  const { subject } = at('down');
  const body = 'while :; do sleep 0.05; done';
  const sent = await sendToBot(stage.bot.userAt(ALICE), { to: stage.bot.botAddress, subject, body });
  await stage.untilRuns('sleep 0.05', threadOf('down'));
  await stage.bot.stop();
  await removeContainer(engine, session.container_name);
  await removeVolume(engine, session.volume_name);
  await stage.bot.start();
  await stage.mailLike(/while :; do sleep 0\.05; done[^]*(interrupted|not known)/i);
  assert.ok(sent);
  ranWith((await stage.ask('cat precious.txt', at('down'))).text, 'precious');
});

test('a state that cannot be restored stays as it is, whatever is done until it can', async () => {
  await stage.ask('echo kept > kept.txt', at('broken'));
  await stage.ask('stop', at('broken'));
  const session = await stage.session(threadOf('broken'));
  await removeVolume(engine, session?.volume_name ?? '');
  const { app, dataDir } = stage.bot;
  const store = storePathOf(join(dataDir, 'saves', app.installation), threadOf('broken'));
  await rename(join(store, 'objects', 'pack'), join(store, 'pack-away'));
  const told = await stage.ask('ls', at('broken'));
  assert.match(told.text, /The saved state could not be restored/);
  stage.forward(41);
  await stage.sweep();
  stage.forward(6);
  await stage.sweep();
  assert.equal(await stage.isThere(session?.container_name ?? ''), false);
  await rename(join(store, 'pack-away'), join(store, 'objects', 'pack'));
  ranWith((await stage.ask('cat kept.txt', at('broken'))).text, 'kept');
});

test('without the volume the saved state alone brings everything back, a .env of any size too', async () => {
  await stage.ask(
    `echo kept > kept.txt; chmod +x kept.txt; printf '%s\\n' '.env*' cache/ large/ > .gitignore
echo "SECRET=1" > .env; mkdir cache large; echo cached > cache/it
head -c 200000 /dev/urandom | tee .env.large > large/it; sha256sum .env.large > sum`,
    at('archive'),
  );
  const stopped = await stage.ask('stop', at('archive'));
  assert.match(stopped.text, /Too large for the saved state[^]*large/);
  const session = await stage.session(threadOf('archive'));
  assert.equal(session?.end_reason, 'stopped');
  await engine.getVolume(session?.volume_name ?? '').remove();
  const again = await stage.ask(
    'cat kept.txt .env cache/it; sha256sum --check sum; ls large; test -x kept.txt && echo executable',
    at('archive'),
  );
  assert.match(again.text, /^kept\nSECRET=1\ncached\n\.env\.large: OK\n.*large.*\nexecutable$/m);
  assert.match(again.text, /^Your work of .* was restored: \d+ files?\.$/m);
});

test('with restore: uncommitted, what was staged and what was not comes back so, and no commit is made', async () => {
  const { db } = stage.bot.app;
  await setRepository(db, 'sample', { restore: 'uncommitted' });
  await stage.ask(
    `echo staged > README.md; git add README.md; echo both >> README.md; echo loose > loose.txt
echo new > new.txt; git add new.txt; rm new.txt; ln -s README.md link; git add link`,
    at('uncommitted'),
  );
  const look = () =>
    stage.inside(
      'cd /workspace/sample; git status --porcelain=v2 --branch; git diff --cached; git diff; cat loose.txt; git log --format="%H %s"',
      threadOf('uncommitted'),
    );
  const before = await look();
  assert.match(before, /^1 MM .* README\.md$/m);
  assert.match(before, /^1 AD .* new\.txt$/m);
  assert.match((await stage.ask('stop', at('uncommitted'))).text, /^Stopped, and your work is saved/);
  const session = await stage.session(threadOf('uncommitted'));
  assert.equal(await stage.isThere(session?.container_id ?? ''), false);
  await engine.getVolume(session?.volume_name ?? '').remove();
  const again = await stage.ask('true', at('uncommitted'));
  assert.match(again.text, /^Your work of .* was restored: \d files\.$/m);
  assert.equal(await look(), before);
  assert.doesNotMatch(before, /Auto-save/);
  await setRepository(db, 'sample', { restore: 'commit' });
});

test('a longer timeout after a warning leads to a new warning, in its time', async () => {
  await stage.ask('true', at('raised'));
  stage.forward(41);
  await stage.sweep();
  const warnings = () => stage.mailsLike(new RegExp(`Thread ${threadOf('raised')}`));
  await until(async () => (await warnings()) === 1);
  await setRepository(stage.bot.app.db, 'sample', { idleTimeoutMs: 180 * 60_000 });
  stage.forward(100);
  await stage.sweep();
  assert.equal((await stage.session(threadOf('raised')))?.is_active, true);
  stage.forward(36);
  await stage.sweep();
  await until(async () => (await warnings()) === 2);
  stage.forward(6);
  await stage.sweep();
  assert.equal((await stage.session(threadOf('raised')))?.is_active, false);
  await setRepository(stage.bot.app.db, 'sample', { idleTimeoutMs: null });
});

test('an extend at the limit changes nothing, and says so', async () => {
  await stage.ask('true', at('limit'));
  assert.match((await stage.ask('extend 3 days', at('limit'))).text, /^Kept until /);
  stage.forward(11 * 60);
  const again = await stage.ask('extend 3 days', at('limit'));
  assert.match(again.text, /^It stays until .*, and cannot be kept longer/);
  stage.forward(60);
  await stage.sweep();
  stage.forward(6);
  await stage.sweep();
  assert.equal((await stage.session(threadOf('limit')))?.is_active, false);
});
