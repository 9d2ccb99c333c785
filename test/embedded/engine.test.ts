import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { pingEngine } from '../../src/embedded/engine-ping.ts';
import { ensureEngine } from '../../src/embedded/engine.ts';
import { asRoot } from '../../src/root.ts';
import { until } from '../support/until.ts';
import { processesOf, readableLog } from './data-dir.ts';

const run = promisify(execFile);

const userScript = fileURLToPath(new URL('engine-user.ts', import.meta.url));

type Told = { pid: number; dockerHost: string; isOurs: boolean };
/** Where the engine is, and the process that uses it. */
type User = Told & { leave: () => Promise<void> };

/**
 * A directory for a private engine, with as many users as are asked for. It counts as used, so that the machine's own
 * engine does not come first. All of it is gone after the test.
 */
async function makeEngine(
  test: TestContext,
): Promise<{ engineDir: string; startUser: (lingerMs?: number) => Promise<User> }> {
  const engineDir = await mkdtemp(join(tmpdir(), 'tb-engine-'));
  await writeFile(join(engineDir, 'used'), '');
  const leavers: (() => Promise<void>)[] = [];
  test.after(async () => {
    await Promise.all(leavers.map((leave) => leave()));
    await until(async () => (await processesOf(engineDir)).length === 0);
    await run(...asRoot('rm', ['-rf', '--one-file-system', engineDir]));
  });
  const startUser = async (lingerMs = 0): Promise<User> => {
    // Apart from this machine's network: a private engine must not touch that of another.
    // On that there is one already, which has a bridge.
    const first = 'ip link add docker0 type bridge; exec "$@"';
    const program = [
      '--net',
      'sh',
      '-c',
      first,
      'sh',
      process.execPath,
      userScript,
      engineDir,
      String(lingerMs),
    ];
    const child = spawn(...asRoot('unshare', program), { stdio: ['pipe', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    const leave = async (): Promise<void> => {
      child.stdin.end();
      await exited;
    };
    leavers.push(leave);
    const told = once(createInterface({ input: child.stdout }), 'line');
    const [line] = (await Promise.race([told, exited])) as [unknown];
    assert.ok(typeof line === 'string', 'the engine did not start');
    return { leave, ...(JSON.parse(line) as Told) };
  };
  return { engineDir, startUser };
}

/** As root, as the socket may be another user's. */
async function version(dockerHost: string): Promise<string> {
  const { stdout } = await run(
    ...asRoot('docker', ['-H', dockerHost, 'version', '--format', '{{.Server.Version}}']),
  );
  return stdout.trim();
}

/** Holds the network that a process sees. @returns what tells its interfaces and firewall rules, once */
async function watchNetwork(test: TestContext, pid: number): Promise<() => Promise<string>> {
  const look = 'ip -o link; iptables -S; iptables -t nat -S';
  const script = `${look}; echo; cat; ${look}`;
  const program = ['-t', String(pid), '-n', 'sh', '-c', script];
  const child = spawn(...asRoot('nsenter', program), { stdio: ['pipe', 'pipe', 'inherit'] });
  test.after(() => child.stdin.end());
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const before = await takeUntilEmpty(lines);
  assert.match(before, / tb-stop-test: [^]* br-[^]* -i tb-stop-test /);
  return async () => {
    child.stdin.end();
    return await takeUntilEmpty(lines);
  };
}

async function takeUntilEmpty(lines: AsyncIterator<string>): Promise<string> {
  const taken: string[] = [];
  for (let next = await lines.next(); !next.done && next.value !== ''; next = await lines.next()) {
    taken.push(next.value);
  }
  return taken.join('\n');
}

function runDirOf({ dockerHost }: User): string {
  return dirname(dockerHost.slice('unix://'.length));
}

test('a private engine is shared, and stops with its last user without a trace', async (t) => {
  const { engineDir, startUser } = await makeEngine(t);
  const first = await startUser();
  assert.equal(first.isOurs, true);
  assert.match(await version(first.dockerHost), /^\d+\./);
  const network = ['network', 'create', '-o', 'com.docker.network.bridge.name=tb-stop-test', 'named'];
  await run(...asRoot('docker', ['-H', first.dockerHost, ...network]));
  await run(...asRoot('docker', ['-H', first.dockerHost, 'network', 'create', 'unnamed']));
  // As the bot's network guard has them.
  const chains = ['tb-stop-test-in-012345', 'tb-stop-test-no-012345'];
  const rules = [
    `INPUT -i tb-stop-test -j ${chains[0]}`,
    `${chains[0]} -j ${chains[1]}`,
    `${chains[1]} -j REJECT`,
  ];
  const guard = [...chains.map((chain) => `-N ${chain}`), ...rules.map((rule) => `-A ${rule}`)];
  const script = guard.map((words) => `iptables ${words}`).join(' && ');
  await run(...asRoot('nsenter', ['-t', String(first.pid), '-n', 'sh', '-c', script]));
  const endOfNetwork = await watchNetwork(t, first.pid);
  const second = await startUser();
  assert.equal(second.dockerHost, first.dockerHost);
  await first.leave();
  assert.match(await version(second.dockerHost), /^\d+\./);
  await second.leave();
  const left = await endOfNetwork();
  assert.doesNotMatch(left, /tb-stop-test|br-|tbd-/);
  assert.match(left, /: docker0: /, "another engine's bridge is gone");
  assert.deepEqual(await processesOf(engineDir), []);
  assert.equal(existsSync(runDirOf(first)), false);
  assert.doesNotMatch(await readFile('/proc/mounts', 'utf8'), new RegExp(engineDir));
});

test('two who come at the same time get one engine', async (t) => {
  const { engineDir, startUser } = await makeEngine(t);
  const users = await Promise.all([startUser(), startUser()]);
  assert.equal(users[0].dockerHost, users[1].dockerHost);
  await Promise.all(users.map((user) => user.leave()));
  assert.deepEqual(await processesOf(engineDir), []);
});

test('an engine whose only user is killed stops as well', async (t) => {
  const { engineDir, startUser } = await makeEngine(t);
  const user = await startUser();
  await run(...asRoot('kill', ['-KILL', String(user.pid)]));
  await until(() => !existsSync(runDirOf(user)));
  await until(async () => (await processesOf(engineDir)).length === 0);
});

test('an engine outlives its user for as long as it was asked to', async (t) => {
  const outlives = async (lingerMs: number): Promise<boolean> => {
    const { startUser } = await makeEngine(t);
    const user = await startUser(lingerMs);
    await user.leave();
    const answer = await version(user.dockerHost).catch(() => '');
    const next = await startUser();
    await next.leave();
    await until(() => !existsSync(runDirOf(user)));
    return answer !== '' && next.dockerHost === user.dockerHost;
  };
  // A machine that has much else to do may not be back at it within four seconds.
  assert.ok((await outlives(4_000)) || (await outlives(20_000)));
});

test('an engine that dies is started again', async (t) => {
  const { engineDir, startUser } = await makeEngine(t);
  const user = await startUser();
  const [dockerd] = await dockerdsOf(engineDir);
  await run(...asRoot('kill', ['-KILL', String(dockerd)]));
  await until(async () => {
    const [again] = await dockerdsOf(engineDir);
    return (
      again !== undefined && again !== dockerd && (await version(user.dockerHost).catch(() => null)) !== null
    );
  });
});

async function dockerdsOf(engineDir: string): Promise<number[]> {
  const { stdout } = await run('ps', ['-e', '-o', 'pid=,comm=,args=']);
  const lines = stdout.split('\n').filter((line) => / dockerd /.test(line) && line.includes(engineDir));
  return lines.map((line) => Number.parseInt(line, 10));
}

test('the engine of the settings is used as it is, and never stopped', async (t) => {
  const engine = await standIn(t, 200);
  const dockerHost = `tcp://127.0.0.1:${engine.port}`;
  const { log } = readableLog();
  const found = await ensureEngine({ dockerHost, engineDir: '/nonexistent', log });
  await found.close();
  assert.deepEqual({ ...found, close: null }, { dockerHost, isOurs: false, close: null });
  assert.deepEqual(await pingEngine(dockerHost), { answers: true });
});

test('a ping tells why an engine does not answer', async (t) => {
  const ill = await standIn(t, 500);
  const told = await Promise.all(
    ['unix:///nonexistent/docker.sock', `tcp://127.0.0.1:${ill.port}`, 'nonsense'].map(async (dockerHost) => {
      const ping = await pingEngine(dockerHost);
      return ping.answers ? 'answers' : ping.reason;
    }),
  );
  assert.match(told[0] ?? '', /ENOENT/);
  assert.match(told[1] ?? '', /expected status 200 to \/_ping, got 500/);
  assert.match(told[2] ?? '', /not an address of an engine: nonsense/);
});

/** Something that answers a ping. */
async function standIn(test: TestContext, status: number): Promise<{ server: Server; port: number }> {
  const server = createServer((_request, response) => response.writeHead(status).end('OK'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  test.after(() => server.close());
  return { server, port: (server.address() as AddressInfo).port };
}
