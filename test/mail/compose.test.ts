import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simpleParser } from 'mailparser';
import { composeMail, newMessageId, replySubject, type MailToCompose } from '../../src/mail/compose.ts';
import { LOOP_HEADER } from '../../src/mail/headers.ts';

const simple: MailToCompose = {
  from: { name: 'Threadbox', address: 'bot@example.com' },
  to: { name: 'John Doe', address: 'john@example.com' },
  subject: 'Re: Add login',
  inReplyTo: '<parent@example.com>',
  references: ['<root@example.com>', '<middle@example.com>'],
  messageId: '<answer@example.com>',
  date: new Date('2026-01-02T03:04:05Z'),
  text: 'Exit code 0\n',
  html: '<p>Exit code 0</p>\n',
};
const compose = async (values: Partial<MailToCompose> = {}) =>
  (await composeMail({ ...simple, ...values })).toString('latin1');

test('an answer stands in its conversation, and says that a program wrote it', async () => {
  const raw = await compose();
  for (const line of [
    'From: Threadbox <bot@example.com>',
    'To: John Doe <john@example.com>',
    'Subject: Re: Add login',
    'Message-ID: <answer@example.com>',
    'In-Reply-To: <parent@example.com>',
    'Auto-Submitted: auto-replied',
    `${LOOP_HEADER}: answer`,
    'Date: Fri, 02 Jan 2026 03:04:05 +0000',
    'Content-Transfer-Encoding: quoted-printable',
  ]) {
    assert.ok(raw.includes(`\r\n${line}\r\n`) || raw.startsWith(`${line}\r\n`), `${line}\n\n${raw}`);
  }
  assert.match(raw, /\r\nReferences: <root@example\.com> <middle@example\.com>\s+<parent@example\.com>\r\n/);
  assert.match(raw, /multipart\/alternative[^]*text\/plain[^]*text\/html/);
  assert.doesNotMatch(raw, /format=flowed/i);
});

test('those who get a copy are named, and can add no header', async () => {
  const raw = await compose({ copyTo: ['ann@example.com', 'bob@example.com\r\nX-Evil: yes'] });
  assert.match(raw, /\r\nCc: ann@example\.com, /);
  assert.doesNotMatch(raw, /\r\nX-Evil/);
  assert.doesNotMatch(await compose(), /\r\nCc:/);
});

test('the subject gets one Re:, and is otherwise the sender’s own', () => {
  const table: [subject: string, answer: string][] = [
    ['Add login', 'Re: Add login'],
    ['Re: Add login', 'Re: Add login'],
    ['RE: re: Re[2]: Add login', 'Re: Add login'],
    ['AW: [app] Login', 'Re: [app] Login'],
    ['VS: Kirjautuminen', 'Re: Kirjautuminen'],
    ['Fwd: Add login', 'Re: Fwd: Add login'],
    ['note: buy milk', 'Re: note: buy milk'],
    ['Research: x', 'Re: Research: x'],
    ['Prüfen 日本', 'Re: Prüfen 日本'],
    ['', 'Re:'],
    ['a\r\nBcc: x@y.z', 'Re: a Bcc: x@y.z'],
  ];
  for (const [subject, answer] of table) {
    assert.equal(replySubject(subject), answer);
    assert.equal(replySubject(answer), answer);
  }
});

test('of a long conversation the root and the last twenty are named', async () => {
  const references = Array.from({ length: 300 }, (_, at) => `<m${at}@example.com>`);
  const parsed = await simpleParser(await composeMail({ ...simple, references }));
  const named = parsed.references;
  assert.ok(Array.isArray(named));
  assert.equal(named.length, 21);
  assert.equal(named[0], '<m0@example.com>');
  assert.deepEqual(named.slice(-2), ['<m299@example.com>', '<parent@example.com>']);
});

test('no value adds a header, a recipient or a body', async () => {
  const evil = 'x\r\nBcc: victim@example.com\r\n\r\n<script>';
  const raw = await compose({
    subject: evil,
    to: { name: evil, address: 'john@example.com' },
    inReplyTo: '<a@b>\r\nBcc: victim@example.com',
    references: ['<a@b>\nBcc: victim@example.com', '<ok@example.com>', 'no id', `<${'x'.repeat(2000)}@y>`],
    headers: { 'X-Threadbox-Thread': evil },
  });
  assert.doesNotMatch(raw, /^Bcc:/im);
  assert.doesNotMatch(raw, /^In-Reply-To:/im);
  assert.match(raw, /^References: <ok@example\.com>\r$/m);
  const parsed = await simpleParser(raw);
  assert.deepEqual(
    [parsed.to].flat()[0]?.value.map(({ address }) => address),
    ['john@example.com'],
  );
});

test('odd names arrive as they are', async () => {
  for (const name of ['Müller, Jörg "JM"', '日本 太郎', 'a@b.c <d@e.f>', '', '=?utf-8?q?x?=']) {
    const parsed = await simpleParser(
      await composeMail({ ...simple, to: { name, address: 'john@example.com' } }),
    );
    assert.deepEqual(
      [parsed.to].flat().flatMap((field) => field?.value.map(({ address }) => address) ?? []),
      ['john@example.com'],
      name,
    );
  }
});

test('text, HTML and the attachment arrive byte for byte, in lines that every server takes', async () => {
  const text = `From here\n.\n..dots\n-- \n>quoted\ntrailing   \n${'long '.repeat(3000)}\nétoile 日本 👩‍👩‍👧\n\ttab=3D=\n`;
  const content = Buffer.from(Array.from({ length: 3000 }, (_, at) => at % 256));
  for (const body of [text, `${'日本語のテキスト。'.repeat(500)}\n`]) {
    const raw = await composeMail({
      ...simple,
      text: body,
      html: `<p>${body}</p>\n`,
      attachments: [{ fileName: 'output.log.gz', contentType: 'application/gzip', content }],
    });
    const lines = raw.toString('latin1').split('\r\n');
    assert.ok(
      lines.every((line) => line.length <= 998 && !/[\r\n\x80-\xff]/.test(line)),
      'a line is not 7-bit or too long',
    );
    const parsed = await simpleParser(raw, { skipTextToHtml: true });
    assert.equal(parsed.text?.trimEnd(), body.trimEnd());
    assert.equal(parsed.html || '', `<p>${body}</p>\n`);
    const [attachment] = parsed.attachments;
    assert.equal(attachment?.filename, 'output.log.gz');
    assert.deepEqual(attachment?.content, content);
  }
});

test('a new Message-ID is of the bot’s domain and never the same', () => {
  const ids = new Set(Array.from({ length: 100 }, () => newMessageId('bot@mail.example.com')));
  assert.equal(ids.size, 100);
  for (const id of ids) assert.match(id, /^<[\w-]+@mail\.example\.com>$/);
});
