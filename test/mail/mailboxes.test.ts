import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAddressHeader } from 'mailparser';
import { firstName, mailboxesIn, plainOnes } from '../../src/mail/mailboxes.ts';

const PLAIN = [
  'john@example.com',
  '<John@Example.com>',
  'John Doe <john@example.com>',
  '"John Doe" <john.doe+tag_1@mail-2.example.com>',
  'John Doe <john@example.com>, jane@example.com, "3" <three@example.com>',
  'john <john@xn--bcher-kva.example>',
];

const LEFT_TO_THE_PARSER = [
  '',
  'John',
  ' john@example.com',
  'john@example.com,jane@example.com',
  'John  Doe <john@example.com>',
  'Doe, John <john@example.com>',
  '"Doe, John" <john@example.com>',
  'john@example.com (John)',
  'John <john@example.com> <jane@example.com>',
  'friends: john@example.com, jane@example.com;',
  '=?utf-8?Q?J=C3=B6rg?= <joerg@example.com>',
  'Jörg <joerg@example.com>',
  'john@example.com <jane@example.com>',
  '"john"@example.com',
];

for (const field of [...PLAIN, ...LEFT_TO_THE_PARSER]) {
  test(`the mailboxes in "${field}" are those that the parser finds`, () => {
    const { value } = parseAddressHeader(field, { flatten: true, decodePunycode: false });
    assert.deepEqual(
      mailboxesIn(field),
      value.map(({ name, address }) => ({ name, address: address ?? '' })),
    );
    assert.equal(firstName(field), parseAddressHeader(field).value[0]?.name ?? '');
    assert.equal(plainOnes(field) !== null, PLAIN.includes(field));
  });
}
