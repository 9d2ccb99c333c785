import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';

/** @param secondChanceMs after a second without a beat @returns how a process ended that has done so under the watchdog, and what stands in its log */
async function watched(
  secondChanceMs: number,
  script: string,
): Promise<{ code: number | null; signal: string | null; log: string }> {
  const [watchdog, log] = ['watchdog', 'log'].map(
    (name) => new URL(`../src/${name}.ts`, import.meta.url).href,
  );
  const source = `import { startWatchdog } from '${watchdog}';
    import { createLog } from '${log}';
    const watchdog = startWatchdog(createLog('info'), { stillMs: 1_000, secondChanceMs: ${secondChanceMs}, beatMs: 50 });
    ${script}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    // Of a debugger Node tells there.
    stdio: ['ignore', 'pipe', script.includes('inspector') ? 'ignore' : 'inherit'],
  });
  const written = text(child.stdout);
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
  return { code, signal, log: await written };
}

test('a process that stands still is killed, which is told; one that is only busy now and then, or was stopped, or can be debugged, is not', async () => {
  const [still, busy, stopped, debugged] = await Promise.all([
    watched(500, 'setTimeout(() => { for (;;); }, 100);'),
    // A second is too long, and then it goes on.
    watched(
      20_000,
      `for (const endMs = performance.now() + 1_500; performance.now() < endMs;);
      setTimeout(() => watchdog.close(), 1_500);`,
    ),
    // Stopped for longer than either time, then ended by somebody else.
    watched(
      500,
      `const { spawn } = await import('node:child_process');
      const wake = 'sleep 2.5; kill -TERM "$0"; kill -CONT "$0"';
      spawn('sh', ['-c', wake, String(process.pid)], { stdio: 'ignore' });
      process.kill(process.pid, 'SIGSTOP');`,
    ),
    // At a breakpoint it looks as it does here.
    watched(
      500,
      `const inspector = await import('node:inspector');
      inspector.open(0, '127.0.0.1');
      setTimeout(() => {
        for (const endMs = performance.now() + 2_500; performance.now() < endMs;);
        inspector.close();
        watchdog.close();
      }, 300);`,
    ),
  ]);
  assert.equal(still.signal, 'SIGKILL');
  const told = JSON.parse(still.log) as { level: number; time: number; msg: string };
  assert.equal(told.level, 60);
  assert.ok(Math.abs(told.time - Date.now()) < 600_000);
  assert.match(told.msg, /^Threadbox stood still for 2 seconds and was killed, to be started again$/);
  assert.deepEqual(stopped, { code: null, signal: 'SIGTERM', log: '' });
  assert.deepEqual(debugged, { code: 0, signal: null, log: '' });
  assert.deepEqual(busy, { code: 0, signal: null, log: '' });
});
