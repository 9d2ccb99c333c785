import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { foundBy, isBridgeHere } from '../../src/containers/guard-host.ts';
import { guardChange, guardRemoval, nameserversOf, type Family } from '../../src/containers/guard-rules.ts';

const bridge = 'tb-0123456789';
const guarded = { bridge, nameservers: ['10.0.0.53'], open: ['10.9.9.9:4873', '10.8.0.0/16:443'] };
const DOCKER = `-P INPUT ACCEPT
-P FORWARD DROP
-N DOCKER-USER
-A INPUT -i lo -j ACCEPT
-A FORWARD -j DOCKER-USER
-A FORWARD -i ${bridge} ! -o ${bridge} -j ACCEPT
-A DOCKER-USER -j RETURN
`;

/** What the table looks like after a transaction, as far as it goes here. */
function applied(change: string | null, listed: string): string {
  let lines = listed.trimEnd().split('\n');
  for (const line of (change ?? '').split('\n')) {
    const [word = '', name = ''] = line.split(' ');
    if (word.startsWith(':')) {
      lines = lines.filter((one) => !one.startsWith(`-A ${word.slice(1)} `));
      if (!lines.includes(`-N ${word.slice(1)}`)) lines.push(`-N ${word.slice(1)}`);
    } else if (word === '-A') lines.push(line);
    else if (word === '-D') lines.splice(lines.indexOf(line.replace('-D', '-A')), 1);
    else if (word === '-F') lines = lines.filter((one) => !one.startsWith(`-A ${name} `));
    else if (word === '-X') lines = lines.filter((one) => one !== `-N ${name}`);
    else if (word === '-I') {
      const rule = line.replace(/^-I (\S+) 1 /, '-A $1 ');
      const first = lines.findIndex((one) => one.startsWith(`-A ${name} `));
      lines.splice(first < 0 ? lines.length : first, 0, rule);
    }
  }
  return `${lines.join('\n')}\n`;
}

const put = (listed = DOCKER, family: Family = 'ipv4', what = guarded): string =>
  applied(guardChange(what, family, listed), listed);

/** Where a packet ends that comes from the bridge, walked through the rules as they are listed. */
function fate(listed: string, chain: string, packet: { to: string; port?: number; out?: string }): string {
  for (const line of listed.split('\n').filter((one) => one.startsWith(`-A ${chain} `))) {
    const words = line.split(' ').slice(2);
    const option = (name: string): string | undefined => words[words.indexOf(name) + 1 || words.length];
    const isOf =
      [undefined, bridge].includes(option('-i')) &&
      (!words.includes('-o') ||
        (words.includes('!') ? packet.out !== option('-o') : packet.out === option('-o'))) &&
      (!words.includes('-d') || isIn(packet.to, option('-d') ?? '')) &&
      (!words.includes('--dport') || String(packet.port) === option('--dport'));
    const target = option('-j') ?? '';
    if (!isOf) continue;
    if (target === 'RETURN') return 'goes on';
    if (['ACCEPT', 'DROP', 'REJECT'].includes(target)) return target === 'REJECT' ? 'refused' : target;
    const inside = fate(listed, target, packet);
    if (inside !== 'goes on') return inside;
  }
  return 'goes on';
}

function isIn(address: string, network: string): boolean {
  const bits = (text: string): string =>
    text
      .split('.')
      .map((byte) => Number(byte).toString(2).padStart(8, '0'))
      .join('');
  const [base = '', length = '32'] = network.split('/');
  return bits(address).slice(0, Number(length)) === bits(base).slice(0, Number(length));
}

describe('the rules of the network guard', () => {
  for (const [address, port, expected] of [
    ['93.184.216.34', 443, 'ACCEPT'],
    ['1.1.1.1', 53, 'ACCEPT'],
    ['203.0.113.80', 443, 'ACCEPT'],
    ['10.0.0.53', 53, 'ACCEPT'],
    ['10.0.0.53', 80, 'refused'],
    ['10.0.0.54', 53, 'refused'],
    ['10.9.9.9', 4873, 'ACCEPT'],
    ['10.9.9.9', 80, 'refused'],
    ['10.8.7.6', 443, 'ACCEPT'],
    ['10.7.7.6', 443, 'refused'],
    ['169.254.169.254', 80, 'refused'],
    ['100.100.100.200', 80, 'refused'],
    ['168.63.129.16', 80, 'refused'],
    ['172.16.0.1', 22, 'refused'],
    ['172.31.255.255', 22, 'refused'],
    ['172.32.0.1', 22, 'ACCEPT'],
    ['192.168.1.1', 22, 'refused'],
    ['192.169.1.1', 22, 'ACCEPT'],
    ['100.63.255.255', 22, 'ACCEPT'],
    ['100.127.255.255', 22, 'refused'],
    ['127.0.0.1', 22, 'refused'],
    ['0.0.0.0', 22, 'refused'],
    ['198.19.0.1', 22, 'refused'],
    ['192.0.0.192', 80, 'refused'],
    ['224.0.0.251', 5353, 'refused'],
    ['255.255.255.255', 67, 'refused'],
  ] as const) {
    it(`${address}, port ${port}: ${expected}`, () => {
      assert.equal(fate(put(), 'FORWARD', { to: address, port, out: 'eth0' }), expected);
    });
  }

  it('another container on the bridge is refused, whatever addresses the bridge has', () => {
    assert.equal(fate(put(), 'FORWARD', { to: '203.0.113.9', port: 80, out: bridge }), 'refused');
  });

  it('the host is refused at all of its addresses, but where it is the name server', () => {
    assert.equal(fate(put(), 'INPUT', { to: '203.0.113.1', port: 22 }), 'refused');
    assert.equal(fate(put(), 'INPUT', { to: '10.0.0.53', port: 80 }), 'refused');
    assert.equal(fate(put(), 'INPUT', { to: '10.0.0.53', port: 53 }), 'goes on');
  });

  it('another container is refused even where its network is open', () => {
    assert.equal(fate(put(), 'FORWARD', { to: '10.8.7.6', port: 443, out: bridge }), 'refused');
  });

  it('of IPv6 nothing goes through', () => {
    const listed = put('-P INPUT ACCEPT\n-P FORWARD ACCEPT\n', 'ipv6');
    assert.equal(fate(listed, 'FORWARD', { to: 'fd00:ec2::254', out: 'eth0' }), 'refused');
    assert.equal(fate(listed, 'INPUT', { to: 'fe80::1' }), 'refused');
  });

  it('a name server of this machine alone is none for the containers', () => {
    const listed = put(DOCKER, 'ipv4', {
      ...guarded,
      nameservers: ['127.0.0.53', '::1', 'fd00::53', '0.0.0.0'],
    });
    assert.doesNotMatch(listed, /--dport 53/);
  });
});

describe('putting it in place', () => {
  for (const family of ['ipv4', 'ipv6'] as const) {
    it(`is done once: what is in place is left alone (${family})`, () => {
      assert.equal(guardChange(guarded, family, put(DOCKER, family)), null);
    });
  }

  for (const [what, broken] of Object.entries({
    'all is flushed': (listed: string) => listed.replaceAll(/^-A .*\n/gm, ''),
    'the chains are gone': () => DOCKER,
    'a jump is gone': (listed: string) => listed.replace(/^-A INPUT -i tb.*\n/m, ''),
    'one rule is gone': (listed: string) => listed.replace(/^.* -d 10\.0\.0\.0\/8 .*\n/m, ''),
    'somebody came before it in INPUT': (listed: string) =>
      listed.replace(/^-A INPUT/m, '-A INPUT -j ACCEPT\n-A INPUT'),
    'somebody came before it in DOCKER-USER': (listed: string) =>
      listed.replace(/^-A DOCKER-USER/m, '-A DOCKER-USER -j ACCEPT\n-A DOCKER-USER'),
    'DOCKER-USER is not what comes first any more': (listed: string) =>
      listed.replace('-A FORWARD -j DOCKER-USER', '-A FORWARD -j ACCEPT\n-A FORWARD -j DOCKER-USER'),
    'Docker has no such chain': (listed: string) => listed.replaceAll(/^.*DOCKER-USER.*\n/gm, ''),
  })) {
    it(`is done again when ${what}`, () => {
      const listed = broken(put());
      const mended = put(listed);
      assert.notEqual(guardChange(guarded, 'ipv4', listed), null);
      assert.equal(guardChange(guarded, 'ipv4', mended), null);
      assert.equal(fate(mended, 'FORWARD', { to: '10.1.1.1', port: 22, out: 'eth0' }), 'refused');
      assert.equal(fate(mended, 'INPUT', { to: '203.0.113.1', port: 22 }), 'refused');
    });
  }

  it('another name server replaces the rules, and leaves none of the old', () => {
    const listed = put(put(), 'ipv4', { ...guarded, nameservers: ['192.168.1.1'] });
    assert.doesNotMatch(listed, /10\.0\.0\.53/);
    assert.equal(fate(listed, 'FORWARD', { to: '192.168.1.1', port: 53, out: 'eth0' }), 'ACCEPT');
  });

  it('goes together with that of another installation', () => {
    const other = { bridge: 'tb-abcdefabcd', nameservers: [], open: [] };
    const both = put(put(), 'ipv4', other);
    assert.equal(guardChange(guarded, 'ipv4', both), null);
    assert.equal(guardChange(other, 'ipv4', both), null);
  });

  it('a removal leaves the table as it was found', () => {
    assert.equal(applied(guardRemoval(bridge, put()), put()), DOCKER);
    assert.equal(guardRemoval(bridge, DOCKER), null);
  });
});

describe('with allow-lists', () => {
  const proxied = { ...guarded, proxyFrom: '172.18.0.1' };
  const listed = { bridge: 'tb-abcdefabcd', proxy: '172.19.0.1:15432' };
  const TABLE = `${DOCKER}-P OUTPUT ACCEPT\n`;
  const both = (): string => {
    const one = applied(guardChange(proxied, 'ipv4', TABLE), TABLE);
    return applied(guardChange(listed, 'ipv4', one), one);
  };
  const ofListed = (text: string): string =>
    text.replaceAll(bridge, 'tb-xxxxxxxxxx').replaceAll(listed.bridge, bridge);

  for (const [chain, to, port, expected] of [
    ['INPUT', '172.19.0.1', 15_432, 'goes on'],
    ['INPUT', '172.19.0.1', 22, 'refused'],
    ['INPUT', '172.18.0.1', 15_432, 'refused'],
    ['INPUT', '10.0.0.53', 53, 'refused'],
    ['FORWARD', '93.184.216.34', 443, 'refused'],
    ['FORWARD', '10.9.9.9', 4873, 'refused'],
    ['FORWARD', '10.0.0.53', 53, 'refused'],
  ] as const) {
    it(`from a repository's own bridge to ${to}, port ${port}: ${expected}`, () => {
      assert.equal(fate(ofListed(both()), chain, { to, port, out: 'eth0' }), expected);
    });
  }

  for (const [to, port, out, expected] of [
    ['93.184.216.34', 443, 'eth0', 'goes on'],
    ['10.9.9.9', 4873, 'eth0', 'goes on'],
    ['10.9.9.9', 80, 'eth0', 'refused'],
    ['169.254.169.254', 80, 'eth0', 'refused'],
    ['203.0.113.1', 443, 'lo', 'refused'],
    ['172.18.0.5', 40_000, bridge, 'goes on'],
  ] as const) {
    it(`from the proxy to ${to}, port ${port}, by ${out}: ${expected}`, () => {
      assert.equal(fate(both(), 'OUTPUT', { to, port, out }), expected);
    });
  }

  it('all is in place once, and what the proxy sends is watched for as the rest', () => {
    assert.equal(guardChange(proxied, 'ipv4', both()), null);
    assert.equal(guardChange(listed, 'ipv4', both()), null);
    const without = both().replace(/^-A OUTPUT .*\n/m, '');
    assert.match(guardChange(proxied, 'ipv4', without) ?? '', /^-I OUTPUT 1 -s 172\.18\.0\.1\/32 -j /m);
  });

  it('a removal of both leaves the table as it was found', () => {
    const one = applied(guardRemoval(bridge, both()), both());
    assert.equal(applied(guardRemoval(listed.bridge, one), one), TABLE);
  });
});

describe('where the rules belong', () => {
  const routes = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
${bridge}\t0010A8C0\t00000000\t0001\t0\t0\t0\t00F0FFFF\t0\t0\t0
`;
  for (const [name, subnet, expected] of [
    [bridge, '192.168.16.0/20', true],
    [bridge, '192.168.16.0/16', false],
    [bridge, '172.18.0.0/16', false],
    ['tb-abcdefabcd', '192.168.16.0/20', false],
    [bridge, '', false],
  ] as const) {
    it(`${name} with ${subnet === '' ? 'no subnet' : subnet} is ${expected ? 'here' : 'elsewhere'}`, () => {
      assert.equal(isBridgeHere(routes, name, subnet), expected);
    });
  }

  it('name servers are read from resolv.conf', () => {
    const text = '# nameserver 9.9.9.9\nsearch example.com\nnameserver 10.0.0.53\nnameserver\t1.1.1.1 \n';
    assert.deepEqual(nameserversOf(text), ['10.0.0.53', '1.1.1.1']);
  });
});

describe('what containers send each other over their bridge', () => {
  for (const [what, printed, expected] of [
    ['is seen', '# threadbox: bridges are seen\nv4\n# threadbox: ip6tables\nv6\n', ['v4\n', 'v6\n', true]],
    ['is not', 'v4\n# threadbox: ip6tables\nv6\n', ['v4\n', 'v6\n', false]],
    ['is not, without IPv6', 'v4\n# threadbox: ip6tables\n', ['v4\n', '', false]],
  ] as const) {
    it(`by the rules ${what}, as the look has it`, () => {
      const { ipv4, ipv6, seesBridges } = foundBy(printed);
      assert.deepEqual([ipv4, ipv6, seesBridges], expected);
    });
  }

  it('comes by the rules again where somebody has switched that off', async () => {
    // On a network of its own: what is switched off here is so for nobody else.
    const script = `
      import { readFileSync, writeFileSync } from 'node:fs';
      import { ownHost } from '${new URL('../../src/containers/guard-host.ts', import.meta.url).href}';
      const setting = '/proc/sys/net/bridge/bridge-nf-call-iptables';
      const host = ownHost();
      const seen = [];
      const look = async () => seen.push((await host.look()).seesBridges);
      await look();
      writeFileSync(setting, '0');
      await look();
      await host.seeBridges();
      await look();
      console.log(JSON.stringify([seen, readFileSync(setting, 'utf8')]));`;
    const apart = ['--net', process.execPath, '--input-type=module', '--eval', script];
    const { stdout } = await promisify(execFile)('unshare', apart);
    assert.deepEqual(JSON.parse(stdout), [[true, false, true], '1\n']);
  });
});
