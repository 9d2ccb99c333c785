import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setRepository } from '../../src/store/repositories.ts';
import { openStage, type Stage } from '../lifecycle/stage.ts';
import { engine } from '../support/engine.ts';
import { ranWith } from '../support/ran-with.ts';
import { until } from '../support/until.ts';

/** One thread's life in a repository whose commands are root, until they are so no more. */
let stage: Stage;
before(async () => {
  stage = await openStage();
  await setRepository(stage.bot.app.db, 'sample', { root: true });
});
after(() => stage.close());

const container = async () => engine.getContainer((await stage.session())?.container_id ?? '').inspect();

/** A package that makes a user and gives it files, as many do. */
const BUILD = `mkdir -p d/DEBIAN d/usr/local/bin
printf 'Package: tool\\nVersion: 1\\nArchitecture: all\\nMaintainer: x <x@example.com>\\nDescription: a tool\\n' >d/DEBIAN/control
printf '#!/bin/sh\\nuseradd --system tool && install -d -o tool -g tool -m 2750 /var/lib/tool && install -o tool -m 0600 /etc/hostname /var/lib/tool/f\\n' >d/DEBIAN/postinst
printf '#!/bin/sh\\necho installed\\n' >d/usr/local/bin/tool
chmod 755 d/DEBIAN/postinst d/usr/local/bin/tool
dpkg-deb --root-owner-group -b d /tmp/tool.deb >/dev/null; rm -r d`;

test('commands are root, install a package, give files away and become somebody else', async () => {
  const { text } = await stage.ask(`${BUILD}
apt-get install -y /tmp/tool.deb >/tmp/log 2>&1 || cat /tmp/log
id -u; tool; stat -c %a /var/lib/tool
su -s /bin/sh tool -c 'id -un; cat /var/lib/tool/f >/dev/null && echo reads'
mkdir -m 700 closed && echo work >closed/file && chmod 600 closed/file && chown -R tool: closed && stat -c %U closed/file`);
  ranWith(text, '0\ninstalled\n2750\ntool\nreads\ntool');
  assert.doesNotMatch(text, /still run|threadbox-log|tail -n/);
  const { HostConfig } = await container();
  assert.deepEqual(HostConfig.SecurityOpt, ['no-new-privileges:true']);
  assert.equal(HostConfig.Privileged, false);
});

test('root inside is no root outside', async () => {
  const script = `
for c in "mount -t tmpfs x /mnt" "mount -o remount,rw $(dirname "$(cat .git/objects/info/alternates)")" "unshare -m true" "unshare -r true" \\
  "chroot / true" "mknod /tmp/sda b 8 0" "mknod /root/sda b 8 0" "dmesg" "hostname other" "nsenter -t 1 -n true" "iptables -L" "ip link add x type dummy" \\
  "ip link set eth0 down" "touch $(dirname "$(cat .git/objects/info/alternates)")/x" "su -s /bin/sh nobody -c 'mount -t tmpfs x /mnt'"; do
  bash -c "$c" >/dev/null 2>&1 && echo "did $c"
done
for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/sys/vm/drop_caches /sys/kernel/uevent_helper /sys/fs/cgroup/*/release_agent \\
  /sys/fs/cgroup/release_agent /sys/fs/cgroup/*/memory.limit_in_bytes /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max; do
  [[ ! -e $f ]] || ! (echo 1 >"$f") 2>/dev/null || echo "wrote $f"
done
python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)' 2>/dev/null && echo raw
gateway=$(awk '$2 == "00000000" { print $3 }' /proc/net/route | sed 's/\\(..\\)\\(..\\)\\(..\\)\\(..\\)/0x\\4 0x\\3 0x\\2 0x\\1/' | xargs printf '%d.%d.%d.%d')
timeout 5 bash -c "exec 3<>/dev/tcp/$gateway/22" 2>&1 | grep -o 'Connection refused' | sort -u
grep -E '^(CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | tr '\\t' ' '`;
  // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, by their numbers (capability.h).
  const bits = [0, 1, 3, 4, 5, 6, 7].reduce((sum, at) => sum + 2 ** at, 0);
  ranWith(
    (await stage.ask(script)).text,
    `Connection refused\nCapBnd: ${bits.toString(16).padStart(16, '0')}\nNoNewPrivs: 1\nSeccomp: 2`,
  );
});

test('whatever root ends, its container goes on; and what has become somebody else is ended with its command', async () => {
  const { State } = await container();
  await stage.ask('kill -KILL -1; for p in /proc/[0-9]*; do kill -KILL ${p#/proc/}; done');
  const asked = stage.ask("su -s /bin/bash tool -c 'sleep 4711; true'");
  await stage.untilRuns('sleep 4711');
  await stage.ask('cancel');
  assert.match((await asked).text, /cancelled/i);
  assert.equal(
    await stage.inside('ps -eo args | grep -c "^sleep [4]711"; true').then((count) => count.trim()),
    '0',
  );
  ranWith((await stage.ask('tool')).text, 'installed');
  assert.equal((await container()).State.StartedAt, State.StartedAt);
  ranWith((await stage.ask('sleep 4712 >/dev/null 2>&1 &')).text, /sleep 4712/);
});

test('a save brings all of it back but what lies outside of the workspace', async () => {
  await stage.ask('stop');
  const { volume_name: volume = '' } = (await stage.session()) ?? {};
  await until(() => engine.getVolume(volume).remove().then(() => true, () => false)); // prettier-ignore
  const { text } = await stage.ask(
    'cat closed/file; stat -c "%u %a" closed closed/file; type -t tool || echo no tool',
  );
  ranWith(text, 'work\n0 700\n0 600\nno tool');
});

test("switched off, the workspace is the ordinary user's, with all that root has left there", async () => {
  await stage.ask('chown 65534 closed/file; ln -s /etc/passwd link; touch /usr/mine');
  await setRepository(stage.bot.app.db, 'sample', { root: false });
  ranWith((await stage.ask('id -u')).text, '0');
  // Not by us: what stands still is made anew.
  await engine.getContainer((await stage.session())?.container_id ?? '').stop({ t: 0 });
  const script =
    'id -u; echo more >>closed/file; cat closed/file; git add -A && git commit -qm ours && ls /usr/mine 2>&1 || touch /usr/x';
  assert.match(
    (await stage.ask(script)).text,
    /\n\n1000\nwork\nmore\n[^]*No such file[^]*Read-only file system/,
  );
  await setRepository(stage.bot.app.db, 'sample', { root: true });
  await engine.getContainer((await stage.session())?.container_id ?? '').stop({ t: 0 });
  ranWith((await stage.ask('id -u; cat closed/file; git status --short')).text, '0\nwork\nmore');
});
