import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMessage, type ParsedMessage } from '../../src/mail/parse.ts';

const PLAIN = `Return-Path: <john@example.com>
Delivered-To: bot+app@example.com
From: John Doe <John@Example.com>
To: Bot <bot+app@example.com>, Other <other@example.com>
Cc: third@example.com
Subject: =?utf-8?Q?=5Bapp=5D_Gr=C3=BC=C3=9Fe?=
 and more
Date: Sun, 22 Nov 2026 10:00:00 +0100
Message-ID: <one@example.com>
In-Reply-To: <zero@example.com>
References: <root@example.com>
 <zero@example.com>

npm test

> out.txt
`;

const COLUMNS = 76;
const base64 = (text: string): string =>
  (
    Buffer.from(text)
      .toString('base64')
      .match(new RegExp(`.{1,${COLUMNS}}`, 'g')) ?? []
  ).join('\n');

function multipart(kind: string, parts: readonly string[], head = ''): string {
  const body = parts.map((part) => `--frontier\n${part}\n`).join('');
  return `From: john@example.com\nSubject: x\nMIME-Version: 1.0\n${head}Content-Type: multipart/${kind}; boundary=frontier\n\n${body}--frontier--\n`;
}

/** What must be the same for a mail with LF and with CRLF. */
async function both(mail: string, check: (message: ParsedMessage) => void): Promise<void> {
  const hashes = new Set<string>();
  for (const raw of [mail, mail.replaceAll('\n', '\r\n')]) {
    const message = await parseMessage(Buffer.from(raw));
    check(message);
    // The line ends of an attachment are its own.
    if (message.attachments.length === 0) hashes.add(message.bodyHash);
  }
  assert.ok(hashes.size <= 1);
}

test('a plain mail becomes values', () =>
  both(PLAIN, ({ headers, bodyHash, ...message }) => {
    assert.deepEqual(message, {
      messageId: '<one@example.com>',
      inReplyTo: '<zero@example.com>',
      references: ['<root@example.com>', '<zero@example.com>'],
      sender: 'john@example.com',
      senderName: 'John Doe',
      recipients: ['bot+app@example.com', 'other@example.com', 'third@example.com'],
      subject: '[app] Grüße and more',
      date: new Date('2026-11-22T09:00:00Z'),
      text: 'npm test\n\n> out.txt\n',
      attachments: [],
      addressees: ['bot+app@example.com', 'other@example.com', 'third@example.com'],
      obstacle: null,
    });
    assert.match(bodyHash, /^[0-9a-f]{64}$/);
    assert.deepEqual(headers.get('references'), ['<root@example.com> <zero@example.com>']);
  }));

test('its headers alone do as well', async () => {
  const head = PLAIN.slice(0, PLAIN.indexOf('\n\n') + 2);
  await both(head, ({ sender, subject, text }) => {
    assert.deepEqual([sender, subject, text], ['john@example.com', '[app] Grüße and more', '']);
  });
});

const script = 'cat <<EOF\n> quoted\nFrom: nobody\n\n-- \n.\n..\nEOF\n\tx=ä😀   \nls =3D $HOME\n';
const ENCODED: Readonly<Record<string, string>> = {
  '8bit': `Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n${script}`,
  base64: `Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n${base64(script)}\n`,
  'quoted-printable': `Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n${script
    .replaceAll('=', '=3D')
    .replaceAll('-- \n', '--=20\n')
    .replaceAll('   \n', '  =20\n')
    .replaceAll('ä😀', '=C3=A4=F0=9F=98=80')}`,
  'format=flowed': `Content-Type: text/plain; charset=utf-8; format=flowed\n\n${script
    .replaceAll('   \n', '\n')
    .replaceAll(/^(?=>|From)/gm, ' ')}`,
};
for (const [encoding, part] of Object.entries(ENCODED)) {
  test(`every line of a script arrives as it was typed: ${encoding}`, () => {
    const expected = encoding === 'format=flowed' ? script.replaceAll('   \n', '\n') : script;
    return both(`From: john@example.com\nMIME-Version: 1.0\n${part}`, ({ text }) => {
      assert.equal(text.trimEnd(), expected.trimEnd());
    });
  });
}

test('another character set is decoded', async () => {
  const head = 'From: john@example.com\nContent-Type: text/plain; charset=iso-8859-1\n\n';
  const { text } = await parseMessage(Buffer.from(`${head}echo Grüße\n`, 'latin1'));
  assert.equal(text, 'echo Grüße\n');
});

test('of text and HTML the text is taken, its broken lines made whole', () => {
  const long = 'docker run --rm --volume $PWD:/work --workdir /work example/image:latest npm run build';
  const text = `Content-Type: text/plain\n\n${long.replace(' npm', '\nnpm')}\nls --all\n`;
  const html = `Content-Type: text/html\n\n<div>${long}</div><div>ls --all</div>\n`;
  return both(multipart('alternative', [text, html]), (message) => {
    assert.equal(message.text.trimEnd(), `${long}\nls --all`);
  });
});

test('of HTML alone the typed lines are taken', () =>
  both(
    multipart('alternative', ['Content-Type: text/html\n\n<p>npm test</p>\n<p>cat &lt; a &gt; b</p>']),
    ({ text }) => assert.equal(text, 'npm test\ncat < a > b'),
  ));

test('attachments are measured, and are no part of the text, also when they are text or mails', () =>
  both(
    multipart('mixed', [
      'Content-Type: text/plain\n\nls',
      'Content-Type: text/plain; name=notes.txt\nContent-Disposition: attachment; filename=notes.txt\n\nrm -rf /',
      'Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\nAAECAw==',
      'Content-Type: message/rfc822\nContent-Disposition: attachment\n\nFrom: evil@example.com\nSubject: y\n\nrm -rf /',
    ]),
    ({ text, sender, attachments }) => {
      assert.equal(text.trimEnd(), 'ls');
      assert.equal(sender, 'john@example.com');
      assert.deepEqual(attachments.map(({ fileName, contentType }) => [fileName, contentType]).slice(0, 2), [
        ['notes.txt', 'text/plain'],
        ['', 'application/octet-stream'],
      ]);
      assert.equal(attachments[1]?.sizeBytes, 4);
    },
  ));

test('the same mail has the same hash by whatever way it came; another text or attachment another one', async () => {
  const hash = async (mail: string) => (await parseMessage(Buffer.from(mail))).bodyHash;
  const one = await hash(PLAIN);
  assert.equal(await hash(`Received: from somewhere\n${PLAIN}`), one);
  assert.notEqual(await hash(PLAIN.replace('npm test', 'npm run test')), one);
  const attached = (content: string) =>
    multipart('mixed', ['Content-Type: text/plain\n\nls', `Content-Type: application/x-a\n\n${content}`]);
  assert.notEqual(await hash(attached('a')), await hash(attached('b')));
});

test('NUL bytes and a byte order mark are dropped', () =>
  both('From: john@example.com\nMessage-ID: <a\0b@c>\nSubject: a\0b\n\n\u{feff}echo\0 hi\n', (message) => {
    assert.equal(message.text, 'echo hi\n');
    assert.ok(!JSON.stringify([...message.headers, message.subject, message.messageId]).includes('\\u0000'));
  }));

test('identifiers are taken with their brackets, strange ones left out', async () => {
  const ids = async (header: string) => {
    const { messageId, inReplyTo, references } = await parseMessage(Buffer.from(`${header}\n\nx`));
    return { messageId, inReplyTo, references };
  };
  assert.deepEqual(await ids('Message-ID: bare@example.com\nIn-Reply-To: Your message of Sunday <a@b>'), {
    messageId: '<bare@example.com>',
    inReplyTo: '<a@b>',
    references: [],
  });
  assert.deepEqual(await ids(`Message-ID: <${'x'.repeat(2_000)}@b>\nReferences: <a@b> junk <c@d>\t<a@b>`), {
    messageId: null,
    inReplyTo: null,
    references: ['<a@b>', '<c@d>'],
  });
});

test('odd mail is read as far as it can be', async () => {
  const odd = [
    '',
    '\n',
    'no header at all',
    ':\n:\n\n',
    'From john Sun Nov 22\nFrom: john@example.com\n\nx',
    'Content-Type: multipart/mixed\n\nno boundary',
    'Content-Type: text/plain; charset=no-such-set\n\nx',
    'Content-Transfer-Encoding: base64\n\n!!!',
    'Date: not a date\nSubject: =?utf-8?B?broken\n\nx',
    `Subject: ${'x'.repeat(100_000)}\n\nx`,
    multipart('mixed', ['Content-Type: text/plain\n\nno end']).replace('--frontier--', ''),
    '\u{0}\u{1}\u{ff}',
  ];
  for (const mail of odd) await both(mail, ({ subject }) => assert.ok(subject.length <= 2000));
});
