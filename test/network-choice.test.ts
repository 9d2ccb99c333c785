import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { allowedHosts, kindOf, readNetwork } from '../src/network-choice.ts';

describe('the network of a repository, as an operator writes it', () => {
  for (const [written, expected] of [
    ['internet', 'internet'],
    ['none', 'none'],
    ['allow:registry.npmjs.org', 'allow:registry.npmjs.org'],
    ['allow:registry.npmjs.org,*.github.com', 'allow:registry.npmjs.org,*.github.com'],
    ['allow:Registry.NPMJS.org,registry.npmjs.org', 'allow:registry.npmjs.org'],
    ['allow:pypi.org.', 'allow:pypi.org'],
    ['allow:bücher.example', 'allow:xn--bcher-kva.example'],
    ['allow:*.BÜCHER.example', 'allow:*.xn--bcher-kva.example'],
    ['allow:a-b.c1.example', 'allow:a-b.c1.example'],
  ] as const) {
    it(`${written} is ${expected}`, () => assert.deepEqual(readNetwork(written), { network: expected }));
  }

  for (const [written, expected] of [
    ['', /^expected internet, none, or allow:HOST,HOST; got ""$/],
    ['all', /^expected internet, none, or allow:/],
    ['Internet', /^expected internet, none, or allow:/],
    ['allow:', /no host: expected names with commas/],
    ['allow:a.example,', /no host: expected names with commas/],
    ['allow:*', /all hosts: that is --network internet/],
    ['allow:a.example, b.example', /" b\.example" is no host: expected letters/],
    ['allow:a.example\nhttp_access allow all', /"a\.example\\nhttp_access allow all" is no host/],
    ['allow:a.example\tb', /is no host/],
    ['allow:.*', /is no host/],
    ['allow:^a.example$', /is no host: expected letters/],
    ['allow:(a|b).example', /is no host: expected letters/],
    [String.raw`allow:a\.example`, /is no host: expected letters/],
    ['allow:"a.example"', /is no host: expected letters/],
    ['allow:#a.example', /is no host: expected letters/],
    ['allow:a.*.example', /is no host: expected letters/],
    ['allow:*a.example', /is no host: expected letters/],
    ['allow:**.example', /is no host: expected letters/],
    ['allow:https://a.example', /give the name alone, without scheme, port or path/],
    ['allow:a.example:443', /give the name alone/],
    ['allow:a.example/path', /give the name alone/],
    ['allow:me@a.example', /give the name alone/],
    ['allow:[::1]', /give the name alone/],
    ['allow:::1', /give the name alone/],
    ['allow:10.0.0.1', /is an address: hosts are allowed by name/],
    ['allow:127.1', /is an address/],
    ['allow:*.1', /is an address/],
    ['allow:2130706433', /is an address/],
    ['allow:0x7f.1', /is an address/],
    ['allow:a.0x7f', /is an address/],
    ['allow:１２７.0.0.1', /is an address/],
    ['allow:10.0.0.1.', /is an address/],
    ['allow:localhost', /is not a whole name: expected one with a dot in it$/],
    ['allow:*.com', /is not a whole name: expected one with a dot in it after the \*\.$/],
    ['allow:a..example', /is no host: a part of it is empty|is not a whole name/],
    ['allow:a.example..', /is no host: a part of it is empty|is not a whole name/],
    ['allow:.a.example', /is no host: a part of it is empty|is not a whole name/],
    ['allow:-a.example', /is no host: a part of it|is not a whole name/],
    [`allow:${'a'.repeat(64)}.example`, /is no host: a part of it|is not a whole name/],
    [`allow:${'abcdefg.'.repeat(32)}example`, /is no host: a part of it|is not a whole name/],
    [
      `allow:${Array.from({ length: 101 }, (_, at) => `h${at}.example`).join(',')}`,
      /up to 100 hosts, got 101/,
    ],
  ] as const) {
    it(`${JSON.stringify(written).slice(0, 50)} is refused with a word`, () => {
      const read = readNetwork(written);
      assert.ok('fault' in read, JSON.stringify(read));
      assert.match(read.fault, expected);
    });
  }

  it('has a kind, and hosts where it is a list', () => {
    assert.deepEqual(
      (['internet', 'none', 'allow:a.example,*.b.example'] as const).map((one) => [
        kindOf(one),
        allowedHosts(one),
      ]),
      [
        ['internet', null],
        ['none', null],
        ['allow', ['a.example', '*.b.example']],
      ],
    );
  });
});
