import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Docker } from '../../src/containers/client.ts';
import { watchForEnd } from '../../src/containers/container-end.ts';
import { until } from '../support/until.ts';

test('a container that has ended is found out, though what is read of it goes on; nobody looks after the close', async () => {
  let isRunning = true;
  let looks = 0;
  let ends = 0;
  const inspect = () => Promise.resolve({ State: { Running: isRunning }, looks: (looks += 1) });
  const docker = { getContainer: () => ({ inspect }) } as unknown as Docker;
  const watching = watchForEnd(docker, 'c', () => (ends += 1), 1);
  await until(() => looks > 2);
  assert.equal(ends, 0);
  isRunning = false;
  await until(() => ends > 0);
  await watching.close();
  const atClose = looks;
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(looks, atClose);
});

test('an engine that cannot be asked is nobody to wait for, and asked again', async () => {
  let looks = 0;
  let ends = 0;
  const gone = () => Promise.reject(new Error('no answer'));
  const inspect = () => ((looks += 1) < 3 ? gone() : Promise.resolve({ State: { Running: false } }));
  const docker = { getContainer: () => ({ inspect }) } as unknown as Docker;
  const watching = watchForEnd(docker, 'c', () => (ends += 1), 1);
  await until(() => ends > 0);
  await watching.close();
  assert.equal(looks, ends + 2);
});
