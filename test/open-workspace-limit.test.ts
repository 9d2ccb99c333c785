import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Docker } from '../src/containers/client.ts';
import { openWorkspaceLimit } from '../src/open-workspace-limit.ts';
import { collectedLog } from './support/collected-log.ts';
import { until } from './support/until.ts';

const away = () => Promise.reject(new Error('connect ENOENT'));

/** A bot's start, beside an engine that is away until `comes`. */
async function start(t: TestContext, containerRuntime: string, workspaceLimit: 'quota' | 'off' = 'quota') {
  let isThere = false;
  const answers = <T>(answer: T) => (isThere ? Promise.resolve(answer) : away());
  const docker = {
    info: () => answers({ MemTotal: 0, DockerRootDir: '/', Runtimes: { runc: {} } }),
    createVolume: () => answers({}),
    getVolume: () => ({ remove: () => answers({}), inspect: () => answers({ Mountpoint: '/' }) }),
  };
  const stopping = new AbortController();
  t.after(() => stopping.abort());
  const states: string[] = [];
  const { log, lines } = collectedLog();
  const config = {
    containerRuntime,
    dataDir: '/nowhere',
    guardImage: 'threadbox-guard:1',
    workspaceLimit,
    workspaceSizeBytes: 2 ** 30,
  };
  let madeImages = 0;
  const opened = await openWorkspaceLimit(
    { config, log, signal: stopping.signal },
    {
      docker: docker as unknown as Docker,
      installation: 'x',
      imageMade: () => Promise.resolve(void (madeImages += 1)),
    },
    { isUp: () => states.push('up'), isDown: ({ message }) => states.push(message) },
  );
  return { ...opened, states, lines, imagesMade: () => madeImages, comes: () => (isThere = true) };
}

test('an engine that is away when the bot starts is waited for by those who want a container, and by nobody else', async (t) => {
  const bot = await start(t, 'runc');
  // Whoever tries again meanwhile hears why.
  await assert.rejects(bot.imageReady(), /^ContainersError: Docker does not answer .*: connect ENOENT$/);
  assert.deepEqual([bot.workspaceLimit.way, bot.imagesMade()], ['measured', 0]);
  bot.comes();
  await until(() =>
    bot.imageReady().then(
      () => true,
      () => false,
    ),
  );
  assert.deepEqual([bot.workspaceLimit.way, bot.imagesMade(), bot.fault()], ['quota', 1, null]);
  assert.match(bot.states[0] ?? '', /^Docker does not answer .*: connect ENOENT$/);
  assert.equal(bot.states.at(-1), 'up');
});

test('what is not to be limited is not, while the engine is away, either', async (t) => {
  const bot = await start(t, 'runc', 'off');
  assert.equal(bot.workspaceLimit.way, 'off');
});

test('a setting that the engine turns out not to have keeps all from it, and is told', async (t) => {
  const bot = await start(t, 'runsc');
  bot.comes();
  const fault = await until(async () => {
    const error = await bot.imageReady().catch((reason: unknown) => reason as Error);
    return error?.name === 'ConfigError' && error;
  });
  assert.match(fault.message, /has no runtime runsc/);
  assert.equal(bot.imagesMade(), 0);
  // For whoever asks whether the bot is ready.
  assert.equal(bot.fault(), fault);
  assert.deepEqual(
    bot.lines.filter(({ level }) => level >= 50).map(({ msg }) => msg),
    [`no command can be run: ${fault.message}`],
  );
});
