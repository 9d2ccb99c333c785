import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAllowedSender, singleAddress } from '../../src/mail/sender.ts';

const ONE_ADDRESS: [string, string][] = [
  ['john@example.com', 'john@example.com'],
  ['<john@example.com>', 'john@example.com'],
  ['John.Doe+x@Example.COM', 'john.doe+x@example.com'],
  ['John Doe <john@example.com>', 'john@example.com'],
  ['John Q. Public <john@example.com>', 'john@example.com'],
  ['"Doe, John <j@x.com>" <john@example.com>', 'john@example.com'],
  ['"a \\" b" <john@example.com>', 'john@example.com'],
  ['john@example.com (John)', 'john@example.com'],
  ['(a (nested) comment) john@example.com', 'john@example.com'],
  ['=?utf-8?Q?John_=3Cevil=40x=3E?= <john@example.com>', 'john@example.com'],
  ['john@example.com <john@example.com>', 'john@example.com'],
  ["'john@example.com' <john@example.com>", 'john@example.com'],
];
for (const [field, address] of ONE_ADDRESS) {
  test(`From has one address: ${field}`, () => assert.equal(singleAddress(field), address));
}

const REFUSED = [
  '',
  'john',
  'john@',
  '@example.com',
  'john@example.com, evil@example.com',
  'John <john@example.com>, Evil <evil@example.com>',
  'john@example.com <evil@example.com>',
  '<john@example.com> <evil@example.com>',
  '<john@example.com> evil@example.com',
  'Group: john@example.com;',
  'john@example.com (open comment',
  '"open quote <john@example.com>',
  '"john"@example.com',
  '"x" john@example.com',
  'john@exam ple.com',
  'jo hn@example.com',
  'john..doe@example.com',
  '.john@example.com',
  'john@-example.com',
  'john@example..com',
  'john@[127.0.0.1]',
  'joh\u{212a}@example.com',
  'jöhn@example.com',
  `${'x'.repeat(250)}@example.com`,
];
for (const field of REFUSED) {
  test(`From has not exactly one plain address: ${JSON.stringify(field).slice(0, 60)}`, () =>
    assert.equal(singleAddress(field), null));
}

test('addresses and whole domains are allowed, and registered users always', () => {
  const patterns = ['john@example.com', '*@team.example'];
  const cases: [string, boolean][] = [
    ['john@example.com', true],
    ['John@Example.com', true],
    ['jane@example.com', false],
    ['anyone@team.example', true],
    ['anyone@sub.team.example', false],
    ['anyone@evilteam.example', false],
    ['*@team.example', true],
    ['team.example', false],
  ];
  for (const [address, isAllowed] of cases)
    assert.equal(isAllowedSender(address, patterns, false), isAllowed, address);
  assert.equal(isAllowedSender('jane@example.com', patterns, true), true);
  assert.equal(isAllowedSender('jane@example.com', [], false), false);
});
