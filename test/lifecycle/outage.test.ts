import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startEngineProxy, type EngineProxy } from '../support/engine-proxy.ts';
import { ranWith } from '../support/ran-with.ts';
import { namesBelow } from '../support/names-below.ts';
import { until } from '../support/until.ts';
import { openStage, type Stage } from './stage.ts';

const ADMIN = 'admin@example.com';
let proxy: EngineProxy;
let stage: Stage;
before(async () => {
  proxy = await startEngineProxy();
  // As after a start of the machine, where the engine takes longer than the bot.
  await proxy.cut();
  stage = await openStage(
    { DOCKER_HOST: proxy.dockerHost, ADMIN_ADDRESSES: ADMIN },
    { delayToldAfterMs: 100 },
  );
});
after(async () => {
  await stage.close();
  await proxy.close();
});

const at = (label: string) => ({ subject: `[sample#${label}] Work` });
const threadOf = (label: string) => `alice@example.com-sample#${label}`;
const stateOf = async (label: string) => (await stage.session(threadOf(label)))?.state;

/** A sweep in the middle of which something goes: what it says of that is in the bot's log. */
const troubledSweep = () => stage.sweep().catch(() => undefined);

/** Something is being taken into a store. */
async function isSaving(): Promise<boolean> {
  const saves = join(stage.bot.dataDir, 'saves', stage.bot.app.installation);
  return (await namesBelow(saves)).some((name) => name.includes('incoming-'));
}

async function warned(label: string): Promise<void> {
  stage.forward(41);
  await stage.sweep();
  await stage.mailLike(new RegExp(`Thread ${threadOf(label)}`));
  stage.forward(6);
}

test('a bot that starts before its engine reads mail, tells who waits for it, and runs what they have sent', async () => {
  const answering = stage.ask('echo $((6 * 7))', at('early'));
  await stage.mailLike(/^Your command is waiting[^]*Docker does not answer/);
  await proxy.mend();
  ranWith((await answering).text, '42');
  assert.equal(await stage.mailsLike(/^Your command is waiting/), 1);
});

test('with Docker away nothing is removed and nothing lost; afterwards the removal is made up for', async () => {
  await stage.ask('echo work > work.txt', at('away'));
  await warned('away');
  await proxy.cut();
  await troubledSweep();
  assert.equal(await stateOf('away'), 'active');
  await proxy.mend();
  stage.forward(2);
  await stage.sweep();
  assert.equal(await stateOf('away'), 'ended');
  assert.equal(await stage.mailsLike(/could not be saved/), 0);
  ranWith((await stage.ask('cat work.txt', at('away'))).text, 'work');
});

test('with Docker gone while it is saved, and for minutes, owner and admin hear of it, once; later it is saved and removed', async () => {
  await stage.ask('echo work > work.txt', at('long'));
  await warned('long');
  await stage.inside(
    'cd /workspace/sample; head -c 20000000 /dev/urandom > more; sha256sum more > sum',
    threadOf('long'),
  );
  const sweeping = troubledSweep();
  await until(isSaving);
  await proxy.cut();
  await sweeping;
  assert.equal(await stateOf('long'), 'active');
  for (let minute = 0; minute < 5; minute += 1) {
    await troubledSweep();
    stage.forward(2);
  }
  assert.equal(await stateOf('long'), 'save_failed');
  await stage.mailLike(/^Your work in sample could not be saved yet[^]*Docker does not answer[^]*#long/);
  await stage.mailLike(/^A save failed in sample[^]*#long[^]*Docker does not answer/, ADMIN);
  await proxy.mend();
  await stage.sweep();
  assert.equal(await stateOf('long'), 'ended');
  assert.equal(await stage.mailsLike(/could not be saved yet[^]*#long/), 1);
  assert.equal(await stage.mailsLike(/^A save failed in sample[^]*#long/, ADMIN), 1);
  ranWith((await stage.ask('cat work.txt; sha256sum --check sum', at('long'))).text, 'work\nmore: OK');
});

/** The one before it loses Docker in a save, too, and for longer. */
if (process.env['FAULTS'] === 'long') {
  test('Docker going in the middle of a save leaves the save before it as it was, and no half of the new one', async () => {
    await stage.ask('head -c 1000000 /dev/urandom > big.bin; echo work > work.txt', at('cut'));
    await until(async () => (await stage.session(threadOf('cut')))?.is_saved);
    await stage.ask('head -c 30000000 /dev/urandom > other.bin; sha256sum *.bin > sums', at('cut'));
    await until(isSaving);
    await proxy.cut();
    await until(async () => !(await isSaving()));
    assert.equal((await stage.session(threadOf('cut')))?.is_saved, false);
    await proxy.mend();
    await warned('cut');
    await stage.sweep();
    assert.equal(await stateOf('cut'), 'ended');
    ranWith((await stage.ask('sha256sum --check sums', at('cut'))).text, 'big.bin: OK\nother.bin: OK');
  });
}

const saved = () => once(stage.bot.app.lifecycle.events, 'container:saved');

for (const [label, words, moment] of [
  ['middle', 'in the middle of a save', () => until(isSaving)],
  ...(process.env['FAULTS'] === 'long'
    ? [['between', 'between the save and the removal', saved] as const]
    : []),
] as const) {
  test(`PostgreSQL killed ${words}: the removal is made up for, and the work is there`, async () => {
    await stage.ask('echo work > work.txt', at(label));
    await warned(label);
    // What no command has told of, so that there is something to save.
    await stage.inside(
      'cd /workspace/sample; head -c 20000000 /dev/urandom > more; sha256sum more > sum',
      threadOf(label),
    );
    const isMoment = moment();
    const sweeping = troubledSweep();
    await isMoment;
    const pid = await readFile(join(stage.bot.dataDir, 'postgres', 'data', 'postmaster.pid'), 'utf8');
    process.kill(Number(pid.split('\n')[0]), 'SIGKILL');
    await sweeping;
    await until(async () => {
      await troubledSweep();
      return (await stateOf(label).catch(() => undefined)) === 'ended';
    });
    ranWith((await stage.ask('cat work.txt; sha256sum --check sum', at(label))).text, 'work\nmore: OK');
  });
}
