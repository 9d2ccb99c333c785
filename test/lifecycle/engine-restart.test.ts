import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { sendToBot } from '../../src/cli/write-to-bot.ts';
import { execText } from '../../src/containers/exec.ts';
import { networkName } from '../../src/containers/names.ts';
import { installationId, type Db } from '../../src/store/database.ts';
import { ALICE } from '../support/app.ts';
import { namesBelow } from '../support/names-below.ts';
import { startPrivateEngine, type PrivateEngine } from '../support/private-engine.ts';
import { ranWith } from '../support/ran-with.ts';
import { startSeparateBot } from '../support/separate-bot.ts';
import { until } from '../support/until.ts';
import { openStage, type Stage } from './stage.ts';

const IS_LONG = process.env['FAULTS'] === 'long';
const GUARD_IMAGE = 'threadbox-guard:1';
const ON_IMAGES = { WORKSPACE_LIMIT: 'image', WORKSPACE_SIZE_BYTES: String(512 * 2 ** 20) };

const losetup = (...args: string[]): string => execFileSync('losetup', args, { encoding: 'utf8' });

let machine: PrivateEngine;
let stage: Stage;
before(async () => {
  machine = await startPrivateEngine();
  const DOCKER_HOST = machine.dockerHost;
  stage = await openStage(
    { DOCKER_HOST, CONTAINER_IMAGE: machine.image, GUARD_IMAGE, ...ON_IMAGES },
    { delayToldAfterMs: 500 },
  );
});
after(async () => {
  try {
    await stage.close();
  } finally {
    await machine.close();
  }
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
  // From there it is answered, whatever becomes of the engine.
  const isSaid = 'cat /workspace/runs; grep -hx begins /workspace/.threadbox/executions/*.out';
  await until(async () => (await inside(label, isSaid)) === 'run\nbegins\n');
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

/** Whoever is killed leaves more undone than who is stopped: that is for the long form of the fault suite. */
const ENDS = [
  ...(IS_LONG ? [['TERM', 'stopped with its containers'] as const] : []),
  ['KILL', 'killed, and ends its containers when it starts again'] as const,
];
for (const [signal, words] of ENDS) {
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

/** What the workspaces lie on goes with the machine's power. */
function loseDevices(dataDir: string): void {
  const devices = losetup('-n', '-O', 'NAME,BACK-FILE').split('\n');
  const own = devices.filter((line) => line.includes(`${dataDir}/workspaces/`));
  assert.ok(own.length > 1);
  for (const line of own) losetup('-d', line.split(/\s/)[0] ?? '');
}

/** Whoever ends a session waits before that is recorded: what is in an unlogged table no crash leaves there. */
async function holdUntilCrash(db: Db): Promise<() => Promise<boolean>> {
  await db.raw(`
    create unlogged table held as select 1;
    create function hold_until_crash() returns trigger language plpgsql as
      'begin perform pg_sleep(600) from held; return new; end';
    create trigger hold_until_crash before update on container_sessions for each row
      when (new.state = 'ended' and old.state <> 'ended') execute function hold_until_crash()`);
  return async () => (await db('pg_stat_activity').where({ wait_event: 'PgSleep' })).length > 0;
}

/** It takes a minute of a machine with two cores: two bots, and two starts of the engine. */
if (IS_LONG) {
  test('a machine that loses its power while a command runs, a save runs and a removal is half done: no work is lost, nothing is told or done twice', async (t) => {
    const { dockerHost: DOCKER_HOST, image: CONTAINER_IMAGE, docker } = machine;
    const bot = await startSeparateBot({ DOCKER_HOST, CONTAINER_IMAGE, GUARD_IMAGE, ...ON_IMAGES }, docker);
    t.after(() => bot.close());
    const subject = (label: string) => `[sample#${label}] Work`;
    const send = (label: string, body: string) => bot.send(ALICE, subject(label), body);
    const answers = async (sent: string) => (await bot.answersTo(ALICE, [sent]))[0] ?? [];
    const ask = async (label: string, body: string) =>
      (await answers(await send(label, body)))[0]?.text ?? '';
    const stateOf = async (label: string) =>
      (
        await bot
          .db('container_sessions')
          .where({ thread_id: threadOf(label) })
          .orderBy('id', 'desc')
          .first()
      )?.state as string | undefined;
    const saves = join(bot.dataDir, 'saves', await installationId(bot.db));
    const incoming = async () => (await namesBelow(saves)).filter((name) => name.includes('incoming-'));

    // Of another bot, on another machine, which sees that its engine is rebooted.
    await begin('reboot');
    for (const label of ['goes', 'runs']) await ask(label, `echo ${label} > work.txt`);
    const isHolding = await holdUntilCrash(bot.db);
    const stopping = await send('goes', 'stop');
    await until(isHolding);
    const running = await send(
      'runs',
      'echo run >> ../runs; echo begins; until [ -e ../go ]; do sleep 0.05; done',
    );
    const command = ['cat', '/workspace/runs'];
    const container = await bot.containerOf(threadOf('runs'));
    await until(async () => (await execText(docker, container, { command, env: {} })).stdout === 'run\n');
    const body = 'head -c 50000000 /dev/urandom > big; sha256sum big > sum; echo saves > work.txt';
    const saving = await send('saves', body);
    await until(async () => (await incoming()).length > 0);
    await Promise.all([bot.crash(), machine.crash()]);
    assert.notDeepEqual(await incoming(), []);
    for (const dataDir of [stage.bot.dataDir, bot.dataDir]) loseDevices(dataDir);

    await machine.start();
    for (const { Id } of await docker.listContainers({ all: true })) {
      await docker.getContainer(Id).remove({ force: true });
    }
    await machine.crash();
    // The engine comes up later than the bot.
    const started = bot.start();
    await machine.start();
    await started;

    const [interrupted = null, ...more] = await answers(running);
    assert.match(interrupted?.text ?? '', /^Interrupted [^]*^begins$/m);
    assert.deepEqual(more, []);
    ranWith(await ask('runs', 'cat work.txt ../runs'), 'runs\nrun');
    assert.match((await answers(saving))[0]?.text ?? '', /^Exit code 0 /);
    ranWith(await ask('saves', 'cat work.txt; sha256sum --check sum'), 'saves\nbig: OK');
    assert.match((await answers(stopping))[0]?.text ?? '', /^Stopped, and your work is saved/);
    assert.equal(await stateOf('goes'), 'ended');
    ranWith(await ask('goes', 'cat work.txt'), 'goes');

    for (const label of ['runs', 'saves', 'goes']) assert.equal(await stateOf(label), 'active');
    await until(
      async () => !(await bot.db('container_sessions').where({ is_active: true, is_saved: false }).first()),
    );
    assert.deepEqual(await incoming(), []);
    for (const sent of [running, saving, stopping]) {
      const ids = (await answers(sent)).map(({ messageId }) => messageId);
      assert.equal(new Set(ids).size, 1);
    }
    await wasInterrupted('reboot');
    ranWith((await stage.ask('cat work.txt', at('kill'))).text, 'kill');
    // Still on its disk, which is as small as it was set.
    const { text } = await stage.ask('df -m --output=size /workspace', at('kill'));
    assert.match(text, /1M-blocks\n +4\d\d\n/);
  });
}
