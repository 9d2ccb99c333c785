import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ExecutionResult } from '../../src/containers/execution.ts';
import { docker, execIn, startRig, text } from '../containers/rig.ts';
import { until } from '../support/until.ts';

/**
 * Whose place in /proc is not its user's (prctl(2)), whose first thread has ended, and who is always another: with nobody
 * behind it, or always somebody who was begun just before.
 */
const HIDE = `import ctypes, os, platform, sys, threading, time
how = sys.argv[1]
libc = ctypes.CDLL(None)
if how == 'dumpable': libc.prctl(4, 0, 0, 0, 0)
if how == 'thread': threading.Thread(target=time.sleep, args=(900,)).start()
open('/tmp/' + how, 'w').close()
if how == 'thread': libc.syscall(60 if platform.machine() == 'x86_64' else 93, 0)
while how == 'hop':
  if os.fork(): os._exit(0)
mine = None
while how == 'leap':
  theirs, next = os.pipe()
  if os.fork():
    try: os.write(mine, b'x')
    except (OSError, TypeError): pass
    os.read(theirs, 1)
    os._exit(0)
  os.close(theirs)
  if mine: os.close(mine)
  mine = next
time.sleep(900)`;

test('what hides is told of, and ended with its command; so is what always begins another before it ends itself', async (t) => {
  const rig = await startRig(t);
  await rig.run(`cat >/tmp/hide.py <<'END'\n${HIDE}\nEND`);
  const script = `rm -f /tmp/{dumpable,thread}; setsid bash -c 'exec -a threadbox-save sleep 910' &
    _THREADBOX_RUN='while :; do sleep 911; done' setsid bash -c 'eval "$_THREADBOX_RUN"' &
    for how in dumpable thread; do setsid python3 /tmp/hide.py $how & done
    until [[ -e /tmp/dumpable && -e /tmp/thread ]] && pgrep -f '^threadbox-save' && pgrep -xf 'sleep 911'; do sleep 0.05; done`;
  const inBackground = `{ ${script}; } >/dev/null 2>&1`;
  const stillThere = async () =>
    text(await rig.run('ps -U 1000 -o args | grep -E "[s]leep|[9]1[01]|[h]ide"; true'));
  const dropped = await rig.run(inBackground, { leftProcesses: 'end' });
  // Who is just ending by itself may be among them.
  assert.ok([5, 6].includes(dropped.droppedProcesses), dropped.droppedNames.join());
  assert.equal(dropped.backgroundProcesses, 0);
  assert.equal(await stillThere(), '');
  const stopped = await rig.run(`${inBackground}; sleep 912`, { timeoutMs: 2_000 });
  assert.deepEqual([stopped.ending, stopped.backgroundProcesses], ['timed_out', 0]);
  assert.equal(await stillThere(), '');
  /** Cancelled when its first process has begun the second: before that, TERM ends it as any other. */
  const runCancelled = async (script: string, begun = 'begun'): Promise<ExecutionResult> => {
    const cancel = new AbortController();
    await rig.run('rm -f /tmp/begun /tmp/leap');
    const running = rig.run(`${script} echo said; touch /tmp/begun; sleep 912`, { cancelled: cancel.signal });
    await until(() =>
      execIn(rig.container.id, ['test', '-e', `/tmp/${begun}`]).then(
        () => true,
        () => false,
      ),
    );
    cancel.abort();
    return running;
  };
  /** All of three are caught one by one now and then, as a machine has its moments. */
  const runUncaught = async (left: number): Promise<void> => {
    for (let tries = 1; ; tries += 1) {
      const leapt = await runCancelled('for i in 1 2 3; do setsid python3 /tmp/hide.py leap & done;', 'leap');
      const isUncaught = leapt.note?.startsWith('It kept beginning new processes');
      // Where it took all processes of the container, which is told.
      const others = leapt.note === undefined ? left : 0;
      assert.deepEqual(
        [leapt.ending, leapt.backgroundProcesses, text(leapt)],
        ['cancelled', others, 'said\n'],
      );
      if (isUncaught) return;
      assert.ok(tries < 10, 'always caught');
    }
  };
  await runUncaught(0);
  // Each process takes the next number.
  const isStill = async () => {
    const begun = 'for i in 1 2; do read -r _ _ _ _ last </proc/loadavg; echo $last; sleep 0.2; done';
    const [one, two] = text(await rig.run(begun))
      .split('\n')
      .map(Number);
    assert.ok((two ?? 0) - (one ?? 0) < 10, `${one} to ${two}`);
    assert.equal(await stillThere(), '');
  };
  await isStill();
  const unseen =
    'setsid python3 /tmp/hide.py hop >/dev/null 2>&1 & until [[ -e /tmp/hop ]]; do sleep 0.01; done';
  let hopped = await rig.run(unseen, { leftProcesses: 'end' });
  // A glance must do: on a busy machine it may stand still just then, until the next command ends.
  for (let tries = 1; hopped.droppedProcesses === 0 && tries < 30; tries += 1) {
    hopped = await rig.run('true', { leftProcesses: 'end' });
  }
  assert.ok(hopped.droppedProcesses > 0, hopped.note);
  assert.equal(hopped.backgroundProcesses, 0, hopped.note);
  await isStill();
  // What an earlier command has left at work begins as many; and what it has begun since is its own, too.
  const work = `{ while :; do /bin/true; done & until ! bash -c 'sleep 0.3; true'; do :; done; touch /tmp/hurt; } >/dev/null 2>&1 &`;
  await rig.run(work);
  const beside = await runCancelled('');
  assert.deepEqual([beside.ending, beside.note], ['cancelled', undefined]);
  assert.ok(beside.backgroundProcesses >= 2, beside.backgroundNames.join());
  assert.equal(text(await rig.run('ls /tmp/hurt 2>/dev/null; kill -KILL -1')), '');
  const left = await rig.run(inBackground);
  assert.ok([5, 6].includes(left.backgroundProcesses), left.backgroundNames.join());
  // Where that cannot be asked for, its container ends; what it came to is told all the same.
  const getContainer = docker.getContainer.bind(docker);
  t.mock.method(docker, 'getContainer', (id: string) => {
    const container = getContainer(id);
    const exec = container.exec.bind(container);
    const isKill = ({ Cmd }: { Cmd?: string[] }) => Cmd?.includes('kill -KILL -1') === true;
    const broken = () => Promise.reject(new Error('the connection broke'));
    return Object.assign(container, { exec: (of: object) => (isKill(of) ? broken() : exec(of)) });
  });
  await runUncaught(5);
  assert.equal((await getContainer(rig.container.id).inspect()).State.Running, false);
});
