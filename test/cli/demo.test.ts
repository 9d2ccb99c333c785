import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { connectDocker } from '../../src/containers/client.ts';
import { connectEmbedded } from '../../src/embedded/embedded.ts';
import { privateDir, startThreadbox, threadboxProcess, type Running } from './threadbox.ts';

let dir: Awaited<ReturnType<typeof privateDir>>;
let demo: Running | null = null;
beforeEach(async () => {
  dir = await privateDir();
});
afterEach(async () => {
  await demo?.kill();
  demo = null;
  await dir.close();
});

const demoDir = (): string => join(dir.path, 'demo');

/** Everything in Docker that carries the label of the demo that ran last. */
async function leftInDocker(): Promise<string[]> {
  const mark = JSON.parse(await readFile(join(demoDir(), 'threadbox-demo.json'), 'utf8')) as {
    installation: string;
  };
  const docker = connectDocker(process.env['DOCKER_HOST'] ?? '');
  const filters = JSON.stringify({ label: [`threadbox.instance=${mark.installation}`] });
  const [containers, { Volumes: volumes }, networks] = await Promise.all([
    docker.listContainers({ all: true, filters }),
    docker.listVolumes({ filters }),
    docker.listNetworks({ filters }),
  ]);
  return [...containers, ...volumes, ...networks].map((one) => ('Name' in one ? one.Name : one.Id));
}

test('--once plays the conversation, leaves with 0, and nothing is left behind', async () => {
  const { code, out, err } = await threadboxProcess(['demo', '--once', '--dir', demoDir()]);
  assert.equal(err, '');
  assert.equal(code, 0);
  assert.equal(out.match(/┌─ You write/g)?.length, 6);
  assert.equal(out.match(/┌─ Answer after \d+\.\d s/g)?.length, 6);
  assert.match(out, /┌─ The bot writes after[^]*│ Your container goes at[^]*│ Kept until/);
  assert.match(out, /\nThe container is saved and removed\.\n[^]*│ Your work of .* was restored/);
  assert.match(out, /│ Exit code 3 after/i);
  assert.match(out, /│ Nothing was run\. Did you mean my-react-app\?/);
  assert.match(out, /\n7 scenes, each as it should be\.\n$/);
  // oxlint-disable-next-line no-control-regex -- where nobody watches, nothing is painted
  assert.doesNotMatch(out, /\u001b/);
  assert.deepEqual(await leftInDocker(), []);
});

/** It plays the conversation once more. */
if (process.env['FAULTS'] === 'long') {
  test('it stays up for mail from anybody on the machine, refuses a second demo, and ends with Ctrl-C', async () => {
    demo = startThreadbox(['demo', '--dir', demoDir()]);
    await demo.says(/Ctrl-C stops all of it\./);
    assert.match(demo.said.out, /IMAP +127\.0\.0\.1, port \d+, no TLS/);

    const second = await threadboxProcess(['demo', '--once', '--dir', demoDir()]);
    assert.equal(second.code, 1);
    assert.match(second.err, /^threadbox: another demo runs on .*\.\nStop it with Ctrl-C where it runs/);

    const words = ['mail', '--subject', '[my-react-app] My turn', '--body', 'cat notes.txt'];
    const mine = await threadboxProcess(words, { env: { DATA_DIR: demoDir() } });
    assert.equal(mine.code, 0, mine.err);
    assert.match(mine.out, /\nwritten by the first mail\n/);

    const { code } = await demo.stop('SIGINT');
    assert.equal(code, 0);
    assert.match(demo.said.out, /\nStopping \.\.\./);
    assert.deepEqual(await leftInDocker(), []);
    assert.equal(await connectEmbedded(demoDir()), null);
  });
}

test('Ctrl-C in the middle of the play ends it with 130, and nothing is left behind', async () => {
  demo = startThreadbox(['demo', '--once', '--dir', demoDir()]);
  await demo.says(/2\. The next command[^]*└─/);
  const { code, tookMs } = await demo.stop('SIGINT');
  assert.equal(code, 130);
  assert.ok(tookMs < 15_000, `${tookMs} ms`);
  assert.match(demo.said.err, /^threadbox: the demo was stopped before its end\n$/);
  assert.deepEqual(await leftInDocker(), []);
});

test('a directory that holds something else is left alone', async () => {
  await mkdir(demoDir());
  await writeFile(join(demoDir(), 'thesis.txt'), 'years of work');
  const { code, err } = await threadboxProcess(['demo', '--once', '--dir', demoDir()]);
  assert.equal(code, 1);
  assert.match(err, /holds something else than a demo, and would be emptied/);
  assert.equal(await readFile(join(demoDir(), 'thesis.txt'), 'utf8'), 'years of work');
});

test('an engine that does not answer, and an image that cannot be had, end it with the reason', async () => {
  const words = ['demo', '--once', '--dir', demoDir()];
  const engine = await threadboxProcess(words, { env: { DOCKER_HOST: 'unix:///nowhere/docker.sock' } });
  assert.equal(engine.code, 1);
  assert.match(
    engine.err,
    /^threadbox: the Docker Engine at unix:\/\/\/nowhere\/docker\.sock \(DOCKER_HOST\) does not/,
  );
  const image = await threadboxProcess(words, { env: { CONTAINER_IMAGE: 'registry.invalid/no/image:1' } });
  assert.equal(image.code, 1);
  assert.match(
    image.err,
    /^threadbox: Expected the image registry\.invalid\/no\/image:1, but it cannot be pulled/,
  );
});
