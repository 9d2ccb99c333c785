import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { startProcessStage } from '../support/process-stage.ts';
import { FAULTLESS, isLong, randomOf, seed, startFlow } from './flow.ts';

const [kills, mails] = isLong ? [200, 50] : [8, 10];

test(`a bot killed ${kills} times at random while ${mails} mails flow loses none, runs none twice, and answers all`, async (t) => {
  t.diagnostic(`FAULT_SEED=${seed}`);
  const random = randomOf(seed);
  const stage = await startProcessStage();
  t.after(() => stage.close());
  const flow = startFlow(stage, random);
  let bot = stage.spawn('bot');
  // A mailbox never looked at is read from the last hour on, which is all there is here: but it has a place first.
  await bot.ready();
  let sent = 0;
  let killedReady = 0;
  for (let kill = 0; kill < kills; kill += 1) {
    for (; sent * kills < (kill + 1) * mails; sent += 1) await flow.send();
    // Mostly in the middle of the start or of the first work after it; now and then there is time to get on.
    await pause(random() * (random() < 0.3 ? 5_000 : 2_000));
    if (bot.isReady()) killedReady += 1;
    await bot.kill('SIGKILL');
    bot = stage.spawn('bot');
  }
  await flow.answered(120_000);
  await flow.filed(60_000);
  const tally = await flow.tally();
  t.diagnostic(JSON.stringify({ kills, killedReady, ...tally }));
  const { sentTwice, ...rest } = tally;
  assert.deepEqual(rest, { mailsIn: mails, commandsStarted: mails, answersOut: mails, ...FAULTLESS });
  assert.ok(sentTwice <= kills);
});
