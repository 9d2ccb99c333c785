import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { sendToBot } from '../../src/cli/write-to-bot.ts';
import { ALICE, BOB } from '../support/app.ts';
import { ranWith } from '../support/ran-with.ts';
import { until } from '../support/until.ts';
import { openStage, type Stage } from './stage.ts';

let stage: Stage;
before(async () => {
  stage = await openStage({ WORKSPACE_LIMIT: 'measured', WORKSPACE_SIZE_BYTES: String(32 * 2 ** 20) });
});
after(() => stage.close());

const inThread = (label: string) => ({ subject: `[sample#${label}] Words` });
const threadOf = (label: string) => `alice@example.com-sample#${label}`;

async function send(label: string, body: string): Promise<void> {
  await sendToBot(stage.bot.userAt(ALICE), { to: stage.bot.botAddress, body, ...inThread(label) });
}

const states = async (label: string): Promise<string[]> =>
  stage.bot.app
    .db('commands')
    .where({ thread_id: threadOf(label) })
    .orderBy('id')
    .pluck('state');

test('cancel ends what runs, with all it started; its answer has the output so far, and the next one runs', async () => {
  await stage.ask('sleep 800 >/dev/null 2>&1 &', inThread('one'));
  await send(
    'one',
    'echo begun; echo work > kept; setsid sleep 900 & (sleep 901 &); sleep 902; echo not reached',
  );
  await stage.untilRuns('sleep 902', threadOf('one'));
  await send('one', 'echo the next');
  await until(async () => (await states('one')).includes('queued'));
  // Nobody else's words touch it.
  const bobs = await stage.ask('cancel', { ...inThread('one'), from: BOB });
  assert.match(bobs.text, /^There is no container now for sample/);
  const said = await stage.ask('Cancel', inThread('one'));
  assert.match(said.text, /^Cancelled: the running command\n/);
  assert.match(said.text, /This one runs next:\n\n {2}\* echo the next\n/);
  const answer = await stage.mailLike(/^Cancelled after /);
  assert.match(answer.text, /\$ echo begun; [^]*\nbegun\n[^]*1 file changed/);
  assert.match(
    answer.text,
    /\n1 process of earlier commands goes on in the background: sleep 800 \(pid \d+\)\.\n/,
  );
  assert.doesNotMatch(answer.text, /^not reached$/m);
  ranWith((await stage.mailLike(/\$ echo the next\n/)).text, 'the next');
  assert.deepEqual(await states('one'), ['finished', 'cancelled', 'finished']);
  const left = await stage.inside('pgrep -axf "sleep [0-9]*" | cut -d" " -f2-', threadOf('one'));
  assert.equal(left, 'sleep 800\n');
  assert.match((await stage.ask('log', inThread('one'))).text, /setsid sleep 900[^]*cancelled · /);
  assert.match((await stage.ask('cancel', inThread('one'))).text, /^Nothing is running\n/);
});

test('a first line sets the time limit of the command below it; what is too long is refused', async () => {
  const stopped = await stage.ask('timeout 1s\n\necho begun; sleep 903', inThread('one'));
  assert.match(stopped.text, /^Stopped at the time limit after [^]*\n\n\$ echo begun; sleep 903\n\nbegun\n/);
  assert.match(stopped.text, /It was given 1\.0 s\. A mail that begins with the line "timeout 2s" gives/);
  assert.match(
    (await stage.ask('timeout 9h\nls', inThread('one'))).text,
    /^This command may not take so long\n/,
  );
});

test('cancel all ends what runs and what waits; control words are done all the same', async () => {
  await send('all', 'trap "" TERM; echo deaf; while :; do sleep 0.3; done');
  await stage.untilRuns('sleep 0.3', threadOf('all'));
  for (const body of ['touch second', 'touch third', 'save']) await send('all', body);
  await until(async () => (await states('all')).filter((state) => state === 'queued').length === 3);
  const said = await stage.ask('cancel all', inThread('all'));
  assert.match(said.text, /^Cancelled: the running command and 2 waiting commands\n/);
  assert.match(said.text, /\* touch second\n {2}\* touch third\n[^]*Still to be done: save\./);
  assert.match((await stage.ask('cancel', inThread('all'))).text, /It is being ended since your first word/);
  await stage.mailLike(/^Cancelled after [^]*\ndeaf\n/);
  await stage.mailLike(/^Saved; nothing is changed/);
  assert.deepEqual(await states('all'), ['cancelled', 'cancelled', 'cancelled', 'finished']);
  assert.equal(await stage.inside('ls /workspace/sample', threadOf('all')), 'README.md\n');
});

test('where a workspace is only measured, a command that adds too much is stopped and told so; another makes room', async () => {
  const { text } = await stage.ask(
    'while sleep 0.1; do head -c 20000000 /dev/zero >> ../big; done',
    inThread('one'),
  );
  assert.match(text, /^Stopped: its workspace became too large after /);
  assert.match(
    text,
    /Workspace too large: it takes \d+ MB and may take 32 MB, so the command was\sstopped\./,
  );
  assert.match(text, /threadbox repo set sample --workspace 64m/);
  const next = await stage.ask('rm ../big; echo gone', inThread('one'));
  ranWith(next.text, 'gone');
  assert.doesNotMatch(next.text, /too large/);
  assert.match((await stage.ask('log', inThread('one'))).text, /head -c 20000000[^]*cancelled · /);
});
