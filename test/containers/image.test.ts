import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { connectDocker } from '../../src/containers/client.ts';
import { ensureImage } from '../../src/containers/image.ts';
import { asRoot } from '../../src/root.ts';
import { until } from '../support/until.ts';

const docker = connectDocker(process.env['DOCKER_HOST'] ?? 'unix:///var/run/docker.sock');
const script = fileURLToPath(new URL('../../src/containers/build-image.sh', import.meta.url));
const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';

async function makeWorkDir(test: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'tb-image-'));
  test.after(() => rm(dir, { recursive: true }));
  return dir;
}

/** Where builds are under way: /var/tmp is taken where the directory of the caller forbids device files. */
async function buildsUnderWay(workDir: string): Promise<string[]> {
  const places = [workDir, '/var/tmp'];
  const names = await Promise.all(places.map((place) => readdir(place)));
  return places.flatMap((place, index) =>
    (names[index] ?? [])
      .filter((name) => name.startsWith('threadbox-image.'))
      .map((name) => join(place, name)),
  );
}

/** Those that a build could leave: where it is made, or on what it has links to. Others come and go with containers. */
async function mountsOfBuilds(): Promise<string[]> {
  const mounts = (await readFile('/proc/mounts', 'utf8')).split('\n');
  return mounts.filter((line) => /^\S+ (?:\S*\/threadbox-image\.|\/(?:proc|sys|dev)[ /])/.test(line));
}

test('an image that is there is taken as it is', async () => {
  const image = process.env['CONTAINER_IMAGE'] ?? 'threadbox-workspace:1';
  const lines: string[] = [];
  await ensureImage(docker, { image, engineDir: '/nonexistent', onProgress: (line) => lines.push(line) });
  assert.deepEqual(lines, []);
});

test('an image that cannot be pulled says so, and what to do', async () => {
  const image = '127.0.0.1:1/nobody/nothing:1';
  const pulled = ensureImage(docker, { image, engineDir: '/nonexistent', onProgress: () => undefined });
  await assert.rejects(pulled, (error: Error & { code?: string }) => {
    assert.equal(error.code, 'NO_IMAGE');
    assert.match(
      error.message,
      /Expected the image 127\.0\.0\.1:1\/nobody\/nothing:1, .*\n.*CONTAINER_IMAGE/s,
    );
    return true;
  });
});

test('a build that fails leaves nothing behind', async (t) => {
  const workDir = await makeWorkDir(t);
  const before = await buildsUnderWay(workDir);
  const mirror = 'http://127.0.0.1:1/debian';
  const args = [
    script,
    workDir,
    'bookworm',
    architecture,
    mirror,
    mirror,
    process.execPath,
    '/nonexistent.tgz',
    '1',
  ];
  const build = promisify(execFile)(...asRoot('sh', args));
  await assert.rejects(build, (error: { code?: number }) => typeof error.code === 'number' && error.code > 0);
  await until(async () => (await buildsUnderWay(workDir)).length === before.length);
});

test('a build ends, and leaves neither files nor mounts, when nobody holds its standard input any more', async (t) => {
  const workDir = await makeWorkDir(t);
  const before = await buildsUnderWay(workDir);
  // A mirror that takes the question and never answers.
  const mirror = createServer();
  mirror.listen(0, '127.0.0.1');
  await once(mirror, 'listening');
  const url = `http://127.0.0.1:${(mirror.address() as AddressInfo).port}/debian`;
  const mounts = await mountsOfBuilds();
  const args = [
    script,
    workDir,
    'bookworm',
    architecture,
    url,
    url,
    process.execPath,
    '/nonexistent.tgz',
    '1',
  ];
  let connections = 0;
  mirror.on('connection', (connection) => {
    connections += 1;
    connection.on('error', () => undefined);
  });
  const build = spawn(...asRoot('sh', args), { stdio: ['pipe', 'ignore', 'ignore'] });
  t.after(() => {
    build.stdin.end();
    mirror.close();
  });
  // Nor does the build wait for it: it asks again, on another connection.
  await until(() => connections > 1);
  assert.equal((await buildsUnderWay(workDir)).length, before.length + 1);
  build.stdin.end();
  const [status] = (await once(build, 'exit')) as [number | null];
  assert.notEqual(status, 0);
  await until(async () => (await buildsUnderWay(workDir)).length === before.length);
  assert.deepEqual(await mountsOfBuilds(), mounts);
});
