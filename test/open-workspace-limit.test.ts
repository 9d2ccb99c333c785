import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Docker } from '../src/containers/client.ts';
import { isLeftTrial, isTrial, newTrial } from '../src/containers/disk-trials.ts';
import { roomFinding, weakerFinding } from '../src/cli/doctor-workspaces.ts';
import { ok } from '../src/cli/doctor-findings.ts';
import { readLimitNote, writeLimitNote } from '../src/limit-note.ts';
import { openWorkspaceLimit } from '../src/open-workspace-limit.ts';
import { collectedLog } from './support/collected-log.ts';
import { until } from './support/until.ts';

const away = () => Promise.reject(new Error('connect ENOENT'));

/** A bot's start, beside an engine that is away until `comes`. */
async function start(t: TestContext, containerRuntime: string, workspaceLimit: 'quota' | 'off' = 'quota') {
  const dataDir = await mkdtemp(join(tmpdir(), 'threadbox-limit-'));
  t.after(() => rm(dataDir, { recursive: true }));
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
    dataDir,
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
      now: () => new Date(),
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

/** What a helper says, and then ends; nothing where its engine has ended it. */
function frames(text: string): Buffer[] {
  const header = Buffer.from([1, 0, 0, 0, 0, 0, 0, text.length]);
  return text === '' ? [] : [Buffer.concat([header, Buffer.from(text)])];
}

test('what an engine says and does while it stops is no answer: it is asked again before a container is started', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'threadbox-limit-'));
  t.after(() => rm(dataDir, { recursive: true }));
  t.mock.method(process as { getuid: () => number }, 'getuid', () => 1000);
  // In this order: it is away, it ends the helper that makes a disk, and the one that takes it away, its disk is full, and all is well.
  const said: string[] = ['', '', 'no room', 'no room', 'well'];
  let state = 'stopping';
  const refused = (words: string) => Promise.reject(Object.assign(new Error(words), { statusCode: 500 }));
  const volume = { remove: () => Promise.resolve(), inspect: () => Promise.resolve({ Mountpoint: '/' }) };
  const made = new Set<string>();
  const docker = {
    ping: () => (state === 'stopping' ? ((state = 'back'), away()) : Promise.resolve()),
    info: () => Promise.resolve({ MemTotal: 0, DockerRootDir: '/', Runtimes: { runc: {} } }),
    createVolume: ({ Name: name, DriverOpts: { size } }: { Name: string; DriverOpts: { size?: string } }) => {
      made.add(name);
      return size === undefined ? Promise.resolve(volume) : refused('no quota support');
    },
    getVolume: () => volume,
    getImage: () => ({ inspect: () => Promise.resolve({}) }),
    createContainer: () => {
      const next = said[0] === 'well' ? said[0] : said.shift();
      if (next === 'no room') return refused('mkfs.ext4: No space left on device');
      return Promise.resolve({
        attach: () => Promise.resolve(frames(next === 'well' ? '/dev/loop7\n# threadbox: done\n' : '')),
        start: () => Promise.resolve(),
        wait: () => Promise.resolve(),
        kill: () => Promise.resolve(),
      });
    },
  };
  const stopping = new AbortController();
  t.after(() => stopping.abort());
  const { log, lines } = collectedLog();
  const reasons: string[] = [];
  const config = { containerRuntime: 'runc', dataDir, guardImage: 'threadbox-guard:1' };
  const { workspaceLimit, imageReady } = await openWorkspaceLimit(
    {
      config: { ...config, workspaceLimit: 'auto', workspaceSizeBytes: 2 ** 30 },
      log,
      signal: stopping.signal,
    },
    {
      docker: docker as unknown as Docker,
      installation: 'x',
      imageMade: () => Promise.resolve(),
      now: () => new Date(),
    },
    { isUp: () => undefined, isDown: ({ message }) => reasons.push(message) },
  );
  const codes = new Set<unknown>();
  await until(() =>
    imageReady().then(
      () => true,
      (error: { code?: unknown }) => (codes.add(error.code), false),
    ),
  );
  // Commands wait for it, whatever it was, and are not given up.
  assert.deepEqual([...codes], ['DOCKER_UNREACHABLE']);
  assert.equal(workspaceLimit.way, 'image');
  assert.deepEqual(
    reasons.map((reason) => reason.replace(/[(:].*/, '').trim()),
    [
      'Docker does not answer',
      'Docker ended a container that was to see to the disks of workspaces',
      'The disk of the machine is full, so that it cannot be found out how workspaces are kept to their size',
    ],
  );
  assert.deepEqual(
    lines.filter(({ msg }) => msg.startsWith('workspaces are limited')).map(({ msg }) => msg),
    ['workspaces are limited by a disk image for each, made by a helper container'],
  );
  assert.equal((await readLimitNote(dataDir))?.way, 'image');
  // No two trials have the same name: two bots may be at it.
  assert.ok(made.size >= 5);
  for (const name of made) assert.ok(isTrial(name, 'x'), name);
});

test('what a trial has left is known by its name, also that of before, and none that may still go on', () => {
  const at = new Date('2026-11-23T12:00:00Z');
  const after = (minutes: number) => new Date(at.getTime() + minutes * 60_000);
  const name = newTrial('x', at);
  const cases: [name: string, now: Date, isLeft: boolean][] = [
    [name, at, false],
    [name, after(59), false],
    [name, after(61), true],
    [name, after(-61), true],
    ['threadbox-x-trial', at, true],
    [newTrial('y', at), after(61), false],
    ['ai-dev-threadbox-x-trial-0123456789-workspace', after(61), false],
  ];
  for (const [left, now, isLeft] of cases) assert.equal(isLeftTrial(left, 'x', now), isLeft, left);
  assert.notEqual(newTrial('x', at), name);
});

test('the doctor tells what a start has found, and of a disk that holds less than one workspace may', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'threadbox-limit-'));
  t.after(() => rm(dataDir, { recursive: true }));
  assert.equal(await readLimitNote(dataDir), null);
  const note = {
    way: 'measured',
    obstacles: { image: 'no loop devices' },
    at: new Date('2026-11-23T12:00:00Z'),
  };
  await writeLimitNote(dataDir, note);
  assert.deepEqual(await readLimitNote(dataDir), note);
  await writeFile(join(dataDir, 'workspaces', 'limit.json'), '');
  assert.equal(await readLimitNote(dataDir), null);
  const found = ok('workspaces', '10240 MB each, by a disk image for each, made directly');
  const { level, says } = weakerFinding(found, note);
  assert.equal(level, 'warn');
  assert.match(says, /the bot that was started on 2026-11-23T12:00Z only looks at them: no loop devices$/);
  assert.equal(roomFinding(found, 2 ** 30, 2 ** 30), found);
  assert.equal(roomFinding(found, 2 ** 30, null), found);
  assert.match(roomFinding(found, 2 ** 30, 2 ** 29).says, /; but only 512 MB are free for all of them$/);
});
