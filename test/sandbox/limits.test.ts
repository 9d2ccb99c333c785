import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { containerOptions } from '../../src/containers/container-options.ts';
import { rootOf, runtimeFault } from '../../src/containers/engine-facts.ts';
import { limitsFor } from '../../src/containers/limits.ts';
import { closeAll } from '../support/close-all.ts';
import { LIMITS, startRig, text, type Rig } from '../containers/rig.ts';

const MB = 2 ** 20;
const SPEC = {
  instance: 'x',
  threadId: 'john@example.com-my-app',
  userId: 1,
  repositoryId: 1,
  repositoryName: 'my-app',
  image: 'x',
  mirrorPath: '/opt/mirror',
};

// All in one container, from inside: what a command can find out, and what it can do.
describe('the limits of a container, as a command finds them', () => {
  let rig: Rig;
  const closers: (() => unknown)[] = [];
  before(async () => {
    const scope = { after: (closer: unknown) => void closers.push(closer as () => unknown) };
    rig = await startRig(scope, { limits: { memoryBytes: 192 * MB, tmpBytes: 24 * MB, pidsLimit: 96 } });
  });
  after(() => closeAll(closers));
  const says = async (script: string) => text(await rig.run(`{ ${script}; } 2>&1`)).trimEnd();
  /** cgroups v2, or else v1. */
  const counter = (v2: string, v1: string) => `cat /sys/fs/cgroup/${v2} || cat /sys/fs/cgroup/${v1}`;

  it('memory without swap, processor time, processes, open files and core files are as set', async () => {
    const found = await says(
      [
        `(${counter('memory.max', 'memory/memory.limit_in_bytes')}) 2>/dev/null`,
        `[[ -e /sys/fs/cgroup/memory.swap.max ]] && cat /sys/fs/cgroup/memory.swap.max || ` +
          'echo $(($(cat /sys/fs/cgroup/memory/memory.memsw.limit_in_bytes) - $(cat /sys/fs/cgroup/memory/memory.limit_in_bytes)))',
        `(${counter('pids.max', 'pids/pids.max')}) 2>/dev/null`,
        '(cat /sys/fs/cgroup/cpu.max || echo $(cat /sys/fs/cgroup/cpu/cpu.cfs_{quota,period}_us)) 2>/dev/null',
        'ulimit -Sn; ulimit -Hn; ulimit -Hc',
      ].join('; '),
    );
    assert.deepEqual(found.split('\n'), [
      String(192 * MB),
      '0',
      '96',
      '100000 100000',
      String(LIMITS.openFiles),
      String(LIMITS.openFiles),
      '0',
    ]);
  });

  it('one processor is what two loops get together', async () => {
    const script =
      'for i in 1 2; do (end=$((SECONDS + 2)); while ((SECONDS < end)); do :; done) & done; wait; times';
    const result = await rig.run(script);
    const [, minutes, seconds] = /\n(\d+)m([\d.]+)s/.exec(text(result)) ?? [];
    const usedMs = (Number(minutes) * 60 + Number(seconds)) * 1000;
    assert.ok(usedMs > 0 && usedMs < 1.15 * result.durationMs, `${usedMs} ms in ${result.durationMs} ms`);
  });

  it('it is an ordinary user without capabilities, new privileges or unfiltered system calls', async () => {
    const status = await says('id -u; id -G; grep -E "^(Cap...|NoNewPrivs|Seccomp):" /proc/self/status');
    assert.deepEqual(status.replaceAll(/\t/g, ' ').split('\n'), [
      '1000',
      '1000',
      ...['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'].map((name) => `${name}: 0000000000000000`),
      'NoNewPrivs: 1',
      'Seccomp: 2',
    ]);
  });

  it('only the workspace, and places of a set size in memory, can be written to', async () => {
    const writable = await says(
      'for d in / /bin /etc /home /home/* /mnt /opt /root /srv /sys /usr /usr/local/bin /var /var/lib /var/log; do ' +
        '[[ -d $d ]] && (: >"$d/x") 2>/dev/null && echo "$d"; done; ' +
        'for d in /workspace /workspace/.home /tmp /var/tmp /run /dev/shm; do (: >"$d/x") && rm "$d/x" || echo "not $d"; done; ' +
        `awk '$2 == "/" { print substr($4, 1, 2) }' /proc/mounts; df -B1 --output=size /tmp /dev/shm | tail -2 | tr -d ' '`,
    );
    assert.deepEqual(writable.split('\n'), ['ro', String(24 * MB), String(64 * MB)]);
    assert.equal(await says('cp /bin/true /tmp/x && /tmp/x && echo runs; rm /tmp/x'), 'runs');
  });

  it('no more of the host is there than the mirror and its authorities, to be read', async () => {
    const mounts = await says(
      String.raw`awk '$3 ~ /^(ext|xfs|btrfs|overlay|zfs|fuse|9p|nfs|virtio)/ && $2 != "/" && $2 !~ /^\/(workspace|etc\/(resolv.conf|hostname|hosts)|usr\/s?bin\/(docker-)?init|s?bin\/(docker-)?init)$/ { print $2, substr($4, 1, 2) }' /proc/mounts`,
    );
    const lines = mounts
      .split('\n')
      .filter((line) => !line.startsWith('/etc/ssl/certs/ca-certificates.crt ro'));
    assert.equal(lines.length, 1, mounts);
    assert.match(lines[0] ?? '', /\/mirrors?\/?.* ro$|\.git ro$|threadbox-test-.* ro$/);
    assert.equal(
      await says('ls /var/run/docker.sock /run/docker.sock /var/run/*.sock 2>/dev/null; echo none'),
      'none',
    );
  });

  it('neither the kernel nor the cgroups can be told anything', async () => {
    const written = await says(
      'for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/hostname /proc/sys/vm/drop_caches /proc/sysrq-trigger ' +
        '/sys/fs/cgroup/release_agent /sys/fs/cgroup/*/release_agent /sys/fs/cgroup/*/notify_on_release /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max ' +
        '/sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max /sys/fs/cgroup/cgroup.procs /sys/kernel/uevent_helper /proc/1/oom_score_adj; do ' +
        '[[ -e $f ]] && (echo 1 >"$f") 2>/dev/null && echo "$f"; done; ' +
        'for c in "mount -t tmpfs x /mnt" "unshare -m true" "unshare -U true" "unshare -r true" "chroot / true" "mknod /tmp/sda b 8 0" ' +
        '"dmesg" "hostname other" "nsenter -t 1 -m true" "kill -KILL 1"; do $c >/dev/null 2>&1 && echo "$c"; done; echo none',
    );
    assert.equal(written, 'none');
  });

  it('of devices there are the harmless ones; processes, host name and IPC are its own', async () => {
    const devices = await says("find /dev -type b -o -type c | grep -v '^/dev/pts/' | sort | tr '\\n' ' '");
    assert.match(
      devices,
      /^\/dev\/full \/dev\/null (\/dev\/ptmx )?\/dev\/random \/dev\/tty \/dev\/urandom \/dev\/zero ?$/,
    );
    const others = await says(
      "cat /proc/[0-9]*/comm | sort -u | grep -vxE 'docker-init|tini|bash|tail|threadbox-.*|cat|sort|grep|dd'; hostname",
    );
    assert.match(others, /^[0-9a-f]{12}$/);
    assert.equal(await says('ls /dev/mqueue | wc -l; wc -l </proc/sysvipc/shm'), '0\n1');
  });

  it('what ran short is told: /tmp, processes, memory', async () => {
    const full = await rig.run('head -c 100000000 /dev/zero >/tmp/fill');
    assert.deepEqual([full.exitCode, full.shortages?.oomKills], [1, 0]);
    const tmp = full.shortages?.disks.find(({ path }) => path === '/tmp');
    assert.deepEqual([tmp?.freeBytes, tmp?.totalBytes], [0, 24 * MB]);
    await rig.run('rm /tmp/fill');
    // None of them ends before the last has begun, however long that takes.
    const many = await rig.run(`python3 -c '
import subprocess
begun = []
try:
  while len(begun) < 200: begun.append(subprocess.Popen(["sleep", "60"]))
except OSError: pass
for one in begun: one.kill()'`);
    assert.ok((many.shortages?.refusedProcesses ?? 0) > 0);
    assert.equal(many.shortages?.processLimit, 96);
    const greedy = await rig.run('tail /dev/zero; echo on');
    assert.match(text(greedy), /\non\n$/);
    assert.deepEqual([greedy.shortages?.oomKills, greedy.shortages?.memoryLimitBytes], [1, 192 * MB]);
  });
});

describe('limits that are set', () => {
  it("a repository's own memory and CPUs go before the server's; /tmp has half of the memory at the most", () => {
    const own = (memoryBytes: number | null, cpus: number | null) => limitsFor({ memoryBytes, cpus }, LIMITS);
    assert.deepEqual(own(null, null), LIMITS);
    assert.deepEqual(own(4096 * MB, 1.5), { ...LIMITS, memoryBytes: 4096 * MB, cpus: 1.5 });
    assert.deepEqual(own(512 * MB, null), { ...LIMITS, memoryBytes: 512 * MB, tmpBytes: 256 * MB });
  });

  it("in gVisor processes are limited by its own kernel, as at the engine's limit all of it ends", () => {
    const spec = { ...SPEC, limits: { ...LIMITS, pidsLimit: 100 } };
    const of = (runtime: string | null) =>
      containerOptions({ ...spec, runtime }, 'x', false).HostConfig ?? {};
    const nproc = { Name: 'nproc', Soft: 164, Hard: 164 };
    for (const runtime of ['runsc', 'runsc-kvm', 'gvisor', 'io.containerd.runsc.v1']) {
      assert.deepEqual([of(runtime).PidsLimit, of(runtime).Ulimits?.at(-1)], [912, nproc], runtime);
    }
    for (const runtime of [null, 'runc', 'crun', 'kata-runtime']) {
      const { PidsLimit, Ulimits } = of(runtime);
      assert.deepEqual(
        [PidsLimit, Ulimits?.map(({ Name }) => Name)],
        [100, ['nofile', 'core']],
        `${runtime}`,
      );
    }
  });

  it('whom the root of containers is on the machine is told by an engine that maps users', () => {
    const root = (DockerRootDir: string, ...SecurityOptions: string[]) =>
      rootOf({ DockerRootDir, SecurityOptions });
    assert.deepEqual(root('/var/lib/docker', 'name=seccomp,profile=default'), { uid: 0, gid: 0 });
    assert.deepEqual(root('/var/lib/docker/231072.165536', 'name=userns'), { uid: 231_072, gid: 165_536 });
    assert.deepEqual(root('/srv/1.2', 'name=rootless'), { uid: 0, gid: 0 });
    assert.deepEqual(rootOf({ DockerRootDir: '/srv/1.2', SecurityOptions: null }), { uid: 0, gid: 0 });
  });

  it('a runtime that the engine does not have is told, with those it has', () => {
    assert.equal(runtimeFault('runsc', ['runc', 'runsc']), null);
    assert.match(
      runtimeFault('runsc', ['io.containerd.runc.v2', 'runc']) ?? '',
      /^CONTAINER_RUNTIME: the Docker Engine has no runtime runsc, but io\.containerd\.runc\.v2, runc\. Add it to/,
    );
  });
});
