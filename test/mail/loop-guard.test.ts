import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOOP_HEADER } from '../../src/mail/headers.ts';
import { loopReason } from '../../src/mail/loop-guard.ts';
import { parseMessage } from '../../src/mail/parse.ts';

const BOT = { botAddress: 'bot@example.com', botAliases: ['Build@example.com'] };

async function reason(headers: string, from = 'john@example.com'): Promise<string | null> {
  const mail = `From: ${from}\nSubject: hello\n${headers}\n\nls\n`;
  const [one, other] = await Promise.all(
    [mail, mail.replaceAll('\n', '\r\n')].map(async (raw) =>
      loopReason(await parseMessage(Buffer.from(raw)), BOT),
    ),
  );
  assert.equal(one, other);
  return one ?? null;
}

const ANSWERED = [
  'X-Mailer: nothing special',
  'Auto-Submitted: no',
  'auto-submitted: No (comment)',
  'Auto-Submitted:',
  'Precedence: first-class',
  'Precedence: normal',
  'Return-Path: <john@example.com>',
  'Content-Type: multipart/mixed; boundary=report',
  'X-Autoreply: no',
  'X-Auto-Response-Suppress: OOF, AutoReply',
  'X-Auto-Response-Suppress: DR, RN, NRN',
  'Message-ID: <a@other.example.com>',
  'In-Reply-To: <a@threadbox.example.com>',
  'List-Unsubscribe: <mailto:x@example.com>',
];
for (const headers of ANSWERED) {
  test(`a person's mail is taken: ${headers}`, async () => assert.equal(await reason(headers), null));
}

const NEVER_ANSWERED: [string, RegExp][] = [
  [`${LOOP_HEADER}: answer`, /Threadbox itself/],
  [`${LOOP_HEADER.toLowerCase()}: x`, /Threadbox itself/],
  ['Return-Path: <>', /bounce/],
  ['Return-Path: < >', /bounce/],
  ['X-Failed-Recipients: jane@example.com', /bounce/],
  ['Content-Type: multipart/report; report-type=delivery-status; boundary=x', /report/],
  ['Content-Type: Multipart/Report; report-type=disposition-notification; boundary=x', /report/],
  ['Auto-Submitted: auto-replied', /Auto-Submitted: auto-replied/],
  ['Auto-Submitted: Auto-Generated; owner-email="a@example.com"', /Auto-Submitted: auto-generated/],
  ['Auto-Submitted: (comment) auto-notified', /Auto-Submitted: auto-notified/],
  ['Auto-Submitted: no\nAuto-Submitted: auto-replied', /Auto-Submitted/],
  ['X-Autoreply: yes', /x-autoreply/],
  ['X-Autorespond: vacation', /x-autorespond/],
  ['X-Auto-Response-Suppress: All', /Suppress/],
  ['X-Auto-Response-Suppress: DR, RN, NRN, OOF, All', /Suppress/],
  ['Precedence: bulk', /bulk/],
  ['Precedence: Junk', /junk/],
  ['Precedence: list', /list/],
  ['Precedence: auto_reply', /auto_reply/],
  ['List-Id: Announcements <news.example.com>', /mailing list/],
];
for (const [headers, expected] of NEVER_ANSWERED) {
  test(`never answered: ${headers}`, async () => assert.match((await reason(headers)) ?? '', expected));
}

test("the bot's own address and mail servers are never answered", async () => {
  assert.match((await reason('X-A: b', 'Bot <BOT@example.com>')) ?? '', /own address/);
  assert.match((await reason('X-A: b', 'bot+app@example.com')) ?? '', /own address/);
  assert.match((await reason('X-A: b', 'build@example.com')) ?? '', /own address/);
  assert.match((await reason('X-A: b', 'MAILER-DAEMON@mx.example.com')) ?? '', /mailer-daemon/);
  assert.equal(await reason('X-A: b', 'robot@example.com'), null);
  assert.equal(await reason('X-A: b', 'bot+app@elsewhere.example'), null);
});

test('mail of a mailing list is taken where the list is allowed, unless it is otherwise automatic', async () => {
  const rules = { ...BOT, allowedLists: ['dev.lists.example.com'] };
  const table: [headers: string, isTaken: boolean][] = [
    ['List-Id: Developers <dev.lists.example.com>\nPrecedence: list', true],
    ['List-Id: <Dev.Lists.Example.Com>\nPrecedence: bulk', true],
    ['List-Id: dev.lists.example.com', true],
    ['List-Id: "dev.lists.example.com" <other.example.com>', false],
    ['List-Id: <other.example.com>', false],
    ['List-Id: <dev.lists.example.com>\nList-Id: <other.example.com>', false],
    ['List-Id: <dev.lists.example.com>\nAuto-Submitted: auto-replied', false],
    ['List-Id: <dev.lists.example.com>\nReturn-Path: <>', false],
    ['Precedence: list', false],
  ];
  for (const [headers, isTaken] of table) {
    for (const newline of ['\n', '\r\n']) {
      const raw = `From: john@example.com\n${headers}\n\nls\n`.replaceAll('\n', newline);
      assert.equal(loopReason(await parseMessage(Buffer.from(raw)), rules) === null, isTaken, headers);
    }
  }
});
