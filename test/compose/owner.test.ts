import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { engine } from '../support/engine.ts';

// docker/threadbox as root with the capabilities that docker-compose.yml leaves it, in a container of the default image.

const root = new URL('../../', import.meta.url);

/** Makes data directories of several owners, lets the script begin on each, and says what the bot then finds. */
const STAGE = `
printf '%s\\n' "$SCRIPT" >/usr/local/bin/threadbox
echo 'threadbox:x:10001:10001::/tmp:/bin/sh' >>/etc/passwd
mkdir /fakes /sockets
cat >/fakes/node <<'END'
#!/bin/sh
cd "$DATA_DIR" && find . ! -user "$(id -u)" && echo >deep/er/written && mode=$(stat -c %a .)
set -- $(grep CapEff /proc/self/status)
echo "user $(id -u) mode $mode capabilities $2"
END
chmod 755 /fakes/node /usr/local/bin/threadbox
python3 - <<'END'
import os, socket
for name, group in (('ordinary', 4444), ('of-root', 0)):
    socket.socket(socket.AF_UNIX).bind('/sockets/' + name)
    os.chown('/sockets/' + name, 0, group)
END
lay() {
  mkdir -p "/$1/deep/er"; echo kept >"/$1/deep/er/file"; ln -s /etc/passwd "/$1/deep/link"
  chmod 700 "/$1" "/$1/deep" "/$1/deep/er"; chmod 600 "/$1/deep/er/file"
  chown -R "$2" "/$1/deep"; chown "$3" "/$1"
}
begin() { DATA_DIR=/$1 DOCKER_HOST=unix:///sockets/$2 PATH="/fakes:$PATH" sh /usr/local/bin/threadbox start 2>&1; echo "$1: left with $?"; }
lay fresh 0:0 0:0; begin fresh ordinary
lay service 999:999 999:999; begin service ordinary
lay halfway 10001:10001 0:0; chown 999:999 /halfway/deep/er; begin halfway ordinary; begin halfway ordinary
begin halfway of-root; begin halfway ordinary
lay stuck 999:999 999:999
printf '#!/bin/sh\\necho "chown: not permitted" >&2\\nexit 1\\n' >/fakes/chown; chmod 755 /fakes/chown
begin stuck ordinary
rm /fakes/chown; begin stuck ordinary
stat -c 'passwd is of %u' /etc/passwd
`;

test('DATA_DIR becomes the bot user’s, whosever it was, and is never taken for done before all of it is', async () => {
  const composition = await readFile(new URL('docker-compose.yml', root), 'utf8');
  const [, capabilities = ''] = /cap_add: \[([^\]]+)\]/.exec(composition) ?? [];
  const container = await engine.createContainer({
    Image: process.env['CONTAINER_IMAGE'] ?? 'threadbox-workspace:1',
    Cmd: ['bash', '-c', STAGE],
    Env: [`SCRIPT=${await readFile(new URL('docker/threadbox', root), 'utf8')}`],
    User: '0:0',
    WorkingDir: '/',
    Tty: true,
    HostConfig: {
      NetworkMode: 'none',
      CapDrop: ['ALL'],
      CapAdd: capabilities.split(', '),
      SecurityOpt: ['no-new-privileges:true'],
    },
  });
  try {
    await container.start();
    await container.wait();
    const said = String(await container.logs({ stdout: true, stderr: true })).replaceAll('\r', '');
    const asUser = (name: string) => [
      'user 10001 mode 711 capabilities 0000000000000000',
      `${name}: left with 0`,
    ];
    assert.deepEqual(said.trim().split('\n'), [
      ...asUser('fresh'),
      ...asUser('service'),
      ...asUser('halfway'),
      ...asUser('halfway'),
      // CHOWN, DAC_READ_SEARCH, SETGID, SETUID: capabilities(7).
      'user 0 mode 711 capabilities 00000000000000c5',
      'halfway: left with 0',
      ...asUser('halfway'),
      'chown: not permitted',
      'threadbox: not all in /stuck could be given to user 10001. On the host, as root: chown -R 10001:10001 /stuck',
      'stuck: left with 1',
      ...asUser('stuck'),
      'passwd is of 0',
    ]);
  } finally {
    await container.remove({ force: true });
  }
});
