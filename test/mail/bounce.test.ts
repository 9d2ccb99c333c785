import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readBounce, type Bounce } from '../../src/mail/bounce.ts';

const ID = '<0b7e7a5c-6a58-4f1e-8a51-000000000001@bot.example>';
const EARLIER = '<0b7e7a5c-6a58-4f1e-8a51-000000000000@bot.example>';

/** As our own mail comes back: its References name an earlier mail of ours. */
const RETURNED = `From: Threadbox <bot@bot.example>
To: john@example.com
Subject: Re: [app] Run
Message-ID:
 ${ID}
In-Reply-To: <question@example.com>
References: ${EARLIER} <question@example.com>`;

const report = (recipient: string, { action = 'failed' } = {}) => `Return-Path: <>
From: MAILER-DAEMON@mail.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: bot@bot.example
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
	boundary="B1"

--B1
Content-Type: text/plain

This is the mail system at host mail.example.

--B1
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example
Arrival-Date: Mon, 23 Nov 2026 14:27:00 +0000

Final-Recipient: rfc822; john@example.com
Action: ${action}
${recipient}

--B1
Content-Type: text/rfc822-headers

${RETURNED}

--B1--
`;

const EXIM = `Return-path: <>
X-Failed-Recipients: john@example.com
Auto-Submitted: auto-generated
From: Mail Delivery System <Mailer-Daemon@mail.example>
To: bot@bot.example
Subject: Mail delivery failed: returning message to sender

This message was created automatically by mail delivery software.

A message that you sent could not be delivered to all of its recipients:

  john@example.com
    SMTP error from remote mail server after RCPT TO:<john@example.com>:
    550 5.1.1 <john@example.com>: Recipient address rejected: User unknown

------ This is a copy of the message, including all the headers. ------

${RETURNED}

Exit code 0
`;

const QMAIL = `Return-Path: <>
From: MAILER-DAEMON@mail.example
To: bot@bot.example
Subject: failure notice

Hi. This is the qmail-send program at mail.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<john@example.com>:
192.0.2.7 does not like recipient.
Remote host said: 552 message size exceeds limit
Giving up on 192.0.2.7.

--- Below this line is a copy of the message.

${RETURNED}

Exit code 0
`;

/** As Gmail does: the id only in the fields of the bounce itself. */
const NO_COPY = `Return-Path: <>
From: Mail Delivery Subsystem <mailer-daemon@mail.example>
Subject: Delivery Status Notification (Failure)
In-Reply-To: ${ID}
References: ${EARLIER} ${ID}

Your message wasn't delivered to john@example.com because the address couldn't be found.
The response was: 550 5.1.1 The email account that you tried to reach does not exist.
`;

type Expected = Pick<Bounce, 'statusCode' | 'isTooLarge'> & { error: RegExp };

const bounces: [name: string, raw: string, expected: Expected][] = [
  [
    'a report with a reply of the other server',
    report('Status: 5.3.4\nDiagnostic-Code: smtp; 552 5.3.4 Message size\n exceeds fixed limit'),
    { statusCode: '5.3.4', isTooLarge: true, error: /^552 5\.3\.4 Message size exceeds fixed limit$/ },
  ],
  [
    'a report in the words of the own server',
    report('Status: 5.1.2\nDiagnostic-Code: X-Postfix; nothing leaves this machine'),
    { statusCode: '5.1.2', isTooLarge: false, error: /^5\.1\.2 nothing leaves this machine$/ },
  ],
  [
    'a report without a diagnosis',
    report('Status: 5.0.0'),
    { statusCode: '5.0.0', isTooLarge: false, error: /^5\.0\.0$/ },
  ],
  ['Exim', EXIM, { statusCode: '5.1.1', isTooLarge: false, error: /User unknown/ }],
  ['qmail', QMAIL, { statusCode: '552', isTooLarge: true, error: /message size exceeds limit/ }],
  [
    'one that brings nothing back',
    NO_COPY,
    { statusCode: '5.1.1', isTooLarge: false, error: /does not exist/ },
  ],
];
for (const [name, raw, { error, ...expected }] of bounces) {
  for (const [ends, written] of [
    ['LF', raw],
    ['CRLF', raw.replaceAll('\n', '\r\n')],
  ] as const) {
    test(`${name} is a bounce of the mail it is about (${ends})`, () => {
      const bounce = readBounce(Buffer.from(written));
      assert.ok(bounce);
      const { statusCode, isTooLarge } = bounce;
      assert.deepEqual({ statusCode, isTooLarge }, expected);
      assert.match(bounce.error, error);
      assert.equal(bounce.recipients[0], 'john@example.com');
      assert.equal(
        bounce.messageIds.find((id) => id === ID || id === EARLIER),
        ID,
      );
    });
  }
}

const others: [name: string, raw: string][] = [
  [
    'a mail that is only late',
    report('Status: 4.4.1\nDiagnostic-Code: smtp; 451 busy', { action: 'delayed' }),
  ],
  ['a word of success', report('Status: 2.0.0', { action: 'delivered' })],
  ['a read receipt', report('').replace('delivery-status', 'disposition-notification')],
  [
    'a vacation responder without a return path',
    `Return-Path: <>\nFrom: john@example.com\nAuto-Submitted: auto-replied\nSubject: Out of office: Re: [app]\nIn-Reply-To: ${ID}\n\nYour mail was not delivered to my head. Call 555.\n`,
  ],
  [
    'what a person writes about a bounce',
    `From: john@example.com\nSubject: Undelivered?\nIn-Reply-To: ${ID}\n\necho "550 5.1.1 could not be delivered"\n`,
  ],
  [
    'a mail of a postmaster',
    `From: postmaster@example.com\nSubject: Maintenance\n\nWe restart 550 machines.\n`,
  ],
  ['nothing at all', ''],
];
for (const [name, raw] of others) {
  test(`${name} is no bounce`, () => assert.equal(readBounce(Buffer.from(raw)), null));
}

test('what is made to break the reader is read in bounded time', () => {
  const header = report('Status: 5.0.0').split('--B1')[0] ?? '';
  for (const filling of ['<', '<a@', ' \n', 'Action: failed\n', 'Message-ID: <a@b>\n', '\n '])
    readBounce(Buffer.from(header + filling.repeat(300_000)));
  const { messageIds = [] } =
    readBounce(
      Buffer.from(report('Status: 5.0.0') + Array.from({ length: 500 }, (_, at) => `<${at}@x>\n`).join('')),
    ) ?? {};
  assert.equal(messageIds.length, 20);
});
