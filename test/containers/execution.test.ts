import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { startScript } from '../../src/containers/exec-input.ts';
import { runExecution } from '../../src/containers/execution.ts';
import { closeAll } from '../support/close-all.ts';
import { docker, dockerCli, never, request, startRig, text, type Rig } from './rig.ts';

describe('a command in its container', () => {
  let rig: Rig;
  const closers: (() => unknown)[] = [];
  before(async () => {
    rig = await startRig({ after: (closer) => void closers.push(closer as () => unknown) });
  });
  after(() => closeAll(closers));

  it('stdout and stderr come in the order in which they were written', async () => {
    const result = await rig.run('for i in $(seq 200); do echo out $i; echo err $i >&2; done');
    assert.equal(
      text(result),
      Array.from({ length: 200 }, (_, i) => `out ${i + 1}\nerr ${i + 1}\n`).join(''),
    );
  });

  it('the exit status is told: of exit, of the last command, of a signal, of a syntax error', async () => {
    for (const [script, exitCode] of [
      ['exit 3', 3],
      ['false', 1],
      ['true', 0],
      ['', 0],
      ['kill -KILL $$', 137],
      ['nosuchcommand', 127],
      ['if then', 2],
      ['set -e; false; echo not reached', 1],
    ] as const) {
      const result = await rig.run(script);
      assert.deepEqual([script, result.ending, result.exitCode], [script, 'exited', exitCode]);
    }
  });

  it('it runs as an ordinary user in the repository, without a terminal, with its input closed', async () => {
    const result = await rig.run(
      'pwd; id -u; id -g; cat; test -t 0 || test -t 1 || echo none; echo $CI $GIT_TERMINAL_PROMPT $HOME',
    );
    assert.equal(text(result), '/workspace/my-app\n1000\n1000\nnone\n1 0 /workspace/.home\n');
    assert.equal(result.branch, 'main');
  });

  it('directory and exported environment persist, also past exit, set -eu, set -x and a trap of its own', async () => {
    await rig.run('export A="one\n\'two\' \\"three\\" $HOME"; B=local; cd src; exit 4');
    await rig.run('set -eux; export C=c; false');
    await rig.run('trap "echo bye" EXIT; export D=d');
    const result = await rig.run('pwd; echo "$A|$B|$C|$D"; cd ..; unset A C D; export -n A C D');
    assert.equal(text(result), '/workspace/my-app/src\none\n\'two\' "three" /workspace/.home||c|d\n');
  });

  it('a directory that is gone is no hindrance', async () => {
    await rig.run('mkdir /tmp/gone; cd /tmp/gone; rmdir /tmp/gone');
    assert.equal(text(await rig.run('pwd')), '/workspace/my-app\n');
  });

  it('what is given to one command is not kept for the next, and goes before what was exported', async () => {
    assert.equal(
      text(await rig.run('echo $GIVEN; export GIVEN=mine OTHER=kept', { env: { GIVEN: 'se cret' } })),
      'se cret\n',
    );
    assert.equal(text(await rig.run('echo "$GIVEN|$OTHER"; export GIVEN=mine')), '|kept\n');
    assert.equal(text(await rig.run('echo "$GIVEN"', { env: { GIVEN: 'again' } })), 'again\n');
    assert.equal(
      text(
        await rig.run(
          'env | grep -c THREADBOX; grep -r --exclude="*.out" "[s]e cret" /workspace/.threadbox; unset OTHER',
        ),
      ),
      '0\n',
    );
  });

  it('heredocs, quotes and odd bytes in a script arrive as they are', async () => {
    const script =
      'cat <<\'E\'\n-- \n> "quoted" `x` $y \\n\nFrom: me\n---\n\tü€😀\u0001\u001b[31m\nE\nprintf %s "$(cat <<< "a  b")"';
    assert.equal(
      text(await rig.run(script)),
      '-- \n> "quoted" `x` $y \\n\nFrom: me\n---\n\tü€😀\u0001\u001b[31m\na  b',
    );
    assert.equal(text(await rig.run('echo a\0b')), 'ab\n');
  });

  it('a script far longer than one argument may be runs whole', async () => {
    const script = `${'# ü filler line of some length\n'.repeat(25_000)}echo end`;
    assert.equal(text(await rig.run(script)), 'end\n');
  });

  it('binary output and NUL bytes come back unchanged', async () => {
    const result = await rig.run(
      'printf "a\\0b\\377\\n"; printf "\\0threadbox-end\\0"; printf "\\0\\0end\\n"',
    );
    assert.deepEqual(result.output.head, Buffer.from('a\0b\xff\n\0threadbox-end\0\0\0end\n', 'latin1'));
  });

  it('100 MB of output keep both ends and the true length; memory and disk stay bounded', async () => {
    const rssBefore = process.memoryUsage().rss;
    let most = 0;
    const watch = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 20);
    const result = await rig
      .run('echo begin; yes 0123456789 | head -c 100000000; echo; echo end')
      .finally(() => clearInterval(watch));
    const { head, tail, totalBytes, omittedBytes, log } = result.output;
    assert.equal(totalBytes, 100_000_011);
    assert.equal(head.length + tail.length + omittedBytes, totalBytes);
    assert.match(head.toString(), /^begin\n0123456789\n/);
    assert.equal(tail.subarray(-18).toString(), '\n0123456789\n0\nend\n');
    assert.equal(log?.isComplete, false);
    assert.ok(log.gzip.length <= 5 * 1024 * 1024);
    assert.equal(gunzipSync(log.gzip).subarray(-6).toString(), '0\nend\n');
    assert.ok(most - rssBefore < 150e6, `${Math.round((most - rssBefore) / 1e6)} MB more`);
    const usedMb = Number(text(await rig.run('du -sm /workspace/.threadbox | cut -f1')));
    assert.ok(usedMb < 90, `${usedMb} MB in the spool`);
    assert.ok(Number(text(await rig.run('du -sm /workspace/.threadbox | cut -f1'))) < 5);
  });

  it('many small writes are all kept', async () => {
    const result = await rig.run('for i in $(seq 20000); do echo $i; done');
    assert.equal(result.output.totalBytes, 108_894);
    assert.match(result.output.tail.toString(), /\n19999\n20000\n$/);
  });

  it('a process left in the background does not hold up the answer, is told, and lives', async () => {
    const waiting = 'until [ -e /tmp/answered ]; do sleep 0.05; done';
    const result = await rig.run(`(${waiting}; echo late; echo alive > /tmp/late; sleep 30) & echo now`);
    assert.equal(text(result), 'now\n');
    assert.ok(result.backgroundProcesses >= 1);
    assert.match(result.backgroundNames.join('\n'), /\(pid \d+\)/);
    assert.equal(
      text(
        await rig.run(
          'touch /tmp/answered; until [ -s /tmp/late ]; do sleep 0.1; done; cat /tmp/late; pkill -U 1000 sleep',
        ),
      ),
      'alive\n',
    );
  });

  it('where that is wanted, what it leaves in the background ends with it; what was there before goes on', async () => {
    await rig.run('sleep 700 >/dev/null 2>&1 &');
    const script =
      'setsid sleep 701 & (trap "" TERM; sleep 702; sleep 703) & until pgrep -xf "sleep 701" >/dev/null; do :; done; echo now; touch /tmp/began; until pgrep -xf "sleep 704" >/dev/null; do :; done';
    // What the bot itself begins meanwhile, as it does for a save, is none of the command's.
    const saving = startScript(docker, rig.container.id, {
      name: 'threadbox-save',
      script: 'until [[ -e /tmp/began ]]; do sleep 0.02; done; (sleep 704; true); echo saved',
      env: {},
      timeoutMs: 60_000,
      signal: never,
    });
    const result = await rig.run(script, { leftProcesses: 'end' });
    assert.deepEqual([result.ending, result.exitCode, text(result)], ['exited', 0, 'now\n']);
    assert.ok(result.droppedProcesses >= 2);
    assert.match(result.droppedNames.join('\n'), /^sleep 701 \(pid \d+\)$/m);
    assert.doesNotMatch(result.droppedNames.join('\n'), /704|timeout|threadbox-/);
    assert.deepEqual([result.backgroundProcesses, result.backgroundNames.length], [1, 1]);
    assert.equal(
      text(await rig.run('pgrep -axf "sleep [0-9]*" | cut -d" " -f2-; pkill sleep')),
      'sleep 700\nsleep 704\n',
    );
    // Its shell says that the sleep was ended, before or after.
    assert.match((await (await saving).toArray()).join(''), /saved\n/);
  });

  it('one ID starts one command, at once and later', async () => {
    const one = request('echo x >> /tmp/once; sleep 0.5; cat /tmp/once');
    const endings = await Promise.all(
      [1, 2, 3].map(async () => (await runExecution(docker, rig.container.id, one)).ending),
    );
    assert.deepEqual(endings.toSorted(), ['already-started', 'already-started', 'exited']);
    await rig.run('true');
    assert.equal((await runExecution(docker, rig.container.id, one)).ending, 'already-started');
    assert.equal(text(await rig.run('cat /tmp/once')), 'x\n');
  });

  it('docker logs shows the commands, made harmless', async () => {
    await rig.run('echo one \u001b]0;title\u0007\necho two');
    await rig.run('exit 7');
    let logs = '';
    for (let tries = 0; tries < 100 && !/Z \w+ exit 7\n$/.test(logs); tries += 1) {
      await rig.run('sleep 0.05');
      logs = (await dockerCli('logs', rig.container.name))
        .split('\n')
        .filter((line) => !line.includes('sleep 0.05') && !line.endsWith('exit 0'))
        .join('\n');
    }
    assert.match(logs, /\$ echo one  ]0;title  \.\.\.\n.*\$ exit 7\n.*exit 7\n$/);
    assert.ok(!logs.includes('\u001b'));
  });

  it('the memory limit ends a command, not its container', async () => {
    const result = await rig.run(
      'exec python3 -c "x = [bytearray(10**8) for _ in range(40)]" || exec tail /dev/zero',
    );
    assert.deepEqual([result.ending, result.exitCode], ['exited', 137]);
    assert.equal(result.shortages?.memoryLimitBytes, 2 * 1024 ** 3);
    assert.equal((await rig.run('exit 137')).shortages?.oomKills, 0);
    assert.equal(text(await rig.run('echo on')), 'on\n');
  });

  it('a command that breaks its workspace is told to prepare it again', async () => {
    await rig.run('rm -rf /workspace/.threadbox');
    await assert.rejects(rig.run('echo x'), { code: 'WORKSPACE_NOT_READY', mayHaveStarted: false });
    await rig.prepare();
    assert.equal(text(await rig.run('echo again; git status --short')), 'again\n');
  });
});
