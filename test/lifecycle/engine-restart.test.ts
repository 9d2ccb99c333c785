import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { sendToBot } from '../../src/cli/write-to-bot.ts';
import { execText } from '../../src/containers/exec.ts';
import { networkName } from '../../src/containers/names.ts';
import { ALICE } from '../support/app.ts';
import { startPrivateEngine, type PrivateEngine } from '../support/private-engine.ts';
import { ranWith } from '../support/ran-with.ts';
import { until } from '../support/until.ts';
import { openStage, type Stage } from './stage.ts';

const GUARD_IMAGE = 'threadbox-guard:1';

const losetup = (...args: string[]): string => execFileSync('losetup', args, { encoding: 'utf8' });

let machine: PrivateEngine;
let stage: Stage;
before(async () => {
  machine = await startPrivateEngine();
  const DOCKER_HOST = machine.dockerHost;
  stage = await openStage(
    {
      DOCKER_HOST,
      CONTAINER_IMAGE: machine.image,
      GUARD_IMAGE,
      WORKSPACE_LIMIT: 'image',
      WORKSPACE_SIZE_BYTES: String(64 * 2 ** 20),
    },
    { delayToldAfterMs: 500 },
  );
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

/** A datagram to the host: what comes of it tells a guard from a port where nobody listens. */
async function toGateway(label: string): Promise<string> {
  const { IPAM } = await machine.docker.getNetwork(networkName(stage.bot.app.installation)).inspect();
  const gateway = IPAM?.Config?.[0]?.Gateway;
  return inside(
    label,
    `exec 2>&1 3<>/dev/udp/${gateway}/9; for try in 1 2 3; do echo x >&3 && sleep 0.2; done`,
  );
}

test('an engine elsewhere: no container is started until a helper has closed the host to them', async () => {
  const asked = stage.ask('echo runs', at('guard'));
  const { text } = await stage.mailLike(/network guard of the containers is not in place/);
  assert.match(text, /a helper container of threadbox-guard:1 failed: .*No such image/);
  assert.equal((await machine.docker.listContainers({ all: true })).length, 0);
  await machine.importGuardImage(GUARD_IMAGE);
  ranWith((await asked).text, 'runs');
  assert.match(await toGateway('guard'), /No route to host/);
  const way = 'the network guard is in place: set by a helper container';
  assert.ok(stage.bot.lines.some(({ msg }) => msg === way));
});

test('dockerd killed while a command runs, and started again with live-restore: the answer is whole, and the only one', async () => {
  await machine.stop('TERM');
  await machine.start('--live-restore');
  await begin('live');
  await machine.stop('KILL');
  await machine.start('--live-restore');
  assert.match(await toGateway('live'), /No route to host/);
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

test('a machine that was rebooted, with all containers and loop devices gone and the volumes there: the work is there', async () => {
  await begin('reboot');
  await machine.crash();
  const devices = losetup('-n', '-O', 'NAME,BACK-FILE').split('\n');
  const own = devices.filter((line) => line.includes(`${stage.bot.dataDir}/workspaces/`));
  assert.ok(own.length > 1);
  for (const line of own) losetup('-d', line.split(/\s/)[0] ?? '');
  await machine.start();
  for (const { Id } of await machine.docker.listContainers({ all: true })) {
    await machine.docker.getContainer(Id).remove({ force: true });
  }
  await wasInterrupted('reboot');
  ranWith((await stage.ask('cat work.txt', at('term'))).text, 'term');
  // Still on its disk, which is as small as it was set.
  const { text } = await stage.ask('df -m --output=size /workspace', at('term'));
  assert.match(text, /1M-blocks\n +5\d\n/);
});
