import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recoverExecution, runExecution } from '../../src/containers/execution.ts';
import { peekOutput } from '../../src/containers/peek-output.ts';
import { until } from '../support/until.ts';
import { docker, dockerCli, never, request, startRig } from './rig.ts';

test('a look at a command tells one that runs from one that died with its container, or never began', async (t) => {
  const rig = await startRig(t);
  const stopping = new AbortController();
  const one = request('echo first; sleep 1000', { executionId: '7-2' });
  const running = runExecution(docker, rig.container.id, { ...one, signal: stopping.signal });
  running.catch(() => undefined);
  const look = (commandId: number) => peekOutput(docker, rig.container.id, commandId);
  await until(async () => (await look(7))?.text === 'first\n');
  assert.deepEqual(await look(7), { text: 'first\n', isAlive: true });
  assert.deepEqual(await look(8), { text: '', isAlive: false });
  stopping.abort(new Error('the bot stops'));
  await assert.rejects(running, /the bot stops/);

  await dockerCli('kill', rig.container.id);
  assert.equal(await look(7), null);
  await dockerCli('start', rig.container.id);
  assert.deepEqual(await look(7), { text: 'first\n', isAlive: false });
  const never9 = { ...one, executionId: '9-1', wasRunning: true, signal: never };
  assert.equal((await recoverExecution(docker, rig.container.id, never9)).ending, 'never-started');
  assert.deepEqual(await look(9), { text: '', isAlive: false });
});
