import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { listedBridgeName, networkName } from '../../src/containers/names.ts';
import { addRepository, listRepositories, setRepository } from '../../src/store/repositories.ts';
import type { Stage } from '../lifecycle/stage.ts';
import { engine } from '../support/engine.ts';
import { FAR } from '../support/far-network.ts';
import { until } from '../support/until.ts';

const run = promisify(execFile);
const LISTED = 'alice@example.com-listed';

/** Prints what each of these comes to: a name, then the exit code, then what it printed. */
const scriptOf = (certificate: string, other: string): string =>
  `
cat >/tmp/web.pem <<'END'
${certificate}END
try() { name=$1; shift; said=$(timeout 8 "$@" 2>&1); echo "$name: $? $said"; }
get() { name=$1; shift; try "$name" curl -sS --max-time 6 --cacert /tmp/web.pem "$@"; }
status='%{http_code}\\n'
get http http://shop.web.example/
get https https://shop.web.example/
get upper http://SHOP.Web.Example/
get sixth http://both.web.example/
get apex -o /dev/null -w "$status" http://web.example/
get other -o /dev/null -w "$status" http://elsewhere.example/
get tls-other -k https://elsewhere.example/
get other-sni -k --connect-to evil.example:443:shop.web.example:443 https://evil.example/
get literal -o /dev/null -w "$status" http://${FAR.web}/
get tls-literal -k https://${FAR.web}/
get private -o /dev/null -w "$status" http://inner.web.example/
get tls-private -k https://inner.web.example/
get port -k https://shop.web.example:22/
get http-port -o /dev/null -w "$status" http://shop.web.example:8080/
get direct --noproxy '*' http://${FAR.web}/
get open --noproxy '*' http://${FAR.open}/
get forged -o /dev/null -w "$status" -H 'Host: shop.web.example' http://elsewhere.example/
get manager -o /dev/null -w "$status" http://shop.web.example/squid-internal-mgr/menu
try no-tls python3 -c '
import os, socket
host, port = os.environ["http_proxy"][7:].split(":")
s = socket.create_connection((host, port)); s.settimeout(1)
s.sendall(b"CONNECT shop.web.example:443 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\nSSH-2.0-x\\r\\n\\r\\n")
said = b""
try:
  while (more := s.recv(4096)): said += more
except OSError: pass
print(said)'
try names getent hosts shop.web.example
try asks python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2); s.connect(("${FAR.nameserver}", 53))
s.send(bytes.fromhex("abcd01000001000000000000047465737407657861") + b"mple\\0\\0\\1\\0\\1"); s.recv(512)' 2>&1 | tail -n 1
try other-list bash -c 'exec 3<>/dev/tcp/${other}'
`.trim();

/**
 * What containers of a repository with an allow-list reach: asked for from within.
 *
 * @param certificate of the pages below web.example
 */
export function allowListCases(of: () => { stage: Stage; certificate: string }): void {
  test('a list of hosts: these are reached by http and https, and nothing else in any way', async () => {
    const { stage, certificate } = of();
    const { db } = stage.bot.app;
    const [sample] = await listRepositories(db);
    for (const name of ['listed', 'second']) {
      await addRepository(db, { name, url: sample?.url ?? '', branch: null, threadBy: null });
    }
    await setRepository(db, 'second', { network: 'allow:second.web.example' });
    const gateways = await stage.ask('echo "$https_proxy"', { subject: '[second] Work' });
    const [, second = ''] = /http:\/\/([\d.]+:\d+)/.exec(gateways.text) ?? [];
    assert.notEqual(second, '', gateways.text);

    // Its container is there with the internet, and files in it.
    await stage.ask('echo mine > mine; sleep 1000 >/dev/null 2>&1 &', { subject: '[listed] Work' });
    await setRepository(db, 'listed', { network: 'allow:*.web.example' });
    const { text } = await stage.ask(`cat mine\n${scriptOf(certificate, second.replace(':', '/'))}`, {
      subject: '[listed] Work',
    });
    const said = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(text)?.[1] ?? text;

    assert.match(text, /^mine$/m);
    assert.match(text, /network of listed was changed, so your container was made anew/);
    assert.equal(said('http'), '0 page of shop.web.example');
    assert.equal(said('https'), '0 page of shop.web.example');
    assert.match(said('upper'), /^0 page of shop\.web\.example/i);
    assert.equal(said('sixth'), '0 page of both.web.example');
    for (const name of ['apex', 'other', 'literal', 'private', 'http-port', 'forged', 'manager']) {
      assert.equal(said(name), '0 403', name);
    }
    for (const name of ['tls-other', 'tls-literal', 'tls-private', 'port']) {
      assert.match(said(name), /^56 .*Proxy CONNECT aborted/, name);
    }
    assert.match(said('other-sni'), /^35 /);
    assert.match(said('no-tls'), /^0 b'(HTTP\/1\.1 200 Connection established\\r\\n\\r\\n)?'$/);
    assert.match(said('direct'), /^7 /);
    assert.match(said('open'), /^7 /);
    assert.match(said('names'), /^2/);
    assert.match(text, /^OSError: .*(No route to host|refused|unreachable)/m);
    assert.match(said('other-list'), /^1 .*(refused|unreachable)/);

    const foot = text.slice(text.indexOf('Commands in listed reach')).replaceAll(/\s+/g, ' ');
    assert.match(
      foot,
      /^Commands in listed reach \*\.web\.example, by http and https, and nothing else; refused:/,
    );
    assert.match(foot, /elsewhere\.example:80 \(2 times\)/);
    assert.match(foot, /elsewhere\.example:443/);
    assert.match(foot, /evil\.example by way of shop\.web\.example:443/);
    assert.match(foot, /inner\.web\.example:80/);
    assert.ok(
      stage.bot.lines.some(({ msg }) => msg === 'a command wanted what is not on its allow-list'),
      'the log has it',
    );
  });

  test('nor does the proxy reach what is closed, whatever a name is the address of by then', async () => {
    const { IPAM } = await engine.getNetwork(networkName(of().stage.bot.app.installation)).inspect();
    const localAddress = IPAM?.Config?.[0]?.Gateway ?? '';
    const reach = async (host: string, port = 80): Promise<string> => {
      const socket = connect({ host, port, localAddress });
      try {
        const [data] = (await once(socket, 'data')) as [Buffer];
        return data.toString();
      } catch (error) {
        return (error as NodeJS.ErrnoException).code ?? '';
      } finally {
        socket.destroy();
      }
    };
    assert.equal(await reach(FAR.public), 'far\n');
    assert.equal(await reach(FAR.open), 'far\n');
    const here = createServer((socket) => socket.on('error', () => {}).end('host\n')).listen(0, '0.0.0.0');
    await once(here, 'listening');
    const { port } = here.address() as AddressInfo;
    const own = Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
    for (const [host, at] of [
      [FAR.private, 80],
      [FAR.metadata, 80],
      [FAR.open, 443],
      ['127.0.0.1', port],
      [own ?? '127.0.0.1', port],
    ] as const) {
      assert.equal(await reach(host, at), 'ECONNREFUSED', `${host}:${at}`);
    }
    here.close();
  });

  test('another list is in force with the next command, and goes when the proxy is back', async () => {
    const { stage } = of();
    const subject = '[listed] Work';
    const script = 'curl -sS --max-time 6 http://shop.web.example/';
    const { db, installation } = stage.bot.app;
    const [{ id: second }] = await db('repositories').where({ name: 'second' }).select('id');
    const isListed = async (): Promise<boolean> =>
      (await run('iptables', ['-w', '60', '-S'])).stdout.includes(listedBridgeName(installation, second));
    assert.ok(await isListed());
    await setRepository(db, 'second', { network: 'internet' });
    await stage.ask('true', { subject: '[second] Work' });
    await setRepository(db, 'listed', { network: 'allow:cdn.web.example' });
    const before = await stage.session(LISTED);
    const { text } = await stage.ask(`cat mine; ${script}`, { subject });
    assert.match(text, /^mine$/m);
    assert.match(
      text.replaceAll(/\s+/g, ' '),
      /reach cdn\.web\.example, .* refused: shop\.web\.example:80\./,
    );
    assert.equal((await stage.session(LISTED))?.container_id, before?.container_id);
    assert.equal(await isListed(), false, 'what no list has any more is gone');

    const proxies = async (): Promise<string[]> => {
      const { stdout } = await run('pgrep', [
        '-f',
        `squid -N -d1 -n [a-z0-9]+ -f ${stage.bot.dataDir}/`,
      ]).catch(() => ({
        stdout: '',
      }));
      return stdout.split('\n').filter((line) => line !== '');
    };
    const [pid] = await proxies();
    process.kill(Number(pid), 'SIGKILL');
    const again = await stage.ask('curl -sS --max-time 6 http://cdn.web.example/', { subject });
    assert.match(again.text, /^Exit code 0 [^]*page of cdn\.web\.example/);
    await until(async () => (await proxies()).length === 1);
  });
}
