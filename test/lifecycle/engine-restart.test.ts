import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { sendToBot } from '../../src/cli/write-to-bot.ts';
import { execText } from '../../src/containers/exec.ts';
import { ALICE } from '../support/app.ts';
import { startPrivateEngine, type PrivateEngine } from '../support/private-engine.ts';
import { ranWith } from '../support/ran-with.ts';
import { until } from '../support/until.ts';
import { openStage, type Stage } from './stage.ts';

let machine: PrivateEngine;
let stage: Stage;
before(async () => {
  machine = await startPrivateEngine();
  stage = await openStage({ DOCKER_HOST: machine.dockerHost, CONTAINER_IMAGE: machine.image });
});
after(async () => {
  await stage.close();
  await machine.close();
});

const at = (label: string) => ({ subject: `[sample#${label}] Work` });
const threadOf = (label: string) => `alice@example.com-sample#${label}`;

async function inside(label: string, script: string): Promise<string> {
  const session = await stage.session(threadOf(label));
  const command = ['bash', '-c', script];
  return (await execText(machine.docker, session?.container_id ?? '', { command, env: {} })).stdout;
}

/** A command that counts itself, and ends when there is a file `go`; there is work from the one before. */
async function begin(label: string): Promise<void> {
  await stage.ask(`echo ${label} > work.txt`, at(label));
  const body = 'echo run >> ../runs; echo begins; until [ -e ../go ]; do sleep 0.05; done; echo ends';
  await sendToBot(stage.bot.userAt(ALICE), { to: stage.bot.botAddress, ...at(label), body });
  await until(async () => (await inside(label, 'cat /workspace/runs')) === 'run\n');
}

/** It is told so, once, with its output so far; it does not run again, and the work is there. */
async function wasInterrupted(label: string): Promise<void> {
  const told = new RegExp(`^Interrupted [^]*${threadOf(label)}`);
  const { text } = await stage.mailLike(told);
  assert.match(text, /^begins$/m);
  assert.doesNotMatch(text, /^ends$/m);
  ranWith((await stage.ask('cat work.txt ../runs', at(label))).text, `${label}\nrun`);
  assert.equal(await stage.mailsLike(told), 1);
}

test('dockerd killed while a command runs, and started again with live-restore: the answer is whole, and the only one', async () => {
  await machine.stop('TERM');
  await machine.start('--live-restore');
  await begin('live');
  await machine.stop('KILL');
  await machine.start('--live-restore');
  await inside('live', 'touch /workspace/go');
  const told = new RegExp(`^Exit code 0 [^]*begins\nends\n[^]*${threadOf('live')}`);
  await stage.mailLike(told);
  ranWith((await stage.ask('cat work.txt ../runs', at('live'))).text, 'live\nrun');
  assert.equal(await stage.mailsLike(told), 1);
});

for (const [signal, words] of [
  ['TERM', 'stopped with its containers'],
  ['KILL', 'killed, and ends its containers when it starts again'],
] as const) {
  test(`dockerd ${words} while a command runs: told as interrupted, not run again, and the work is there`, async () => {
    await machine.stop('TERM');
    await machine.start();
    const label = signal.toLowerCase();
    await begin(label);
    await machine.stop(signal);
    await machine.start();
    await wasInterrupted(label);
  });
}

test('a machine that was rebooted, with all containers gone and the volumes there: the work is there', async () => {
  await begin('reboot');
  await machine.crash();
  await machine.start();
  for (const { Id } of await machine.docker.listContainers({ all: true })) {
    await machine.docker.getContainer(Id).remove({ force: true });
  }
  await wasInterrupted('reboot');
  ranWith((await stage.ask('cat work.txt', at('term'))).text, 'term');
});
