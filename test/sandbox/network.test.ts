import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { networkInterfaces } from 'node:os';
import { after, before, test } from 'node:test';
import { isDeepStrictEqual, promisify } from 'node:util';
import { bridgeName, networkName } from '../../src/containers/names.ts';
import { setRepository } from '../../src/store/repositories.ts';
import { openStage, type Stage } from '../lifecycle/stage.ts';
import { closeAll } from '../support/close-all.ts';
import { engine } from '../support/engine.ts';
import { FAR, startFarNetwork, webCertificate } from '../support/far-network.ts';
import { ranWith } from '../support/ran-with.ts';
import { until } from '../support/until.ts';
import { allowListCases } from './allow-list-cases.ts';

const run = promisify(execFile);
const OTHER = 'alice@example.com-sample#other';
const closers: (() => Promise<unknown>)[] = [];

let stage: Stage;
let certificate: string;
let bridge: string;
let gateway: string;
/** Listens on all addresses of this machine, IPv6 ones as well. */
let server: Server;
before(async () => {
  const pem = await webCertificate();
  certificate = pem.slice(pem.indexOf('-----BEGIN CERTIFICATE'));
  closers.push(await startFarNetwork(pem));
  server = createServer((socket) => socket.on('error', () => {}).end('host\n')).listen(0, '::');
  await once(server, 'listening');
  closers.push(async () => server.close());
  stage = await openStage(
    { CONTAINER_DNS: FAR.nameserver, CONTAINER_MAY_REACH: `${FAR.open}:80` },
    { guardLookAgainMs: 200 },
  );
  closers.push(() => stage.close());
  const { installation } = stage.bot.app;
  bridge = bridgeName(installation);
  await stage.ask('true');
  await stage.ask('true', { subject: '[sample#other] Work' });
  const { IPAM } = await engine.getNetwork(networkName(installation)).inspect();
  gateway = IPAM?.Config?.[0]?.Gateway ?? '';
});
after(() => closeAll(closers));

const hostPort = (): number => (server.address() as AddressInfo).port;

/** What comes of a connection from within the thread's container: what was read, or why not. */
async function reach(address: string, port: number, threadId?: string): Promise<string> {
  // What is not refused at once ends with status 124.
  const script = `exec 2>&1; timeout 8 bash -c 'exec 3<>/dev/tcp/${address}/${port} && cat <&3' || echo "status $?"`;
  return stage.inside(script, threadId);
}

const isRefused = /Connection refused/;
const table = async (program = 'iptables'): Promise<string> =>
  (await run(program, ['-w', '60', '-S'])).stdout;

test('the internet is reached, and names are asked for', async () => {
  assert.equal(await reach(FAR.public, 80), 'far\n');
  assert.equal(await reach('shop.example', 80), 'far\n');
});

test('so is what the operator has left open', async () => {
  assert.equal(await reach(FAR.open, 80), 'far\n');
  assert.match(await reach(FAR.open, 53), isRefused);
});

test('the host is not, at none of its addresses', async () => {
  const own = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ family, internal }) => family === 'IPv4' && !internal)
    .map(({ address }) => address);
  for (const address of new Set([gateway, ...own])) {
    assert.match(await reach(address, hostPort()), isRefused, address);
  }
  const ping = await stage.inside(`python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("${gateway}", 9)); s.settimeout(5); s.send(b"x")
s.recv(1)' 2>&1`);
  assert.match(ping, /No route to host|Connection refused/);
});

test('private networks are not, nor the metadata of clouds; of a name server port 53 alone', async () => {
  for (const address of [FAR.private, FAR.shared, FAR.metadata, FAR.nameserver]) {
    assert.match(await reach(address, 80), isRefused, address);
  }
});

test('a command that ran into it is told so in its answer, and the log has it', async () => {
  const { text } = await stage.ask(`bash -c 'exec 3<>/dev/tcp/${FAR.private}/80'`);
  assert.match(
    text,
    /^Exit code 1 [^]*10\.213\.7\.7 is out of reach[^]*neither the machine they run on nor private/,
  );
  assert.ok(stage.bot.lines.some(({ msg }) => msg === 'a command wanted what the network guard has closed'));
});

test("another thread's container is not", async () => {
  const address = async (threadId?: string): Promise<string> => {
    const { NetworkSettings } = await engine
      .getContainer((await stage.session(threadId))?.container_id ?? '')
      .inspect();
    return Object.values(NetworkSettings.Networks)[0]?.IPAddress ?? '';
  };
  const listen = `node -e 'require("net").createServer((socket) => socket.on("error", () => {}).end("other\\n")).listen(8080)' >/dev/null 2>&1 &
    until bash -c 'exec 3<>/dev/tcp/127.0.0.1/8080' 2>/dev/null; do sleep 0.1; done`;
  await stage.inside(listen, OTHER);
  assert.equal(await reach('127.0.0.1', 8080, OTHER), 'other\n');
  assert.match(await reach(await address(OTHER), 8080), isRefused);
});

test('there is no IPv6', async () => {
  const local = (await run('ip', ['-6', '-o', 'address', 'show', 'dev', bridge])).stdout;
  const address = /inet6 (fe80::[0-9a-f:]+)/.exec(local)?.[1] ?? 'fe80::1';
  assert.match(await reach(`${address}%eth0`, hostPort()), /status 1/);
  assert.equal(await stage.inside('cat /proc/net/if_inet6 | grep -v " lo$"'), '');
  assert.match(await table('ip6tables'), new RegExp(`^-A INPUT -i ${bridge} -j ${bridge}-no-`, 'm'));
});

test('flushed, taken out or preceded by others, it is put back; and before a container is started at the latest', async () => {
  const chains = async (): Promise<string[]> =>
    [...(await table()).matchAll(new RegExp(`^-N (${bridge}-.*)`, 'gm'))].map(([, name]) => name as string);
  const own = async (): Promise<string[]> =>
    (await table())
      .split('\n')
      .filter((line) => line.includes(bridge))
      .toSorted();
  const before = await own();
  // All of it: what was taken out last may be put back last.
  const isBack = () => until(async () => isDeepStrictEqual(await own(), before));

  for (const chain of await chains()) await run('iptables', ['-w', '60', '-F', chain]);
  await isBack();
  assert.match(await reach(gateway, hostPort()), isRefused);

  const [jump] = new RegExp(`^-A INPUT -i ${bridge} .*`, 'm').exec(await table()) ?? [''];
  await run('iptables', ['-w', '60', ...jump.replace('-A', '-D').split(' ')]);
  await isBack();
  assert.match(await reach(gateway, hostPort()), isRefused);
  await until(() => stage.bot.lines.some(({ msg }) => /network guard was gone .*put back/.test(msg)));
});

test('a repository without a network: its containers have none, and commands run all the same', async () => {
  const { db } = stage.bot.app;
  await setRepository(db, 'sample', { network: 'none' });
  const subject = '[sample#none] Work';
  ranWith((await stage.ask('git status --short; ls /sys/class/net', { subject })).text, 'lo');
  const script = `bash -c 'exec 3<>/dev/tcp/${FAR.public}/80'`;
  const { text } = await stage.ask(script, { subject });
  assert.match(
    text,
    /Network is unreachable[^]*Commands in sample have no network\. If yours needs one, ask/,
  );
  assert.equal(await reach(FAR.public, 80), 'far\n');
});

test('the network of a repository counts for what the database knows nothing of, too', async () => {
  const { db } = stage.bot.app;
  const networks = async () =>
    (await stage.ask('ls /sys/class/net', { subject: '[sample#other] Work' })).text;
  const sessions = () => db('container_sessions').where({ thread_id: OTHER, is_active: true });
  const saved = () => until(async () => (await stage.session(OTHER))?.is_saved);
  const wasMadeAnew = /network of sample was changed, so your container was made anew/;
  // As before that was recorded.
  await sessions().update({ network: null });
  const closed = await networks();
  ranWith(closed, 'lo');
  assert.match(closed, wasMadeAnew);
  assert.equal((await stage.session(OTHER))?.network, 'none');

  // As after a crash right after it was made.
  await saved();
  await sessions().update({ is_active: false, state: 'ended' });
  await setRepository(db, 'sample', { network: 'internet' });
  const open = await networks();
  assert.match(open, /^eth0$/m);
  assert.match(open, wasMadeAnew);

  await saved();
  const { container_id: same } = (await stage.session(OTHER)) ?? {};
  await sessions().update({ network: null });
  assert.doesNotMatch(await networks(), wasMadeAnew);
  const { container_id, network } = (await stage.session(OTHER)) ?? {};
  assert.deepEqual([container_id, network], [same, 'internet']);
});

allowListCases(() => ({ stage, certificate }));

test('the log says which way it is done; and of it all nothing is left in the firewall', async () => {
  assert.ok(stage.bot.lines.some(({ msg }) => msg === 'the network guard is in place: set directly'));
  await closers.pop()?.();
  for (const program of ['iptables', 'ip6tables']) {
    assert.ok(!(await table(program)).includes(bridge));
  }
});
