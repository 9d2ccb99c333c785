import assert from 'node:assert/strict';
import { test } from 'node:test';
import { closedAddresses, wantsNetwork } from '../../src/containers/closed-network.ts';

for (const [line, expected] of [
  ["curl: (7) Failed to connect to 10.0.0.5 port 80 after 0 ms: Couldn't connect to server", ['10.0.0.5']],
  ['curl: (7) Failed to connect to 169.254.169.254 port 80: Connection refused', ['169.254.169.254']],
  ['Error: connect ECONNREFUSED 192.168.1.20:5432', ['192.168.1.20']],
  ['psql: error: connection to server at "172.17.0.1", port 5432 failed: Connection refused', ['172.17.0.1']],
  ['ssh: connect to host 100.64.0.7 port 22: Connection refused', ['100.64.0.7']],
  ['bash: connect: No route to host (10.9.9.9)', ['10.9.9.9']],
  // Of what has its own reasons nothing is said.
  ['Error: connect ECONNREFUSED 127.0.0.1:3000', []],
  ['connect to 0.0.0.0 port 80: Connection refused', []],
  ['curl: (7) Failed to connect to 93.184.216.34 port 81: Connection refused', []],
  ['Error: connect ECONNREFUSED 10.4.5.6:443', []],
  ['Error: connect ECONNREFUSED 10.5.5.5:4873', []],
  ['listening on 10.0.0.5:80', []],
  ['version 10.0.0.5.1 refused', []],
  ['Connection refused', []],
  [`${'x'.repeat(2_000)} 10.0.0.5 Connection refused`, []],
] as const) {
  test(`addresses out of reach in: ${line.slice(-90)}`, () => {
    assert.deepEqual(
      closedAddresses(`first\n${line}\nlast\n`, ['10.4.0.0/16:443', '10.5.5.5:4873']),
      expected,
    );
  });
}

test('each is told once, and no more than three', () => {
  const output = ['1', '1', '2', '3', '4'].map((last) => `10.0.0.${last}: Connection refused`).join('\n');
  assert.deepEqual(closedAddresses(output, []), ['10.0.0.1', '10.0.0.2', '10.0.0.3']);
});

for (const [line, expected] of [
  ['curl: (6) Could not resolve host: registry.npmjs.org', true],
  ['npm error code EAI_AGAIN', true],
  ['fatal: unable to access: Could not resolve host: github.com', true],
  ["Temporary failure resolving 'deb.debian.org'", true],
  ['connect: Network is unreachable', true],
  ['Error: connect ECONNREFUSED 127.0.0.1:3000', false],
] as const) {
  test(`${expected ? 'wants' : 'does not want'} a network: ${line}`, () => {
    assert.equal(wantsNetwork(line), expected);
  });
}
