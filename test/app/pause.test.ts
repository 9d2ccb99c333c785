import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { threadbox } from '../cli/threadbox.ts';
import { ALICE, BOB } from '../support/app.ts';
import type { BotProcess } from '../support/bot-process.ts';
import { inContainer, untilInside } from '../support/engine.ts';
import { BOT, startProcessStage, type ProcessStage } from '../support/process-stage.ts';
import { ranWith } from '../support/ran-with.ts';
import { until } from '../support/until.ts';

let stage: ProcessStage;
let bot: BotProcess;
before(async () => {
  stage = await startProcessStage();
  bot = stage.spawn('bot');
  await bot.ready();
});
after(() => stage.close());

/** What an operator types. @returns what it prints */
async function operate(...words: string[]): Promise<string> {
  const { code, out, err } = await threadbox(words, { env: stage.settings('bot') });
  assert.equal(code, 0, err);
  return out;
}

const delays = (): { to: string[]; source: string }[] =>
  stage.smtp.taken().filter(({ source }) => /^X-Threadbox: delay\r?$/m.test(source));

test('a pause lets run what runs, starts nothing else, survives a restart, and after it all goes on in order', async () => {
  const running = await stage.send(
    ALICE,
    '[sample] Long',
    'touch /workspace/began; while [ ! -e /workspace/go ]; do sleep 0.05; done; echo whole',
  );
  const container = await until(async () => {
    const session = await stage.db('container_sessions').where({ is_active: true }).first();
    return session?.container_id as string | undefined;
  });
  await untilInside(container, '[ -e /workspace/began ]');

  assert.match(
    await operate('pause', '--reason', 'the machine is moved'),
    /^Paused since .*\n.* threadbox resume\n$/,
  );
  const sent = [];
  for (const index of [1, 2, 3]) {
    sent.push(await stage.send(ALICE, `[sample] ${index}`, `echo ${index} | tee -a /workspace/order`));
  }
  const bobs = await stage.send(BOB, '[sample] Other', 'echo $((6*7)) for bob');
  await until(() => delays().some(({ to }) => to[0] === BOB));
  const status = await stage.answerTo(await stage.send(ALICE, '[sample] Look', 'status'));
  assert.match(status.text, /waiting|queue/i);

  await bot.kill('SIGKILL');
  assert.equal(
    await inContainer(container, 'touch /workspace/go; cat /workspace/order 2>/dev/null || true'),
    '',
  );
  bot = stage.spawn('bot');
  await bot.ready();
  const told = await until(() => bot.lines.find(({ msg }) => msg.startsWith('Threadbox is paused')));
  assert.equal(told['reason'], 'the machine is moved');
  // What ran before the pause is answered under it, and nothing behind it in its thread begins.
  ranWith((await stage.answerTo(running)).text, 'whole');
  await until(() => delays().some(({ to }) => to[0] === ALICE));
  assert.equal((await stage.db('commands').where({ state: 'queued' })).length, 4);

  assert.match(
    await operate('resume'),
    /^The pause since .* \(the machine is moved\) is over\.\n.*now: 4\n$/,
  );
  for (const [index, id] of sent.entries()) {
    await until(async () => (await stage.answersTo(id)).some(({ text }) => text.startsWith('Exit code 0')));
    const answers = await stage.answersTo(id);
    ranWith(answers.at(-1)?.text ?? '', String(index + 1));
  }
  await until(async () => (await stage.answersTo(bobs)).some(({ text }) => text.includes('42 for bob')));
  assert.equal(await inContainer(container, 'cat /workspace/order'), '1\n2\n3\n');
  assert.deepEqual(
    delays()
      .map(({ to }) => to[0])
      .toSorted(),
    [ALICE, BOB],
  );
  assert.equal(await operate('resume'), 'Threadbox was not paused.\n');
});

test('what became of each mail is shown, and where it lies in the mailbox says the same', async () => {
  await stage.send('mallory@elsewhere.test', '[sample] Let me in', 'id');
  await until(async () => (await stage.db('messages').where({ outcome: 'dropped' })).length === 1);
  const shown = await operate('inbox', '--limit', '3');
  assert.match(shown, /^RECEIVED +SENDER +SUBJECT +OUTCOME +REASON +THREAD\n/);
  const [newest = '', control = '', command = ''] = shown.split('\n').slice(1);
  assert.match(
    newest,
    /UTC +mallory@elsewhere\.test +\[sample\] Let me in +dropped +the sender is not allowed$/,
  );
  assert.match(control, /alice@example\.com +\[sample\] Look +answered +status +alice@example\.com-sample$/);
  assert.match(
    command,
    /bob@example\.com +\[sample\] Other +command +finished, exit code 0 +bob@example\.com-sample$/,
  );

  const records = JSON.parse(await operate('inbox', '--refused', '--json')) as Record<string, unknown>[];
  assert.deepEqual(
    records.map(({ address, outcome }) => ({ address, outcome })),
    [{ address: 'mallory@elsewhere.test', outcome: 'dropped' }],
  );
  const wrong = await threadbox(['inbox', '--limit', 'all'], { env: stage.settings('bot') });
  assert.equal(wrong.code, 2);
  assert.match(wrong.err, /--limit: expected a whole number from 1 to 10000, got all/);

  await until(
    async () => (await stage.db('messages').where({ direction: 'in', filed_at: null })).length === 0,
  );
  const { INBOX = [], Processed = [], Refused = [] } = await stage.dovecot.listed(BOT);
  assert.deepEqual([INBOX.length, Processed.length], [0, 6]);
  assert.deepEqual(Refused, [{ uid: 1, subject: '[sample] Let me in', flags: ['\\Seen'] }]);
});
