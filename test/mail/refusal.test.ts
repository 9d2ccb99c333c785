import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAboutAccount, refusalOf } from '../../src/mail/refusal.ts';
import { wantsSentCopies } from '../../src/mail/sent-copies-wanted.ts';

const table: [said: string, replyCode: number | null, statusCode: string | null, isTooLarge: boolean][] = [
  ['552 5.3.4 Message size exceeds fixed limit', 552, '5.3.4', true],
  ['552-5.2.3 Your message exceeded the size limits of this server', 552, '5.2.3', true],
  ['554 5.2.3 too long for this mailbox', 554, '5.2.3', true],
  ['552 message too big', 552, '552', true],
  ['552 5.2.2 mailbox full', 552, '5.2.2', false],
  ['552 Quota exceeded (mailbox for user is full)', 552, '552', false],
  ['452 4.3.1 Insufficient system storage', 452, '4.3.1', false],
  ['550 5.1.1 no such user', 550, '5.1.1', false],
  ['550 from 10.5.3.4 nothing is taken', 550, '550', false],
  ['Message size larger than allowed 10240000', null, null, true],
  ['Connection closed', null, null, false],
];
for (const [said, replyCode, statusCode, isTooLarge] of table) {
  test(`"${said}" is ${isTooLarge ? 'about the size' : 'not about the size'}`, () =>
    assert.deepEqual(refusalOf(said, replyCode), { statusCode, isTooLarge }));
}

test('what is about our account and not about the mail is told apart', () => {
  const said: [words: string, isAboutAccount: boolean][] = [
    [
      '550 5.4.5 Daily user sending limit exceeded. For more information visit https://support.google.com',
      true,
    ],
    ['550-5.4.5 Daily sending quota exceeded', true],
    ['550 5.2.252 Sender throttled due to continuous send as denied errors.', true],
    [
      '554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException.MapiExceptionQuotaExceeded',
      true,
    ],
    ['550 Message rate limit of this account exceeded', true],
    ['552 5.2.2 mailbox full', false],
    ['552 5.3.4 Message size exceeds fixed limit', false],
    ['550 5.1.1 no such user', false],
    ['554 5.7.1 Access denied', false],
  ];
  for (const [words, expected] of said) assert.equal(isAboutAccount(words), expected, words);
});

test('copies of sent mails are made where the provider makes none, unless it is said otherwise', () => {
  const wanted: [setting: 'auto' | 'on' | 'off', host: string | null, wanted: boolean][] = [
    ['auto', 'mail.example.com', true],
    ['auto', 'imap.gmail.com', false],
    ['auto', 'imap.googlemail.com', false],
    ['auto', 'Outlook.Office365.com', false],
    ['auto', 'imap-mail.outlook.com.', false],
    ['auto', 'imap.gmail.com.example.org', true],
    ['auto', 'notgmail.com', true],
    ['auto', null, false],
    ['on', null, true],
    ['on', 'imap.gmail.com', true],
    ['off', 'mail.example.com', false],
  ];
  for (const [setting, host, expected] of wanted)
    assert.equal(wantsSentCopies(setting, host), expected, `${setting} ${host}`);
});
