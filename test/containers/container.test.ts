import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { connectDocker, type Docker } from '../../src/containers/client.ts';
import { ensureContainer } from '../../src/containers/container.ts';
import { volumeName } from '../../src/containers/names.ts';
import { removeInstallation } from '../../src/containers/remove-installation.ts';
import { docker, dockerCli, dockerHost, image, LIMITS, startRig, text } from './rig.ts';

const spec = {
  instance: `test-${randomBytes(5).toString('hex')}`,
  threadId: 'a@example.com-x',
  userId: 1,
  repositoryId: 1,
  repositoryName: 'x',
  image: 'threadbox-no-such-image:1',
  mirrorPath: '/opt',
  limits: LIMITS,
  runtime: null,
};

describe('the container of a thread', () => {
  it('is found by name and labels, and is limited as promised', async (t) => {
    const rig = await startRig(t, { isAlone: true });
    const { Name, Config, HostConfig, Mounts, NetworkSettings } = await docker
      .getContainer(rig.container.id)
      .inspect();
    assert.match(Name, /^\/ai-dev-john-example\.com-my-app-/);
    assert.deepEqual(
      Object.fromEntries(Object.entries(Config.Labels).filter(([name]) => name.startsWith('threadbox.'))),
      {
        'threadbox.instance': rig.instance,
        'threadbox.thread': 'john@example.com-my-app',
        'threadbox.user': '3',
        'threadbox.repository': '7',
      },
    );
    assert.equal(HostConfig.Memory, 2 * 1024 ** 3);
    assert.equal(HostConfig.MemorySwap, 2 * 1024 ** 3);
    assert.equal(HostConfig.NanoCpus, 1e9);
    assert.equal(HostConfig.PidsLimit, 512);
    assert.equal(HostConfig.Init, true);
    assert.deepEqual([HostConfig.ReadonlyRootfs, HostConfig.IpcMode], [true, 'private']);
    assert.equal(HostConfig.Privileged, false);
    assert.deepEqual(HostConfig.CapDrop, ['ALL']);
    assert.deepEqual(HostConfig.SecurityOpt, ['no-new-privileges:true']);
    assert.deepEqual(HostConfig.LogConfig, {
      Type: 'json-file',
      Config: { 'max-size': '1m', 'max-file': '2' },
    });
    assert.deepEqual(
      Mounts.filter(({ RW }) => RW).map(({ Destination }) => Destination),
      ['/workspace'],
    );
    assert.deepEqual(Object.keys(NetworkSettings.Networks), [`threadbox-${rig.instance}`]);
    const network = await docker.getNetwork(`threadbox-${rig.instance}`).inspect();
    assert.equal(network.Options?.['com.docker.network.bridge.enable_icc'], 'false');
    const status = text(await rig.run('grep -E "^(CapEff|CapBnd|NoNewPrivs):" /proc/self/status'));
    assert.equal(
      status.replaceAll(/\s+/g, ' '),
      'CapEff: 0000000000000000 CapBnd: 0000000000000000 NoNewPrivs: 1 ',
    );
  });

  it('an operator finds the repository where docker exec begins', async (t) => {
    const rig = await startRig(t);
    assert.match(
      await dockerCli('exec', rig.container.name, 'git', 'status'),
      /On branch main[^]*working tree clean/,
    );
  });

  it('is used again, started again and made again; the workspace stays in each case', async (t) => {
    const rig = await startRig(t);
    await rig.run('export KEPT=yes; echo 1 > file');
    const again = await rig.ensure();
    assert.deepEqual(again, { ...rig.container, wasCreated: false, wasRunning: true });
    await dockerCli('stop', '-t', '1', rig.container.id);
    const started = await rig.ensure();
    assert.deepEqual(started, { ...rig.container, wasCreated: false, wasRunning: false });
    await dockerCli('rm', '-f', rig.container.id);
    const made = await rig.ensure();
    assert.deepEqual([made.wasCreated, made.wasRunning, made.name], [true, false, rig.container.name]);
    rig.container = made;
    assert.equal(text(await rig.run('cat file; echo $KEPT')), '1\nyes\n');
    await dockerCli('pause', made.id);
    assert.equal((await rig.ensure()).wasCreated, false);
    assert.equal(text(await rig.run('cat file')), '1\n');
  });

  it('one that will not start now is kept; one that never will is made again', async (t) => {
    const rig = await startRig(t, { isAlone: true });
    await dockerCli('stop', '-t', '0', rig.container.id);
    const refusing = connectDocker(dockerHost);
    const getContainer = refusing.getContainer.bind(refusing);
    refusing.getContainer = (id) =>
      Object.assign(getContainer(id), {
        start: () => Promise.reject(Object.assign(new Error('no space left'), { statusCode: 500 })),
      });
    await assert.rejects(rig.ensure({ through: refusing }), {
      code: 'DOCKER_REFUSED',
      message: /no space left/,
    });
    const started = await rig.ensure();
    assert.deepEqual([started.id, started.wasCreated], [rig.container.id, false]);
    await dockerCli('stop', '-t', '0', rig.container.id);
    await dockerCli('network', 'rm', `threadbox-${rig.instance}`);
    assert.equal((await rig.ensure()).wasCreated, true);
  });

  it('before a start it is said which network it is on; one on a network that is not ours is made anew', async (t) => {
    const instance = `test-${randomBytes(5).toString('hex')}`;
    t.after(() => removeInstallation(docker, instance));
    const asked: string[] = [];
    const ensure = (network: 'internet' | 'none') =>
      ensureContainer(docker, { ...spec, instance, image, network }, (kind) => {
        asked.push(kind);
        return Promise.resolve();
      });
    const first = await ensure('none');
    await docker.getContainer(first.id).stop({ t: 0 });
    const again = await ensure('internet');
    assert.deepEqual([again.id, again.network], [first.id, 'none']);
    await docker.getContainer(first.id).remove({ force: true });
    const Labels = { 'threadbox.instance': instance };
    const HostConfig = { NetworkMode: 'bridge' };
    await docker.createContainer({ name: first.name, Image: image, Labels, HostConfig });
    const made = await ensure('internet');
    assert.deepEqual([made.wasCreated, made.network], [true, 'internet']);
    assert.deepEqual(asked, ['none', 'none', 'internet']);
  });

  it("is made without the bot's authorities where the engine's host does not have them", async (t) => {
    const rig = await startRig(t);
    await dockerCli('rm', '-f', rig.container.id);
    const elsewhere = connectDocker(dockerHost);
    const createContainer = elsewhere.createContainer.bind(elsewhere) as (
      options: Docker.ContainerCreateOptions,
    ) => Promise<Docker.Container>;
    elsewhere.createContainer = (options: Docker.ContainerCreateOptions) => {
      const missing = options.HostConfig?.Mounts?.find(({ Source }) => Source.endsWith('.crt'))?.Source;
      if (missing === undefined) return createContainer(options);
      const words = `invalid mount config for type "bind": bind source path does not exist: ${missing}`;
      return Promise.reject(Object.assign(new Error(words), { statusCode: 400 }));
    };
    rig.container = await rig.ensure({ through: elsewhere });
    assert.equal(text(await rig.run('echo "$SSL_CERT_FILE"')), '\n');
  });

  it('an image that is not there is told apart, and an engine that is away', async (t) => {
    t.after(() => removeInstallation(docker, spec.instance));
    await assert.rejects(ensureContainer(docker, spec), { code: 'IMAGE_MISSING' });
    const away = connectDocker('unix:///tmp/threadbox-no-such-engine.sock');
    await assert.rejects(ensureContainer(away, spec), { code: 'DOCKER_UNREACHABLE' });
  });

  it('a full disk fails a command, and leaves the next one able to make room', async (t) => {
    const rig = await startRig(t, {
      beforeFirst: async (instance, threadId) => {
        const Name = volumeName(instance, threadId);
        const DriverOpts = { type: 'tmpfs', device: 'tmpfs', o: 'size=3m' };
        await docker.createVolume({ Name, Labels: { 'threadbox.instance': instance }, DriverOpts });
      },
    });
    const filling = await rig.run('head -c 10000000 /dev/zero > fill');
    assert.deepEqual([filling.ending, filling.exitCode], ['exited', 1]);
    assert.ok((filling.shortages?.disks[0]?.freeBytes ?? 1e9) < 1_000_000);
    const removing = await rig.run('rm fill; echo removed; exit 4');
    assert.deepEqual([removing.ending, removing.exitCode, text(removing)], ['exited', 4, 'removed\n']);
    const printing = await rig.run('head -c 10000000 /dev/zero; exit 5');
    assert.deepEqual([printing.ending, printing.exitCode], ['exited', 5]);
    assert.match(printing.note ?? '', /disk of the workspace was full/);
    assert.equal(text(await rig.run('echo fine')), 'fine\n');
  });
});
