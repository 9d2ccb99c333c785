import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ExecutionResult } from '../../src/containers/execution.ts';
import { docker, startRig, text, withinLimit } from './rig.ts';

/** Its limit was not over before it had said a word. */
const hasBegun = (result: ExecutionResult): boolean => text(result) !== '';

describe('the time limit', () => {
  it('ends a command and what it started, and gives its output so far', async (t) => {
    const rig = await startRig(t);
    const script = 'setsid sleep 900 & (sleep 901 &) ; echo begun; sleep 902; echo not reached';
    // What ends when it is asked to is not given the five seconds of what does not.
    const isQuick = ({ durationMs }: { durationMs: number }, timeoutMs: number) =>
      durationMs - timeoutMs < 4_500;
    let lastMs = 0;
    const result = await withinLimit(
      500,
      (timeoutMs) => rig.run(script, { timeoutMs: (lastMs = timeoutMs) }),
      (said) => hasBegun(said) && isQuick(said, lastMs),
    );
    assert.equal(result.ending, 'timed_out');
    assert.equal(text(result), 'begun\n');
    assert.ok(result.durationMs >= 100 && isQuick(result, lastMs), `${result.durationMs} ms`);
    assert.equal(result.backgroundProcesses, 0);
    assert.equal(text(await rig.run('pgrep -U 1000 sleep; echo none')), 'none\n');
  });

  it('leaves the processes of earlier commands alone', async (t) => {
    const rig = await startRig(t);
    await rig.run('sleep 800 >/dev/null 2>&1 &');
    assert.equal((await rig.run('sleep 801', { timeoutMs: 300 })).ending, 'timed_out');
    assert.equal(text(await rig.run('pgrep -axf "sleep [0-9]*" | cut -d" " -f2-')), 'sleep 800\n');
  });

  it('kills what does not listen, with what it left behind', async (t) => {
    const rig = await startRig(t);
    await rig.run('sleep 800 >/dev/null 2>&1 &');
    const script =
      'trap "" TERM; setsid bash -c \'trap "" TERM; sleep 900; sleep 900\' & touch kept; echo begun; while :; do sleep 1; done';
    const result = await withinLimit(300, (timeoutMs) => rig.run(script, { timeoutMs }), hasBegun);
    assert.equal(result.ending, 'timed_out');
    assert.equal(text(result), 'begun\n');
    assert.ok(result.durationMs > 5000);
    assert.deepEqual(
      result.changes.files.map(({ path }) => path),
      ['kept'],
    );
    assert.equal(text(await rig.run('pgrep -axf "sleep [0-9]*" | cut -d" " -f2-')), 'sleep 800\n');
  });

  it('ends a command that makes FIFOs of what says how it stands', async (t) => {
    const rig = await startRig(t);
    const script =
      'echo begun; cd /workspace/.threadbox; for file in executions/*.claim tree index last log; ' +
      'do rm -f $file; mkfifo $file; done; mkfifo executions/$(ls executions | sed -n "s/.claim$//p").numstat; sleep 600';
    const result = await withinLimit(500, (timeoutMs) => rig.run(script, { timeoutMs }), hasBegun);
    assert.ok(result.ending === 'timed_out');
    assert.equal(text(result), 'begun\n');
    // Who waited for one of them would wait for ever.
    assert.ok(result.durationMs < 60_000, `${result.durationMs} ms`);
    await rig.run('true');
    assert.equal(text(await rig.run('echo on')), 'on\n');
  });

  it('ends a command that says itself that it has ended', async (t) => {
    const rig = await startRig(t);
    const script =
      'for claim in /workspace/.threadbox/executions/*.claim; do echo 0 0 0 >"${claim%claim}exit"; done; sleep 600';
    const forge = (timeoutMs: number) => rig.run(`echo begun; ${script}`, { timeoutMs });
    const result = await withinLimit(500, forge, hasBegun);
    assert.deepEqual([result.ending, text(result), result.note], ['timed_out', 'begun\n', undefined]);
  });

  it('ends a fork bomb, and the container serves on', async (t) => {
    const rig = await startRig(t);
    const bomb = 'echo begun; bomb() { bomb | bomb & }; bomb; sleep 600';
    const result = await withinLimit(600, (timeoutMs) => rig.run(bomb, { timeoutMs }), hasBegun);
    assert.equal(result.ending, 'timed_out');
    assert.match(text(result), /^begun\n/);
    assert.equal(text(await rig.run('echo on')), 'on\n');
    const { HostConfig } = await docker.getContainer(rig.container.id).inspect();
    assert.equal(HostConfig.PidsLimit, 512);
  });
});
