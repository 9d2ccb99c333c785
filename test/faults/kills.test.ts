import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { startProcessStage } from '../support/process-stage.ts';
import { FAULTLESS, isLong, randomOf, seed, startFlow } from './flow.ts';

const [kills, mails] = isLong ? [200, 50] : [3, 6];

test(`a bot killed ${kills} times at random while ${mails} mails flow loses none, runs none twice, and answers all`, async (t) => {
  t.diagnostic(`FAULT_SEED=${seed}`);
  const random = randomOf(seed);
  const stage = await startProcessStage();
  t.after(() => stage.close());
  const flow = startFlow(stage, random);
  let bot = stage.spawn('bot');
  let sent = 0;
  let killedReady = 0;
  let killedAtWork = 0;
  for (let kill = 0; kill < kills; kill += 1) {
    // Mostly amid the work on a mail; now and then amid the start, where what the kill before has left is taken up.
    const isEarly = random() < 0.2;
    if (!isEarly) await bot.ready();
    for (; sent * kills < (kill + 1) * mails; sent += 1) await flow.send();
    await pause(random() * (isEarly ? 2_500 : 1_500));
    if (bot.isReady()) killedReady += 1;
    const open = await stage.db('commands').whereIn('state', ['queued', 'running']).first();
    if (open) killedAtWork += 1;
    await bot.kill('SIGKILL');
    bot = stage.spawn('bot');
  }
  await flow.answered(120_000);
  await flow.filed(120_000);
  const tally = await flow.tally();
  t.diagnostic(JSON.stringify({ kills, killedReady, killedAtWork, ...tally }));
  const { sentTwice, ...rest } = tally;
  assert.deepEqual(rest, { mailsIn: mails, commandsStarted: mails, answersOut: mails, ...FAULTLESS });
  assert.ok(sentTwice <= kills);
});
