import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { connectDocker } from '../../src/containers/client.ts';
import { ensureContainer } from '../../src/containers/container.ts';
import { execText } from '../../src/containers/exec.ts';
import { ContainersError } from '../../src/containers/errors.ts';
import { recoverExecution, runExecution } from '../../src/containers/execution.ts';
import { peekOutput } from '../../src/containers/peek-output.ts';
import { runnersOf } from '../../src/containers/runner.ts';
import { isDatabaseAway } from '../../src/store/database.ts';
import { docker, dockerHost, LIMITS, never, request, startRig, text, withinLimit } from './rig.ts';

/** An engine that has so much to do that it was taken for one that is away. */
function asSlow(error: unknown): null {
  assert.ok(error instanceof ContainersError && error.code === 'DOCKER_UNREACHABLE', String(error));
  return null;
}

describe('an engine that is away', () => {
  it('is told apart from one that refuses', async () => {
    const away = connectDocker('unix:///tmp/threadbox-no-such-engine.sock');
    const running = runExecution(away, 'x', request('true'));
    await assert.rejects(running, { code: 'DOCKER_UNREACHABLE', mayHaveStarted: false });
    await assert.rejects(runExecution(docker, 'no-such-container', request('true')), {
      code: 'CONTAINER_GONE',
      mayHaveStarted: false,
    });
  });

  it('that accepts and never answers is one that is away', async (t) => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => sockets.push(socket.on('error', () => undefined)));
    t.after(() => {
      server.close();
      for (const socket of sockets) socket.destroy();
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const host = `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const frozen = connectDocker(host, { answerMs: 200 });
    const away = { code: 'DOCKER_UNREACHABLE', mayHaveStarted: false, message: /no answer within 0.2 s/ };
    await assert.rejects(runExecution(frozen, 'x', request('true')), away);
    const spec = { threadId: 't', userId: 1, repositoryId: 1, repositoryName: 'x', image: 'x:1' };
    await assert.rejects(
      ensureContainer(frozen, { ...spec, instance: 'x', mirrorPath: '/opt', limits: LIMITS, runtime: null }),
      away,
    );
    const recovering = recoverExecution(frozen, 'x', { ...request('true'), wasRunning: true });
    await assert.rejects(recovering, { code: 'DOCKER_UNREACHABLE', mayHaveStarted: true });
  });

  it('that freezes before a command was handed over has not started it; a stream may take long', async (t) => {
    const rig = await startRig(t);
    const proxy = await startTcpProxyToEngine(t);
    const lasting = await withinLimit(
      1_500,
      (answerMs) => {
        const through = connectDocker(proxy.host, { answerMs });
        const script = `sleep ${(2 * answerMs) / 1000}; echo done`;
        return runExecution(through, rig.container.id, request(script)).catch(asSlow);
      },
      (result) => result !== null,
    );
    assert.ok(lasting?.ending === 'exited');
    assert.equal(text(lasting), 'done\n');
    proxy.freezeAt('/start ');
    const later = connectDocker(proxy.host, { answerMs: 500 });
    await assert.rejects(runExecution(later, rig.container.id, request('true')), {
      code: 'DOCKER_UNREACHABLE',
      mayHaveStarted: false,
    });
  });

  it('that freezes when a command is handed over leaves it open whether it started', async (t) => {
    const rig = await startRig(t);
    const proxy = await startTcpProxyToEngine(t);
    const served = await withinLimit(
      500,
      async (answerMs) => {
        const through = connectDocker(proxy.host, { answerMs });
        runnersOf(through, { takeMs: answerMs });
        const first = await runExecution(through, rig.container.id, request('true')).catch(asSlow);
        return first && { ...first, through };
      },
      (first) => first !== null,
    );
    assert.ok(served?.ending === 'exited');
    proxy.freezeAt('');
    await assert.rejects(runExecution(served.through, rig.container.id, request('true')), {
      code: 'DOCKER_UNREACHABLE',
      mayHaveStarted: true,
    });
  });

  it('that goes away before a command was handed over has not started it', async (t) => {
    const away = connectDocker(await startFakeEngine(t, (socket) => void socket.destroy()));
    const running = runExecution(away, 'x', request('true'));
    await assert.rejects(running, { code: 'DOCKER_UNREACHABLE', mayHaveStarted: false });
  });

  it('while it is read what a process says is told as such, not as any connection that was cut', async (t) => {
    const begun =
      'HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\nTransfer-Encoding: chunked\r\n\r\n';
    const breaking = connectDocker(await startFakeEngine(t, (socket) => void socket.end(begun)));
    const silent = connectDocker(await startFakeEngine(t, (socket) => void socket.write(begun)));
    const asked = { command: ['true'], env: {} };
    await assert.rejects(execText(breaking, 'x', { ...asked, signal: never }), (error) => {
      assert.equal((error as { code?: string }).code, 'DOCKER_UNREACHABLE');
      assert.equal(isDatabaseAway(error), false);
      return true;
    });
    const late = AbortSignal.timeout(200);
    await assert.rejects(execText(silent, 'x', { ...asked, signal: late }), { name: 'TimeoutError' });
    assert.equal(await peekOutput(breaking, 'x', 1), null);
  });
});

/** Knows a container, and makes a process in it. @param onStart gets the connection on which that is to be started */
async function startFakeEngine(t: TestContext, onStart: (socket: Socket) => void): Promise<string> {
  const server = createServer((socket) => {
    t.after(() => socket.destroy());
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      if (data.includes('/start ')) return onStart(socket);
      if (!/^(?:GET|POST) /.test(data.toString('latin1'))) return;
      const body = '{"Id":"e1","Config":{"Labels":{}}}';
      const status = data.includes('/exec ') ? '201 Created' : '200 OK';
      const head = `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}`;
      socket.write(`${head}\r\n\r\n${body}`);
    });
  });
  t.after(() => server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** The engine behind a port; from the request on that has the given words nothing passes. */
async function startTcpProxyToEngine(t: TestContext) {
  let frozenBy: string | null = null;
  const sockets: Socket[] = [];
  const server = createServer((near) => {
    const far = connect(dockerHost.replace('unix://', ''));
    sockets.push(near, far);
    near.on('error', () => far.destroy()).on('close', () => far.destroy());
    far.on('error', () => near.destroy()).on('close', () => near.destroy());
    near.on('data', (data) => {
      if (frozenBy === null || !data.includes(frozenBy)) far.write(data);
    });
    far.pipe(near);
  });
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    host: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    freezeAt(words: string) {
      frozenBy = words;
    },
  };
}
