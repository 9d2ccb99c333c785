import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { takeLock } from '../src/lock.ts';

const EXCLUSIVE = { kind: 'exclusive', waitMs: 0 } as const;
const SHARED = { kind: 'shared', waitMs: 0 } as const;

async function makePath(test: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'tb-lock-'));
  test.after(() => rm(dir, { recursive: true }));
  return join(dir, 'with a space.lock');
}

test('an exclusive lock is had by one at a time', async (t) => {
  const path = await makePath(t);
  const lock = await takeLock(path, EXCLUSIVE);
  assert.ok(lock);
  assert.equal(await takeLock(path, EXCLUSIVE), null);
  assert.equal(await takeLock(path, SHARED), null);
  await lock.release();
  const next = await takeLock(path, EXCLUSIVE);
  assert.ok(next);
  await next.release();
});

test('a shared lock is had by many, and keeps an exclusive one away', async (t) => {
  const path = await makePath(t);
  const [first, second] = await Promise.all([takeLock(path, SHARED), takeLock(path, SHARED)]);
  assert.ok(first && second);
  assert.equal(await takeLock(path, EXCLUSIVE), null);
  await first.release();
  assert.equal(await takeLock(path, EXCLUSIVE), null);
  await second.release();
});

test('who waits gets the lock when it is released, or null when that takes too long', async (t) => {
  const path = await makePath(t);
  const lock = await takeLock(path, EXCLUSIVE);
  assert.equal(await takeLock(path, { kind: 'exclusive', waitMs: 50 }), null);
  const waiting = takeLock(path, { kind: 'exclusive', waitMs: 20_000 });
  await lock?.release();
  const next = await waiting;
  assert.ok(next);
  await next.release();
});

test('the lock of a killed process is free', async (t) => {
  const path = await makePath(t);
  const module = new URL('../src/lock.ts', import.meta.url).href;
  const script = `const { takeLock } = await import(${JSON.stringify(module)});
    await takeLock(${JSON.stringify(path)}, { kind: 'exclusive', waitMs: 0 });
    process.stdout.write('held');`;
  const holder = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(holder.stdout, 'data');
  assert.equal(await takeLock(path, EXCLUSIVE), null);
  holder.kill('SIGKILL');
  const lock = await takeLock(path, { kind: 'exclusive', waitMs: 10_000 });
  assert.ok(lock);
  await lock.release();
});

test('a lock that cannot be made says what was expected', async () => {
  await assert.rejects(
    takeLock('/nonexistent/directory/lock', EXCLUSIVE),
    /Expected a lock on .*No such file/s,
  );
});
