import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, writeFile } from 'node:fs/promises';
import { createServer, connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { after, before, describe, it, type TestContext } from 'node:test';
import { connectDocker } from '../../src/containers/client.ts';
import { removeContainer, stopContainer } from '../../src/containers/container.ts';
import { startExecWithInput } from '../../src/containers/exec-input.ts';
import { startExec } from '../../src/containers/exec.ts';
import { hasSave } from '../../src/containers/saves-store.ts';
import { docker, execIn, dockerHost, git, temporaryDir, upstream } from './rig.ts';
import { leftovers, richUpstream, startSaveRig, type SaveRig } from './save-rig.ts';

const closers: (() => unknown)[] = [];
const scope = { after: (close: () => unknown) => void closers.unshift(close) } as Parameters<
  typeof startSaveRig
>[0];
let rig: SaveRig;
let lastId = 0;
const nextId = () => (lastId += 1);

before(async () => {
  rig = await startSaveRig(scope, { url: await richUpstream(scope) });
});
after(async () => {
  for (const close of closers) await close();
});

describe('a save that fails', () => {
  /** The engine, through a connection that breaks after so many bytes of its answers. */
  async function breaking(t: TestContext, afterBytes: number) {
    const path = join(await temporaryDir(t), 'docker.sock');
    const server = createServer((client) => {
      const engine = connect(dockerHost.replace('unix://', ''));
      let seen = 0;
      engine.on('data', (chunk) => {
        seen += chunk.length;
        if (seen > afterBytes) client.destroy();
        else client.write(chunk);
      });
      client.on('data', (chunk) => engine.write(chunk));
      client.on('error', () => undefined).on('close', () => engine.destroy());
      engine.on('error', () => undefined).on('close', () => client.destroy());
    }).listen(path);
    await once(server, 'listening');
    t.after(() => server.close());
    return connectDocker(`unix://${path}`);
  }

  it('for a broken connection leaves everything as it was; so does a restore', async (t) => {
    const one = await rig.open();
    await one.sh('head -c 3000000 /dev/urandom >data');
    for (const afterBytes of [250, 1000, 1_000_000]) {
      const id = nextId();
      await assert.rejects(one.save(id, {}, await breaking(t, afterBytes)), {
        name: 'ContainersError',
        code: /SAVE_FAILED|DOCKER_UNREACHABLE/,
      });
      assert.equal(await hasSave(rig.storePath, id), false);
      assert.deepEqual(await leftovers(rig.storePath), []);
    }
    const id = nextId();
    const saved = await one.save(id);
    const two = await rig.open({ isEmpty: true });
    assert.equal(await two.prepare(true), 'empty');
    await assert.rejects(two.restore(id, await breaking(t, 250)), { name: 'ContainersError' });
    assert.equal(await two.prepare(true), 'empty');
    await assert.rejects(two.restore(99_999), { code: 'RESTORE_FAILED', message: /no such saved state/ });
    assert.equal(await two.prepare(true), 'empty');
    await two.restore(id);
    assert.equal(await two.prepare(true), 'ready');
    assert.equal((await two.save(nextId(), { base: saved.snapshot })).carriedBytes, 0);
  });

  it('for the end of the bot, or for the time it takes, is told as that', async () => {
    const one = await rig.open();
    const stop = new AbortController();
    setTimeout(() => stop.abort(new Error('the bot stops')), 60);
    await one.sh('head -c 12000000 /dev/urandom >data');
    await assert.rejects(one.save(nextId(), { signal: stop.signal }), /the bot stops/);
    await assert.rejects(one.save(nextId(), { timeoutMs: 100 }), {
      code: 'SAVE_FAILED',
      message: /no end after/,
    });
    await one.save(nextId());
    assert.deepEqual(await leftovers(rig.storePath), []);
  });

  it('because there is too much of it, says so before any of it comes; and no later than when it comes', async (t) => {
    const one = await rig.open();
    await one.sh('head -c 3000000 /dev/urandom >data');
    const packMaxBytes = 2_000_000;
    const tooLarge = {
      code: 'SAVE_FAILED',
      message:
        /^The work could not be saved: what is new in it is more than a save can carry \(4 GB\)\. Remove/,
    };
    await assert.rejects(one.save(nextId(), { packMaxBytes }, await breaking(t, 500_000)), tooLarge);
    // Commits are made smaller on the way, by how much nobody knows before.
    await one.sh('for ((i = 0; i < 21; i++)); do git commit -q --allow-empty -m more; done');
    await assert.rejects(one.save(nextId(), { packMaxBytes }), tooLarge);
    await one.sh('rm data');
    await one.save(nextId(), { packMaxBytes });
    assert.deepEqual(await leftovers(rig.storePath), []);
  });

  it('because the workspace was not prepared, or not restored as a whole, leaves what was saved', async () => {
    const one = await rig.open();
    await one.sh('echo 1 >x');
    const id = nextId();
    const { snapshot } = await one.save(id);
    const two = await rig.open({ isEmpty: true });
    const refused = () =>
      assert.rejects(two.save(id, { kind: 'final', base: snapshot }), {
        code: 'WORKSPACE_NOT_READY',
        message: /nothing to save/,
      });
    await refused();
    assert.equal(await two.prepare(true), 'empty');
    await refused();
    await two.restore(id);
    assert.equal((await two.save(id, { base: snapshot })).snapshot, snapshot);
    await two.wipe();
    await refused();
    // It makes nothing that the next one could take for a workspace.
    const left = await execIn(two.container.id, ['ls', '-A', '/workspace']);
    assert.equal(left, '');
    assert.equal(await hasSave(rig.storePath, id), true);
  });

  it('because a command has taken the repository away, says so; the state before comes back beside what is there', async () => {
    const one = await rig.open();
    await one.sh(`echo 1 >x; echo 1 >../beside; echo 1 >~/.own; cd ..; tee $'a\\n[*]b' aX[*]b 'c ' c <<<1`);
    const id = nextId();
    const { snapshot } = await one.save(id, { kind: 'full' });
    // More beside it than a command line has room for, and names that are no lines.
    await one.sh(`mv ../my-app ../old; echo 2 >../old/x; echo 2 >../beside; echo 2 >~/.own
      cd ..; tee $'a\\n[*]b' 'c ' <<<2; rm aX[*]b c; seq -f '${'y'.repeat(90)}%g' 25000 | xargs touch`);
    const refused = () =>
      assert.rejects(one.save(id, { kind: 'final', base: snapshot }), {
        code: 'REPOSITORY_MISSING',
        message: /^The directory my-app is not in the workspace any more/,
      });
    await refused();
    // The engine makes the working directory of a container, where there is none.
    await stopContainer(docker, one.container.id);
    await docker.getContainer(one.container.id).start();
    await refused();
    assert.equal(await one.prepare(true), 'missing');
    // A restore that never came to its end: what is beside it is in no save.
    await refused();
    assert.equal(await one.prepare(true), 'empty');
    await one.restore(id);
    assert.equal(await one.sh('cat x ../old/x ../beside ~/.own'), '1\n2\n2\n2\n');
    assert.equal(
      await one.sh(`cd ..; cat $'a\\n[*]b' 'c ' aX[*]b c; find . -name 'yyy*' -delete`),
      '2\n2\n1\n1\n',
    );
    // Removed with the bot's own notes, but not with everything.
    await one.sh('rm -rf ../my-app ../.threadbox');
    await refused();
  });

  it('for nothing but a link in the place of attributes is none: neither clone, save nor restore reads it', async (t) => {
    const url = await upstream(t);
    execFileSync('bash', ['-ec', 'ln -s /dev/zero .gitattributes; ln -s /dev/zero src/.gitattributes'], {
      cwd: url,
    });
    git(url, 'add', '-A');
    git(url, 'commit', '-qm', 'Endless');
    const endless = await startSaveRig(t, { url });
    const one = await endless.open();
    await one.sh('echo 1 >x');
    await one.save(1);
    const two = await endless.open({ isEmpty: true });
    await two.prepare(true);
    await two.restore(1);
    assert.equal(await two.sh('cat x; readlink .gitattributes'), '1\n/dev/zero\n');
  });

  it('for a container that nobody knows, or that has gone, or a corrupt repository, or a closed one', async () => {
    const one = await rig.open();
    await one.sh('chmod 000 .git');
    // Without its commits the files are not the work.
    await assert.rejects(one.save(nextId()), { code: 'SAVE_FAILED', message: /\.git may not be read/ });
    await one.sh('chmod 755 .git');
    await one.sh(
      'echo 1 >x; git add x; git commit -qm X; find .git/objects -type f -path "*/??/*" -exec chmod u+w {} + -exec truncate -s 3 {} +',
    );
    await assert.rejects(one.save(nextId()), {
      code: 'SAVE_FAILED',
      message: /corrupt|damaged|bad object|unable|unavailable|loose object/,
    });
    const nobody = { command: ['true'], env: {} };
    await assert.rejects(startExec(docker, '', nobody), { code: 'CONTAINER_GONE' });
    await assert.rejects(startExecWithInput(docker, '', nobody), { code: 'CONTAINER_GONE' });
    await stopContainer(docker, '');
    await removeContainer(docker, '');
    await docker.getContainer(one.container.id).remove({ force: true });
    await assert.rejects(one.save(nextId()), { code: 'CONTAINER_GONE' });
  });

  it('for a bot that is killed leaves nothing in the way of the next one', async () => {
    const one = await rig.open();
    await one.sh('head -c 12000000 /dev/urandom >data');
    const script = `
      import { connectDocker } from '${join(import.meta.dirname, '../../src/containers/client.ts')}';
      import { saveWorkspace } from '${join(import.meta.dirname, '../../src/containers/save.ts')}';
      await saveWorkspace(connectDocker('${dockerHost}'), '${one.container.id}', { threadId: 'x', repositoryName: 'my-app', kind: 'quick', style: 'commit',
        storePath: '${rig.storePath}', mirrorPath: '${rig.mirrorPath}', savedStateId: 77777, base: null, now: new Date(), signal: new AbortController().signal });`;
    const bot = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
      stdio: 'ignore',
    });
    const ended = once(bot, 'exit');
    const incoming = async () => (await leftovers(rig.storePath)).some((name) => /tmp_pack/.test(name));
    while (!(await incoming()) && bot.exitCode === null) await pause(5);
    bot.kill('SIGKILL');
    await ended;
    await writeFile(join(rig.storePath, 'packed-refs.lock'), '');
    const saved = await one.save(nextId());
    assert.ok(saved.carriedBytes > 12_000_000);
    assert.deepEqual(await leftovers(rig.storePath), []);
    assert.equal(await hasSave(rig.storePath, 77_777), false);
  });

  it("for the bot's full disk says so", async (t) => {
    const one = await rig.open();
    await one.sh('head -c 9000000 /dev/urandom >data');
    const dir = await temporaryDir(t);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', dir]);
    try {
      const storePath = join(dir, 'thread.git');
      const failing = one.save(nextId(), { storePath });
      await assert.rejects(failing, { code: 'SAVE_FAILED', message: /disk is full/ });
      assert.deepEqual(await leftovers(storePath), []);
      await one.sh('rm data');
      await one.save(nextId(), { storePath });
    } finally {
      execFileSync('umount', [dir]);
    }
  });

  it('is none when the disk of the workspace is full: what is needed lies elsewhere meanwhile', async () => {
    const one = await rig.open({ sizeBytes: 6_000_000 });
    await one.sh(
      'echo 1 >one; head -c 50000000 /dev/urandom >filler 2>/dev/null || true; rm -f ../.threadbox/log',
    );
    const id = nextId();
    const saved = await one.save(id, { kind: 'final' });
    assert.match(saved.leftOut.join('\n'), /the disk of the workspace is full/);
    const sum = await one.sh('sha256sum <filler');
    const two = await rig.open({ isEmpty: true });
    await two.prepare(true);
    await two.restore(id);
    assert.equal(await two.sh('sha256sum <filler'), sum);
    await assert.rejects(access('/tmp/threadbox-save'));
  });
});
