import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { rename, rm, writeFile, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { dockerCli, execIn, git, silent, never, startRig, temporaryDir, text, upstream } from './rig.ts';
import { ensureMirror, mirrorPathOf } from '../../src/containers/mirror.ts';

describe('the workspace of a thread', () => {
  it('borrows the objects of the mirror and fetches through it, under the true address', async (t) => {
    const url = await upstream(t);
    const rig = await startRig(t, { url });
    assert.equal(text(await rig.run('git config remote.origin.url')), `${url}\n`);
    assert.equal(
      text(await rig.run('git count-objects; ls -A /workspace')),
      '0 objects, 0 kilobytes\n.home\n.threadbox\nmy-app\n',
    );
    await writeFile(join(url, 'later.txt'), 'later\n');
    git(url, 'add', '-A');
    git(url, 'commit', '--quiet', '-m', 'Later');
    const [, mirrorPath = ''] =
      /source=(\S+7\.git)/.exec(
        await dockerCli('inspect', '-f', '{{range .Mounts}}source={{.Source}} {{end}}', rig.container.id),
      ) ?? [];
    const mirrorsDir = join(mirrorPath, '..');
    assert.equal(mirrorPathOf(mirrorsDir, 7), mirrorPath);
    await ensureMirror({ mirrorsDir, repository: { id: 7, url }, log: silent, signal: never });
    assert.match(text(await rig.run('git pull --quiet && cat later.txt')), /^later\n$/);
  });

  it('an upstream without any commit works', async (t) => {
    const rig = await startRig(t, { url: await upstream(t, { isEmpty: true }), branch: 'trunk' });
    const result = await rig.run(
      'ls -A; echo 1 > one; git add one; git commit -qm One; git log --oneline | wc -l',
    );
    assert.equal(text(result), '.git\n1\n');
    assert.equal(result.branch, 'trunk');
    assert.deepEqual(result.changes, { files: [{ path: 'one', added: 1, removed: 0 }], isComplete: true });
  });

  it("a branch is checked out; one that is not there is told in git's words", async (t) => {
    const url = await upstream(t);
    git(url, 'branch', 'release/1');
    assert.equal((await (await startRig(t, { url, branch: 'release/1' })).run('true')).branch, 'release/1');
    await assert.rejects(startRig(t, { url, branch: 'nowhere' }), {
      code: 'WORKSPACE',
      message: /Remote branch nowhere not found/,
    });
  });

  it('preparing it again changes nothing; a half-made clone is made whole, a lost one again', async (t) => {
    const rig = await startRig(t);
    await rig.run('echo mine > mine; rm README.md');
    await rig.prepare();
    assert.equal(text(await rig.run('git status --short')), ' D README.md\n?? mine\n');
    await rig.run(
      'cd ..; rm -rf my-app .threadbox; mkdir -p .threadbox/clone.part/.git my-app; touch .threadbox/clone.part/x',
    );
    await rig.prepare();
    const result = await rig.run('pwd; git status --short; ls');
    assert.equal(text(result), '/workspace/my-app\nREADME.md\nlogo.bin\nsrc\n');
    assert.equal(result.changes.isComplete, true);
  });
});

describe('preparing a workspace that a command has spoiled', () => {
  it('a FIFO in the place of a file is no hindrance', async (t) => {
    const rig = await startRig(t);
    await rig.run('cd /workspace/.threadbox; for f in gitconfig log tree; do rm -f $f; mkfifo $f; done');
    await rig.prepare();
    assert.equal(text(await rig.run('git config user.email')), 'john@example.com\n');
  });

  it('what takes too long is killed; the end of the bot is not waited through', async (t) => {
    const rig = await startRig(t);
    const spoil = 'rm -rf /workspace/.threadbox .git/config; mkfifo .git/config';
    await execIn(rig.container.id, ['bash', '-c', spoil], { user: '1000', dir: '/workspace/my-app' });
    await assert.rejects(rig.prepare({ timeoutMs: 1500 }), {
      code: 'WORKSPACE',
      message: /no end after 2 s/,
    });
    const left = await execIn(rig.container.id, ['bash', '-c', 'pgrep -a git || echo none']);
    assert.equal(left, 'none\n');
    const stop = new AbortController();
    setTimeout(() => stop.abort(new Error('the bot stops')), 300);
    await assert.rejects(rig.prepare({ signal: stop.signal }), /the bot stops/);
  });
});

describe('the mirror of a repository', () => {
  const ask = (mirrorsDir: string, url: string) =>
    ensureMirror({ mirrorsDir, repository: { id: 1, url }, log: silent, signal: never });

  it('is made once for all who ask at the same time', async (t) => {
    const url = await upstream(t);
    const mirrorsDir = join(await temporaryDir(t), 'mirrors');
    const mirrors = await Promise.all([ask(mirrorsDir, url), ask(mirrorsDir, url), ask(mirrorsDir, url)]);
    assert.deepEqual(
      mirrors,
      Array.from({ length: 3 }, () => ({ path: join(mirrorsDir, '1.git'), notes: [] })),
    );
    assert.equal(git(mirrors[0]?.path ?? '', 'rev-parse', 'main'), git(url, 'rev-parse', 'main'));
  });

  it('follows the upstream: deleted and forced branches, another default branch', async (t) => {
    const url = await upstream(t);
    const mirrorsDir = await temporaryDir(t);
    git(url, 'branch', 'gone');
    const { path } = await ask(mirrorsDir, url);
    const before = git(path, 'rev-parse', 'main').trim();
    git(url, 'branch', '-D', '--quiet', 'gone');
    git(url, 'commit', '--quiet', '--amend', '-m', 'Forced');
    git(url, 'branch', '-m', 'main', 'trunk');
    await ask(mirrorsDir, url);
    assert.equal(git(path, 'for-each-ref', '--format=%(refname)'), 'refs/heads/trunk\n');
    assert.equal(git(path, 'symbolic-ref', 'HEAD'), 'refs/heads/trunk\n');
    assert.equal(
      git(path, 'cat-file', '-t', before),
      'commit\n',
      'what a workspace may have borrowed is kept',
    );
  });

  it("an upstream that is away is told in git's words; with a mirror from before, in a note", async (t) => {
    const mirrorsDir = await temporaryDir(t);
    const missing = join(mirrorsDir, 'nowhere');
    await assert.rejects(ask(mirrorsDir, missing), {
      code: 'REPOSITORY_UNAVAILABLE',
      message: /nowhere.*does not exist/,
    });
    const url = await upstream(t);
    const { path } = await ask(mirrorsDir, url);
    const fetchedAt = new Date('2026-01-02T03:04:05Z');
    await utimes(join(path, 'HEAD'), fetchedAt, fetchedAt);
    await rename(url, `${url}-away`);
    t.after(() => rm(`${url}-away`, { recursive: true }));
    await ask(mirrorsDir, url);
    const { notes } = await ask(mirrorsDir, url);
    assert.equal(notes.length, 1);
    // When it could be fetched, and not when that was tried.
    assert.match(notes[0] ?? '', /this is its state of 2026-01-02T03:04:05Z\./);
    assert.match(notes[0] ?? '', /could not be fetched.*does not (exist|appear)/s);
    await rename(`${url}-away`, url);
    assert.deepEqual((await ask(mirrorsDir, url)).notes, []);
    await rename(url, `${url}-away`);
    assert.doesNotMatch((await ask(mirrorsDir, url)).notes[0] ?? '', /2026-01-02/);
  });

  it('of a repository that has moved: the old one does not stand in for the new one', async (t) => {
    const mirrorsDir = await temporaryDir(t);
    const { path } = await ask(mirrorsDir, await upstream(t));
    const moved = await upstream(t);
    git(moved, 'checkout', '--quiet', '-b', 'trunk');
    git(moved, 'commit', '--quiet', '--allow-empty', '-m', 'Moved');
    await rename(moved, `${moved}-away`);
    t.after(() => rm(`${moved}-away`, { recursive: true, force: true }));
    await assert.rejects(ask(mirrorsDir, moved), { code: 'REPOSITORY_UNAVAILABLE' });
    await rename(`${moved}-away`, moved);
    assert.deepEqual((await ask(mirrorsDir, moved)).notes, []);
    assert.equal(git(path, 'symbolic-ref', 'HEAD'), 'refs/heads/trunk\n');
    await rename(moved, `${moved}-away`);
    assert.equal((await ask(mirrorsDir, moved)).notes.length, 1);
  });

  it('locks that a killed git left are no hindrance', async (t) => {
    const url = await upstream(t);
    const mirrorsDir = await temporaryDir(t);
    git(url, 'branch', 'gone');
    const { path } = await ask(mirrorsDir, url);
    git(url, 'branch', '-D', '--quiet', 'gone');
    git(url, 'commit', '--quiet', '--amend', '-m', 'Forced');
    for (const name of ['packed-refs.lock', 'refs/heads/main.lock', 'config.lock']) {
      await writeFile(join(path, name), '');
    }
    assert.deepEqual((await ask(mirrorsDir, url)).notes, []);
    assert.equal(git(path, 'rev-parse', 'main'), git(url, 'rev-parse', 'main'));
  });

  it('credentials are given to the server alone: not to a file, not to a message', async (t) => {
    const seen: string[] = [];
    const server = createServer((request, response) => {
      const { authorization } = request.headers;
      if (authorization !== undefined) seen.push(authorization);
      response
        .writeHead(authorization === undefined ? 401 : 403, { 'www-authenticate': 'Basic realm="x"' })
        .end();
    });
    t.after(() => server.close());
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const mirrorsDir = await temporaryDir(t);
    const failing = ask(mirrorsDir, `http://me:to%20ken@127.0.0.1:${port}/x.git`);
    await assert.rejects(
      failing,
      (error: Error) => /403/.test(error.message) && !/to(%20| )ken/.test(error.message),
    );
    assert.deepEqual([...new Set(seen)], [`Basic ${Buffer.from('me:to ken').toString('base64')}`]);
  });

  it('an address that would run a command, or is an option, does not', async (t) => {
    const mirrorsDir = await temporaryDir(t);
    await assert.rejects(
      ask(mirrorsDir, `ext::sh -c "touch ${mirrorsDir}/ran"`),
      /transport 'ext' not allowed/,
    );
    await assert.rejects(ask(mirrorsDir, `--upload-pack=touch ${mirrorsDir}/ran`), {
      code: 'REPOSITORY_UNAVAILABLE',
    });
    await assert.rejects(writeFile(join(mirrorsDir, 'ran'), '', { flag: 'r+' }), { code: 'ENOENT' });
  });

  it("the bot's end ends it", async (t) => {
    const signal = AbortSignal.abort(new Error('the bot stops'));
    const repository = { id: 1, url: await upstream(t) };
    await assert.rejects(
      ensureMirror({ mirrorsDir: await temporaryDir(t), repository, log: silent, signal }),
      /the bot stops/,
    );
  });
});
