import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { test } from 'node:test';
import { installationId } from '../../src/store/database.ts';
import { ALICE } from '../support/app.ts';
import { engine } from '../support/engine.ts';
import { ranWith } from '../support/ran-with.ts';
import { startSeparateBot, type SeparateBot } from '../support/separate-bot.ts';
import { until } from '../support/until.ts';

/** More of them by hand: LIFECYCLE_KILLS=100. `npm test` has kills before and after each kind of step: kill-steps.test.ts. */
const KILLS = Number(process.env['LIFECYCLE_KILLS'] ?? 50);
/** From the mail to the end of the removal that follows it. */
const CYCLE_MS = 4_000;
const THREAD = 'alice@example.com-sample';
const SHORT = {
  CONTAINER_IDLE_TIMEOUT_MS: '1000',
  CONTAINER_GRACE_PERIOD_MS: '300',
  CONTAINER_CHECK_INTERVAL_MS: '100',
};

async function ask(bot: SeparateBot, body: string): Promise<string> {
  const sent = await bot.send(ALICE, '[sample] Journal', body);
  const [[answer] = []] = await bot.answersTo(ALICE, [sent]);
  return answer?.text ?? '';
}

const removed = (bot: SeparateBot) =>
  until(
    async () =>
      (await bot.db('container_sessions').where({ thread_id: THREAD, is_active: true })).length === 0 &&
      (await bot.db('commands').whereIn('state', ['queued', 'running'])).length === 0,
  );

test('killed at any moment of creating, saving, removing and restoring: no work lost, nothing left over', async (t) => {
  const bot = await startSeparateBot(SHORT);
  t.after(() => bot.close());
  for (let round = 1; round <= KILLS; round += 1) {
    await bot.send(ALICE, '[sample] Journal', `echo ${round} >> journal.txt`);
    // Whatever happens to be going on then is what the kill meets.
    await pause(Math.random() * CYCLE_MS);
    await bot.kill('SIGKILL');
    await bot.start();
  }
  await removed(bot);
  const everyRound = Array.from({ length: KILLS }, (_, index) => String(index + 1)).join('\n');
  ranWith(await ask(bot, 'cat journal.txt'), everyRound);
  await removed(bot);

  const filters = JSON.stringify({ label: [`threadbox.instance=${await installationId(bot.db)}`] });
  assert.deepEqual(await engine.listContainers({ all: true, filters }), []);
  const { Volumes: volumes } = await engine.listVolumes({ filters });
  assert.equal(volumes.length, 1);
  const saves = await bot.db('saved_states').where({ state: 'current' });
  assert.deepEqual(
    saves.map(({ volume_name: name }) => name as string),
    volumes.map(({ Name }) => Name),
  );
  await engine.getVolume(volumes[0]?.Name ?? '').remove();
  ranWith(await ask(bot, 'cat journal.txt'), everyRound);
});
