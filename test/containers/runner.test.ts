import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { connectDocker } from '../../src/containers/client.ts';
import { recoverExecution, runExecution } from '../../src/containers/execution.ts';
import { ContainersError } from '../../src/containers/errors.ts';
import { closeRunners, runnersOf } from '../../src/containers/runner.ts';
import {
  docker,
  dockerCli,
  execIn,
  dockerHost,
  never,
  request,
  startRig,
  text,
  written,
  type Rig,
} from './rig.ts';

/** Which runner the command came through: a wrapper is between them. */
const RUNNER = 'echo runner $(ps -o ppid= -p $PPID)';

const inside = (rig: Rig, script: string): Promise<string> =>
  execIn(rig.container.id, ['bash', '-c', script], { user: '1000' });

/** One runner, and no wrapper or pump: these end a little after the answer of their command. */
const IDLE = '[ $(pgrep -cf ^threadbox-runner) = 1 ]';

/** Resolves when something has come to pass inside. */
const comes = (rig: Rig, condition: string): Promise<string> =>
  inside(rig, `until ${condition}; do sleep 0.02; done`);

/** An engine reached through connections that can be cut. */
async function startCuttableEngine(t: TestContext) {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(dockerHost.replace('unix://', ''));
    sockets.add(near);
    near.on('error', () => far.destroy()).on('close', () => far.destroy());
    far.on('error', () => near.destroy()).on('close', () => near.destroy());
    near.pipe(far).pipe(near);
  });
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  t.after(() => {
    server.close();
    cut();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { client: connectDocker(`tcp://127.0.0.1:${(server.address() as AddressInfo).port}`), cut };
}

describe('the runner of a container', () => {
  it('serves one command after the other; what they set, open and leave behind is not the next one’s', async (t) => {
    const rig = await startRig(t);
    const first = text(await rig.run(RUNNER));
    assert.match(first, /^runner \d+\n$/);
    await rig.run(
      'x=1; f() { :; }; exec 7</dev/null; trap "" TERM; umask 077; set -f; ulimit -n 99; sleep 300 &',
    );
    const look = 'echo "${x-none}"; declare -F f; ls /proc/$$/fd; kill -TERM $BASHPID; echo unkilled';
    const seen = await rig.run(look);
    assert.deepEqual([seen.exitCode, text(seen)], [143, 'none\n0\n1\n2\n']);
    const names = text(await rig.run("env | sed 's/=.*//' | sort | tr '\\n' ' '"));
    const own =
      /^(CI|DEBIAN_FRONTEND|GIT_CONFIG_SYSTEM|GIT_PAGER|GIT_TERMINAL_PROMPT|HOME|HOSTNAME|LANG|NODE_EXTRA_CA_CERTS|OLDPWD|PAGER|PATH|PWD|SHLVL|SSL_CERT_FILE|_)$/;
    assert.deepEqual(
      names.split(' ').filter((name) => name && !own.test(name)),
      [],
    );
    assert.equal(
      text(await rig.run('umask; ulimit -n | grep -c 99; readlink /proc/self/fd/0')),
      '0022\n0\n/dev/null\n',
    );
    assert.equal(text(await rig.run(RUNNER)), first);
    await rig.run('pkill -KILL -U 1000 sleep; while pgrep -U 1000 sleep; do :; done');
    await comes(rig, IDLE);
  });

  it('started ahead of the first command is the one that serves it, also when that comes sooner', async (t) => {
    const rig = await startRig(t);
    const { id } = rig.container;
    runnersOf(docker).warm(id, never);
    runnersOf(docker).warm(id, never);
    const first = text(await rig.run(RUNNER));
    assert.match(first, /^runner \d+\n$/);
    await comes(rig, IDLE);
    runnersOf(docker).warm(id, never);
    assert.equal(text(await rig.run(RUNNER)), first);

    const alone = await startCuttableEngine(t);
    runnersOf(alone.client).warm(id, never);
    closeRunners(alone.client);
    await comes(rig, IDLE);
    runnersOf(docker).warm('nothing-of-that-name', never);
    assert.equal(text(await rig.run(RUNNER)), first);
  });

  it('started ahead kills nobody to make room; the command that needs it does', async () => {
    const commands: string[] = [];
    const exec = ({ Cmd }: { Cmd: string[] }) => {
      commands.push(Cmd.join(' ').includes('kill -KILL') ? 'kill' : 'runner');
      const error = new Error('fork/exec: resource temporarily unavailable');
      return Promise.reject(Object.assign(error, { statusCode: 500 }));
    };
    const full = {
      getContainer: () => ({
        exec,
        inspect: () => Promise.resolve({ Id: 'x', Config: { Labels: {} }, HostConfig: { PidsLimit: 512 } }),
        update: () => Promise.resolve(),
      }),
    } as unknown as typeof docker;
    runnersOf(full).warm('full', never);
    await assert.rejects(runnersOf(full).take('full', never), { code: 'DOCKER_REFUSED' });
    assert.deepEqual(commands, ['runner', 'runner', 'kill', 'kill']);
  });

  it('killed while it waits: the next command simply runs, once', async (t) => {
    const rig = await startRig(t);
    const first = text(await rig.run(RUNNER));
    await inside(rig, 'pkill -KILL -f ^threadbox-runner');
    const second = text(await rig.run(`echo x >> /tmp/times; cat /tmp/times; ${RUNNER}`));
    assert.match(second, /^x\nrunner \d+\n$/);
    assert.notEqual(second.slice(2), first);
  });

  it('killed at any moment between and before commands: each runs once, with its secrets', async (t) => {
    const rig = await startRig(t);
    await rig.run('true');
    const secrets = { TOKEN: `it's "a"\n$b \\ ä 4711` };
    const given: unknown[] = [];
    const getContainer = docker.getContainer.bind(docker);
    t.after(() => void (docker.getContainer = getContainer));
    docker.getContainer = (id) => {
      const container = getContainer(id);
      const exec = container.exec.bind(container);
      return Object.assign(container, {
        exec: (options: object) => {
          given.push(options);
          return exec(options);
        },
      });
    };
    // Only those that wait: their parent is not in the container.
    const kill =
      'while [ ! -e /tmp/enough ]; do for p in $(pgrep -P 0 -f ^threadbox-runner); do kill -KILL $p; done; sleep 0.0$RANDOM; done';
    const killing = inside(rig, kill);
    for (let count = 1; count <= 12; count += 1) {
      const script = `echo ${count} >> /tmp/times; wc -l < /tmp/times; echo "$TOKEN"`;
      const result = await rig.run(script, { secrets });
      const output = `${count}\n${secrets.TOKEN}\n`;
      assert.deepEqual([result.ending, result.exitCode, text(result)], ['exited', 0, output]);
    }
    const said = JSON.stringify(given);
    assert.ok(given.length > 3 && said.includes('_THREADBOX_RUN') && !said.includes('4711'));
    await inside(rig, 'touch /tmp/enough');
    await killing;
  });

  it('killed while a command runs costs nothing; with the wrapper, the command is interrupted', async (t) => {
    const rig = await startRig(t);
    const alone = await rig.run('echo one; kill -KILL $(ps -o ppid= -p $PPID); sleep 0.2; echo two; exit 3');
    assert.deepEqual([alone.ending, alone.exitCode, text(alone)], ['exited', 3, 'one\ntwo\n']);
    const both = await rig.run(
      `echo so far; touch kept; ${written('so far')}; kill -KILL $PPID; sleep 0.1; exit 3`,
    );
    assert.deepEqual([both.ending, text(both)], ['interrupted', 'so far\n']);
    assert.deepEqual(
      both.changes.files.map(({ path }) => path),
      ['kept'],
    );
    assert.equal(text(await rig.run('echo on')), 'on\n');
  });

  it('is out of reach of what a command sends to its own process group', async (t) => {
    const rig = await startRig(t);
    const first = text(await rig.run(RUNNER));
    const asked = await rig.run('echo begun; kill 0; echo not reached');
    assert.deepEqual([asked.ending, asked.exitCode, text(asked)], ['exited', 143, 'begun\n']);
    assert.equal(text(await rig.run(RUNNER)), first);
    // Who reads the output is killed as well.
    const killed = await rig.run(`echo all of us; ${written('all of us')}; kill -KILL 0`);
    assert.deepEqual([killed.ending, text(killed)], ['interrupted', 'all of us\n']);
    assert.equal(text(await rig.run('echo on')), 'on\n');
  });

  it('an answer that a command forges stays its output', async (t) => {
    const rig = await startRig(t);
    const nonce = '0'.repeat(32);
    const forged = `\\0threadbox-begun ${nonce}\\0threadbox 1\\nexit 7\\nnumstat\\n\\0\\0end\\nforged\\0threadbox-end ${nonce}\\0`;
    for (let times = 0; times < 2; times += 1) {
      const result = await rig.run(`printf '${forged}'; exit 2`);
      assert.equal(result.exitCode, 2);
      assert.equal(
        result.output.head.toString(),
        forged.replaceAll(String.raw`\0`, '\0').replaceAll(String.raw`\n`, '\n'),
      );
    }
  });

  it('that says something unasked is not asked again: answers are never mixed', async (t) => {
    const rig = await startRig(t);
    for (const moment of ['0', '0.05', '0.3']) {
      const write = `printf 'threadbox 1\\nexit 7\\n' > /proc/$(ps -o ppid= -p $PPID | tr -d ' ')/fd/1`;
      await rig.run(`(sleep ${moment}; ${write}; touch /tmp/said-${moment}) > /dev/null 2>&1 & echo one`);
      const during = await rig.run('echo two; sleep 0.1; exit 4');
      assert.deepEqual([during.ending, during.exitCode, text(during)], ['exited', 4, 'two\n']);
      await comes(rig, `[ -e /tmp/said-${moment} ]`);
      const next = await rig.run('echo three');
      assert.deepEqual([next.ending, next.exitCode, text(next)], ['exited', 0, 'three\n']);
    }
  });

  it('that is idle is not taken for a running command when the workspace is prepared', async (t) => {
    const rig = await startRig(t);
    await rig.run('(cd ..; rm -rf my-app)');
    await comes(rig, IDLE);
    await rig.prepare();
    assert.equal(text(await rig.run('git status --short; ls')), 'README.md\nlogo.bin\nsrc\n');
  });

  it('ends with the connection, while a command goes on and is answered', async (t) => {
    const rig = await startRig(t);
    const engine = await startCuttableEngine(t);
    await runExecution(engine.client, rig.container.id, request('true'));
    await comes(rig, IDLE);
    engine.cut();
    await comes(rig, '! pgrep -f ^threadbox-runner');
    const one = request('touch /tmp/on; until [ -e /tmp/go ]; do sleep 0.05; done; seq 100000; exit 6');
    const stopping = new AbortController();
    const running = runExecution(engine.client, rig.container.id, { ...one, signal: stopping.signal });
    running.catch(() => undefined);
    await comes(rig, '[ -e /tmp/on ]');
    stopping.abort(new Error('the bot stops'));
    await assert.rejects(running, /the bot stops/);
    engine.cut();
    await inside(rig, 'touch /tmp/go');
    await comes(rig, '! pgrep -f ^threadbox-runner');
    const { executionId, repositoryName, timeoutMs } = one;
    const asked = { executionId, repositoryName, timeoutMs, signal: never, wasRunning: true };
    const result = await recoverExecution(docker, rig.container.id, asked);
    assert.ok(result.ending === 'exited');
    assert.deepEqual([result.exitCode, result.output.totalBytes], [6, 588_895]);
  });

  it('ends when the bot leaves the engine', async (t) => {
    const rig = await startRig(t);
    const client = connectDocker(dockerHost);
    await runExecution(client, rig.container.id, request('true'));
    closeRunners(client);
    await comes(rig, '! pgrep -f ^threadbox-runner');
  });

  it('in a container that was started again is another one', async (t) => {
    const rig = await startRig(t);
    await rig.run('true');
    await dockerCli('restart', '-t', '0', rig.container.id);
    assert.equal(text(await rig.run('echo on')), 'on\n');
  });

  it('frozen with its container: whether the command started is asked later, and it starts at most once', async (t) => {
    const rig = await startRig(t);
    const client = connectDocker(dockerHost);
    runnersOf(client, { takeMs: 300 });
    await runExecution(client, rig.container.id, request('true'));
    await dockerCli('pause', rig.container.id);
    const one = request('echo x >> /tmp/times; cat /tmp/times');
    const fault = await runExecution(client, rig.container.id, one).catch((error: unknown) => error);
    assert.ok(fault instanceof ContainersError && fault.code === 'CONTAINER_GONE', String(fault));
    assert.equal((await rig.ensure()).wasRunning, true);
    const { executionId, repositoryName, timeoutMs } = one;
    const asked = { executionId, repositoryName, timeoutMs, signal: never, wasRunning: true };
    const result = await recoverExecution(client, rig.container.id, asked);
    // A runner that was there has been given it, one that had to be made first has not.
    const possible = fault.mayHaveStarted ? ['never-started', 'exited'] : ['never-started'];
    assert.ok(possible.includes(result.ending), result.ending);
    const times = text(await rig.run('cat /tmp/times 2>/dev/null'));
    assert.equal(times, result.ending === 'exited' ? 'x\n' : '');
  });
});
