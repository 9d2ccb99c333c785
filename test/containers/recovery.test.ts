import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { connectDocker } from '../../src/containers/client.ts';
import { recoverExecution, runExecution, type ExecutionRequest } from '../../src/containers/execution.ts';
import { executionEnv } from '../../src/containers/script-env.ts';
import { ranForMs } from '../../src/containers/time-limit.ts';
import {
  docker,
  dockerCli,
  execIn,
  dockerHost,
  never,
  request,
  startRig,
  text,
  withinLimit,
  written,
  type Rig,
} from './rig.ts';
import { until } from '../support/until.ts';

const recover = (rig: Rig, { executionId }: ExecutionRequest, more = {}) =>
  recoverExecution(docker, rig.container.id, {
    executionId,
    repositoryName: 'my-app',
    timeoutMs: 60_000,
    wasRunning: true,
    signal: never,
    ...more,
  });

/** Starts a command and stops waiting for it as soon as it has written `marker`. */
async function abandon(rig: Rig, abandoned: ExecutionRequest, marker: string): Promise<void> {
  const stopping = new AbortController();
  const running = runExecution(docker, rig.container.id, { ...abandoned, signal: stopping.signal });
  running.catch(() => undefined);
  await execIn(rig.container.id, ['bash', '-c', `until [ -e ${marker} ]; do sleep 0.05; done`]);
  stopping.abort(new Error('the bot stops'));
  await assert.rejects(running, /the bot stops/);
}

describe('after the bot was gone', () => {
  it('a running command goes on, and is answered when it ends', async (t) => {
    const rig = await startRig(t);
    const one = request(
      'echo first; touch /tmp/on; until [ -e /tmp/go ]; do sleep 0.1; done; echo done > new.txt; echo last; exit 5',
    );
    await abandon(rig, one, '/tmp/on');
    const recovering = recover(rig, one);
    await execIn(rig.container.id, ['touch', '/tmp/go']);
    const result = await recovering;
    assert.ok(result.ending === 'exited');
    assert.deepEqual([result.exitCode, text(result)], [5, 'first\nlast\n']);
    assert.deepEqual(result.changes.files, [{ path: 'new.txt', added: 1, removed: 0 }]);
    assert.ok(result.durationMs > 50 && result.durationMs < 60_000);
  });

  it('a command that ended meanwhile is answered from the spool, as often as asked', async (t) => {
    const rig = await startRig(t);
    const one = request(
      'touch /tmp/on; until [ -e /tmp/go ]; do sleep 0.1; done; echo out; rm README.md; exit 2',
    );
    await abandon(rig, one, '/tmp/on');
    const written = `/workspace/.threadbox/executions/${one.executionId}.end`;
    await execIn(rig.container.id, [
      'bash',
      '-c',
      `touch /tmp/go; until [ -e ${written} ]; do sleep 0.05; done`,
    ]);
    for (let times = 0; times < 2; times += 1) {
      const result = await recover(rig, one);
      assert.ok(result.ending === 'exited');
      assert.deepEqual([result.exitCode, text(result), result.changes.files.length], [2, 'out\n', 1]);
    }
  });

  it('a command that never started is said to be one, and never starts', async (t) => {
    const rig = await startRig(t);
    const one = request('touch /tmp/started');
    assert.equal((await recover(rig, one)).ending, 'never-started');
    assert.equal((await recover(rig, one)).ending, 'never-started', 'asked again, after a crash');
    assert.equal((await recover(rig, one, { wasRunning: false })).ending, 'never-started');
    assert.equal((await runExecution(docker, rig.container.id, one)).ending, 'already-started');
    assert.equal(text(await rig.run('ls /tmp/started || echo none')).slice(-5), 'none\n');
  });

  it('in a container that had to be started, an unknown command counts as interrupted', async (t) => {
    const rig = await startRig(t);
    const result = await recover(rig, request('true'), { wasRunning: false });
    assert.ok(result.ending === 'interrupted');
    assert.deepEqual([result.exitCode, text(result)], [null, '']);
  });

  it('a command whose container was killed is interrupted, with its output so far', async (t) => {
    const rig = await startRig(t);
    const one = request(`echo so far; touch kept.txt; ${written('so far')}; touch /tmp/on; sleep 60`);
    const running = runExecution(docker, rig.container.id, one);
    await execIn(rig.container.id, ['bash', '-c', 'until [ -e /tmp/on ]; do sleep 0.05; done']);
    await dockerCli('kill', rig.container.id);
    for (const result of [await running, await recover(rig, one, { wasRunning: false })]) {
      assert.ok(result.ending === 'interrupted');
      assert.deepEqual([result.exitCode, text(result)], [null, 'so far\n']);
    }
    assert.equal(text(await rig.run('echo goes on')), 'goes on\n');
  });

  it('a command whose container was removed is interrupted, with its output so far, in the next container', async (t) => {
    const rig = await startRig(t);
    const one = request(`echo so far; ${written('so far')}; touch /tmp/on; sleep 60`);
    const running = runExecution(docker, rig.container.id, one);
    running.catch(() => undefined);
    await execIn(rig.container.id, ['bash', '-c', 'until [ -e /tmp/on ]; do sleep 0.05; done']);
    await dockerCli('rm', '-f', rig.container.id);
    await assert.rejects(running, { code: 'CONTAINER_GONE', mayHaveStarted: true });
    rig.container = await rig.ensure();
    assert.deepEqual([rig.container.wasCreated, rig.container.wasRunning], [true, false]);
    await rig.prepare();
    const result = await recover(rig, one, { wasRunning: rig.container.wasRunning });
    assert.ok(result.ending === 'interrupted');
    assert.equal(text(result), 'so far\n');
  });

  it('a command that kills everything it can is interrupted', async (t) => {
    const rig = await startRig(t);
    const result = await rig.run(`echo so far; ${written('so far')}; kill -KILL -1`);
    assert.deepEqual([result.ending, text(result)], ['interrupted', 'so far\n']);
  });

  it('what a command has used up of its time is not given to it again', async (t) => {
    const rig = await startRig(t);
    /** @returns how long it took of its limit, all of which it has used up before */
    const usedUp = async (timeoutMs: number): Promise<number> => {
      const marker = `/tmp/on-${timeoutMs}`;
      const one = request(`touch ${marker}; sleep 803`);
      await abandon(rig, one, marker);
      const { executionId, repositoryName } = one;
      const of = { env: executionEnv({ executionId, repositoryName }), signal: never };
      await until(async () => (await ranForMs(docker, rig.container.id, of)) > timeoutMs);
      const startedAt = performance.now();
      assert.equal((await recover(rig, one, { timeoutMs })).ending, 'timed_out');
      const share = (performance.now() - startedAt) / timeoutMs;
      assert.equal(await ranForMs(docker, rig.container.id, of), 0);
      return share;
    };
    const share = await withinLimit(3_000, usedUp, (used) => used < 0.8);
    assert.ok(share < 0.8, `${share} of it`);
  });

  it('preparing the workspace again does not disturb a running command', async (t) => {
    const rig = await startRig(t);
    const one = request(
      'cd ..; rm -rf my-app; touch /tmp/on; until [ -e /tmp/go ]; do sleep 0.1; done; mkdir my-app && echo mine',
    );
    await abandon(rig, one, '/tmp/on');
    await rig.prepare();
    const recovering = recover(rig, one);
    await execIn(rig.container.id, ['touch', '/tmp/go']);
    const result = await recovering;
    assert.ok(result.ending === 'exited');
    assert.deepEqual([result.exitCode, text(result)], [0, 'mine\n']);
    assert.equal(result.changes.isComplete, false);
  });
});

describe('a connection that breaks', () => {
  it('while a command runs costs nothing: the answer is whole', async (t) => {
    const rig = await startRig(t);
    const sockets: Socket[] = [];
    const proxy = createServer((near) => {
      const far = connect(dockerHost.replace('unix://', ''));
      sockets.push(near);
      near.on('error', () => far.destroy()).on('close', () => far.destroy());
      far.on('error', () => near.destroy()).on('close', () => near.destroy());
      near.pipe(far).pipe(near);
    });
    t.after(() => proxy.close());
    await once(proxy.listen(0, '127.0.0.1'), 'listening');
    const through = connectDocker(`tcp://127.0.0.1:${(proxy.address() as AddressInfo).port}`);
    const one = request(
      'echo once >> /tmp/times; touch /tmp/on; until [ -e /tmp/go ]; do sleep 0.1; done; cat /tmp/times',
    );
    const running = runExecution(through, rig.container.id, one);
    await execIn(rig.container.id, ['bash', '-c', 'until [ -e /tmp/on ]; do sleep 0.05; done']);
    for (const socket of sockets) socket.destroy();
    await execIn(rig.container.id, ['touch', '/tmp/go']);
    const result = await running;
    assert.ok(result.ending === 'exited');
    assert.deepEqual([result.exitCode, text(result)], [0, 'once\n']);
  });
});

describe('a cancel', () => {
  it('ends a command with all it started, and nothing else, and gives its output so far', async (t) => {
    const rig = await startRig(t);
    await rig.run('sleep 800 >/dev/null 2>&1 &');
    const cancel = new AbortController();
    const script = 'setsid sleep 900 & (sleep 901 &) ; echo begun; touch kept; sleep 902; echo not reached';
    const running = rig.run(script, { cancelled: cancel.signal });
    await until(async () => /kept/.test(await execIn(rig.container.id, ['ls', '/workspace/my-app'])));
    cancel.abort();
    const result = await running;
    assert.equal(result.ending, 'cancelled');
    assert.equal(text(result), 'begun\n');
    assert.ok(result.durationMs < 60_000, `${result.durationMs} ms`);
    assert.equal(text(await rig.run('pgrep -axf "sleep [0-9]*" | cut -d" " -f2-')), 'sleep 800\n');
  });

  it('is known to whoever takes the command up later', async (t) => {
    const rig = await startRig(t);
    const one = request('echo begun; touch /tmp/begun; sleep 900');
    await abandon(rig, one, '/tmp/begun');
    const result = await recover(rig, one, { cancelled: AbortSignal.abort() });
    assert.ok(result.ending === 'cancelled');
    assert.equal(text(result), 'begun\n');
    assert.equal((await recover(rig, one)).ending, 'cancelled');
  });
});
