import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';
import { Refusals } from '../../src/embedded/refusals.ts';
import { probeHost, readLine, squidConfig } from '../../src/embedded/squid-config.ts';
import { throwawayCertificate } from '../../src/embedded/throwaway-certificate.ts';

const settings = {
  lists: [
    { repositoryId: 5, hosts: ['registry.npmjs.org', '*.github.com'], gateway: '172.19.0.1' },
    { repositoryId: 7, hosts: ['pypi.org'], gateway: '172.20.0.1' },
  ],
  port: 15_432,
  from: '172.18.0.1',
  nameservers: ['10.0.0.53'],
  mayReach: ['10.9.9.9:4873', '10.8.0.0/16:443'],
  certificate: '/data/proxy/squid/certificate.pem',
};

describe('the configuration of the proxy', () => {
  const { text, mark } = squidConfig(settings);
  const lines = text.split('\n');
  const pattern = (host: string): RegExp => {
    const { text } = squidConfig({ ...settings, lists: [{ repositoryId: 5, hosts: [host], gateway: '::' }] });
    return new RegExp(/^acl asked5 dstdom_regex -n -i (\S+)$/m.exec(text)?.[1] ?? '', 'i');
  };

  for (const [host, matches, others] of [
    [
      'registry.npmjs.org',
      ['registry.npmjs.org', 'REGISTRY.npmjs.org'],
      ['registryxnpmjs.org', 'a.registry.npmjs.org', 'registry.npmjs.org.evil.example', 'npmjs.org'],
    ],
    [
      '*.github.com',
      ['api.github.com', 'a.b.github.com', 'my_host.github.com'],
      ['github.com', '.github.com', 'evilgithub.com', 'api.github.com.evil.example', 'a/.github.com', ''],
    ],
  ] as const) {
    it(`${host} is what it says, and no more`, () => {
      for (const one of matches) assert.match(one, pattern(host));
      for (const one of others) assert.doesNotMatch(one, pattern(host));
    });
  }

  it('has a port at an address of its own for each list', () => {
    const ports = lines.filter((line) => line.startsWith('http_port '));
    assert.deepEqual(
      ports.map((line) => line.split(' ').slice(1, 3)),
      [
        ['172.19.0.1:15432', 'name=list5'],
        ['172.20.0.1:15432', 'name=list7'],
      ],
    );
  });

  it('denies and ends what nothing has allowed; each list counts at its own port alone', () => {
    const rules = (name: string): string[] => lines.filter((line) => line.startsWith(`${name} `));
    assert.equal(rules('http_access').at(-1), 'http_access deny all');
    assert.equal(rules('ssl_bump').at(-1), 'ssl_bump terminate all');
    for (const rule of [...rules('http_access'), ...rules('ssl_bump')]) {
      if (!/ (allow|peek|splice) /.test(rule)) continue;
      const [, id] = / list(\d+)\b/.exec(rule) ?? [];
      assert.ok(id, rule);
      assert.match(rule, new RegExp(`^http_access allow CONNECT list${id}$| (asked|named)${id}\\b`));
      assert.doesNotMatch(rule, new RegExp(` (asked|named)(?!${id}\\b)`));
    }
  });

  it('asks for no address of what is on no list, and goes to no closed one but what is open', () => {
    const looks = lines.filter((line) => /^(http_access|ssl_bump) .*(!closed|open\d)$/.test(line));
    assert.equal(looks.length, 2 * 2 * 3);
    for (const line of looks) assert.match(line, / asked\d .*(http|https|open\dport) \S+$/);
    assert.match(text, /^acl closed dst 0\.0\.0\.0\/8 10\.0\.0\.0\/8 .*169\.254\.0\.0\/16/m);
    assert.match(text, /^acl open1 dst 10\.8\.0\.0\/16\nacl open1port port 443$/m);
  });

  it('has a line for each host: Squid cuts off what is longer than 8 KB', () => {
    const hosts = Array.from({ length: 100 }, (_, index) => `*.h${index}.${'x'.repeat(200)}.com`);
    const { text } = squidConfig({ ...settings, lists: [{ repositoryId: 5, hosts, gateway: '::' }] });
    for (const acl of ['asked5', 'named5']) {
      assert.equal(text.split('\n').filter((line) => line.startsWith(`acl ${acl} `)).length, 100);
    }
    assert.ok(text.split('\n').every((line) => line.length < 1_000));
  });

  it('has another mark when anything else has changed', () => {
    assert.match(text, new RegExp(`^visible_hostname ${mark}$`, 'm'));
    assert.equal(squidConfig(settings).mark, mark);
    assert.notEqual(squidConfig({ ...settings, lists: settings.lists.slice(1) }).mark, mark);
  });

  it('names a certificate that is one', () => {
    const certificate = throwawayCertificate();
    assert.match(certificate, /-----BEGIN PRIVATE KEY-----/);
    const { subject, publicKey } = new X509Certificate(certificate);
    assert.equal(subject, 'CN=threadbox');
    assert.ok(new X509Certificate(certificate).verify(publicKey));
  });
});

describe('the log of the proxy', () => {
  for (const [line, expected] of [
    ['10.1.0.2 TCP_DENIED GET evil.example 80 - -', 'evil.example:80'],
    ['10.1.0.2 TCP_MISS GET good.example 80 - -', null],
    ['10.1.0.2 NONE_NONE CONNECT evil.example 443 terminate -', 'evil.example:443'],
    ['10.1.0.2 NONE_NONE CONNECT good.example 22 terminate -', 'good.example:22'],
    ['10.1.0.2 TCP_TUNNEL CONNECT good.example 443 splice good.example', null],
    [
      '10.1.0.2 NONE_NONE CONNECT good.example 443 terminate evil.example',
      'evil.example by way of good.example:443',
    ],
    ['10.1.0.2 NONE_NONE CONNECT good.example 443 terminate GOOD.example', 'good.example:443'],
    ['10.1.0.2 NONE_NONE CONNECT [::1] 443 terminate -', '[::1]:443'],
    [
      '10.1.0.2 NONE_NONE CONNECT good.example 443 terminate evil%0Athreadbox',
      '(no name) by way of good.example:443',
    ],
    ['10.1.0.2 TCP_DENIED GET %1B[31mred 80 - -', '(no name):80'],
    ['10.1.0.2 TCP_DENIED GET <b>bold</b> 80 - -', '(no name):80'],
    ['10.1.0.2 TCP_DENIED GET evil.example 8080800 - -', 'evil.example:?'],
  ] as const) {
    it(`${line}: ${expected ?? 'nothing refused'}`, () => {
      const read = readLine(`threadbox ${line}`);
      assert.equal(read?.client, '10.1.0.2');
      assert.equal(read.isRefused ? read.what : null, expected);
    });
  }

  for (const line of [
    '',
    '2026/11/23 05:02:47| Accepting SSL bumped HTTP Socket connections',
    'threadbox 10.1.0.2 TCP_DENIED GET evil.example 80 -',
    'threadbox 10.1.0.2 TCP_DENIED GET evil.example 80 - - more',
    ' threadbox 10.1.0.2 TCP_DENIED GET evil.example 80 - -',
  ]) {
    it(`is not read in: ${line}`, () => assert.equal(readLine(line), null));
  }

  it('a probe is told from what others ask for', () => {
    assert.equal(
      readLine(`threadbox a TCP_DENIED GET ${probeHost('x1')} 80 - -`)?.host,
      'x1.threadbox.invalid',
    );
  });

  it('what was refused is counted by client and from a moment on', () => {
    const refusals = new Refusals();
    for (const at of [1, 2, 3]) refusals.note('a', 'evil.example:443', at);
    refusals.note('b', 'other.example:80', 2);
    assert.deepEqual(refusals.since('a', 2), [{ what: 'evil.example:443', times: 2 }]);
    assert.deepEqual(refusals.since('a', 4), []);
    assert.deepEqual(refusals.since('c', 0), []);
  });

  it('no number of names fills the memory', () => {
    const refusals = new Refusals();
    for (let at = 0; at < 1_000; at += 1) refusals.note('a', `host${at}.example:443`, at);
    assert.equal(refusals.since('a', 0).length, 50);
    assert.equal(refusals.since('a', 0).at(-1)?.what, 'host999.example:443');
  });
});
