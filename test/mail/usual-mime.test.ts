import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMime } from '../../src/mail/mime.ts';
import { readUsual } from '../../src/mail/usual-mime.ts';

const base64 = (text: string): string =>
  Buffer.from(text)
    .toString('base64')
    .replace(/.{76}(?=.)/g, '$&\n');

const HEAD = `Return-Path: <john@example.com>
Received: from mail.example.com (mail.example.com [192.0.2.1])
\tby mx.example.com with ESMTPS; Sun, 22 Nov 2026 10:00:00 +0000
From: "John Doe" <John@Example.com>
To: bot@example.com
Subject: [app] The work
  of the week
Message-ID: <one@example.com>
References: <root@example.com>
 <zero@example.com>
MIME-Version: 1.0
`;
const TYPED = 'npm test\n\n> quoted: grün\n-- \nJohn\n';
const UTF8 = 'Content-Type: text/plain; charset=utf-8\n';
const HTML = `Content-Type: text/html; charset="UTF-8"\n\n<div>npm test<br></div>\n`;
const QUOTED = `${UTF8}Content-Transfer-Encoding: quoted-printable\n\nnpm =\ntest =3D gr=C3=BCn\n`;
const FILE = `Content-Type: text/x-patch; name="one.patch"
Content-Disposition: attachment; filename="one.patch"
Content-Transfer-Encoding: base64

${base64('diff --git a/a b/a\n'.repeat(20))}
`;
const PICTURE = `Content-Type: image/png; name=shot.png\nContent-Disposition: inline\nContent-Transfer-Encoding: base64\n\n${base64('png')}\n`;
const NOTE = `Content-Type: text/plain; charset=us-ascii; name="note.txt"\nContent-Disposition: inline;\n filename="note.txt"\n\nas it is\n`;

const multipart = (kind: string, boundary: string, parts: readonly string[]): string =>
  `Content-Type: multipart/${kind};\n boundary="${boundary}"\n\n${parts.map((part) => `--${boundary}\n${part}\n`).join('')}--${boundary}--\n`;

/** What clients write, and what {@link readUsual} is for. */
const USUAL: Readonly<Record<string, string>> = {
  'without a type': `\n${TYPED}`,
  plain: `${UTF8}Content-Transfer-Encoding: 8bit\n\n${TYPED}`,
  'quoted-printable': QUOTED,
  base64: `${UTF8}Content-Transfer-Encoding: BASE64\n\n${base64(TYPED)}\n`,
  HTML,
  alternative: multipart('alternative', '=_a', [QUOTED, HTML]),
  'with files': multipart('mixed', '----=_Part_1', [`${UTF8}\n${TYPED}`, FILE, NOTE, PICTURE]),
  'both with files': multipart('mixed', 'outer', [multipart('alternative', 'in', [QUOTED, HTML]), FILE]),
  'HTML between files': multipart('mixed', 'm', [`\n${TYPED}`, HTML, FILE, `${UTF8}\n${TYPED}`]),
  'in three levels': multipart('mixed', 'one', [
    multipart('related', 'two', [multipart('alternative', 'three', [`${UTF8}\n${TYPED}`, HTML])]),
    FILE,
  ]),
};

const mailsOf = (rest: string): Buffer[] =>
  [HEAD + rest, (HEAD + rest).replaceAll('\n', '\r\n')].map((text) => Buffer.from(text));

for (const [name, rest] of Object.entries(USUAL)) {
  test(`a mail ${name} is read as by the parser`, async () => {
    for (const raw of mailsOf(rest)) {
      const read = readUsual(raw);
      assert.ok(read, 'it is usual');
      assert.deepEqual(read, await parseMime(raw));
    }
  });
}

const ODD: Readonly<Record<string, string>> = {
  'a lone CR': `${UTF8}\nnpm\rtest\n`,
  'another charset': 'Content-Type: text/plain; charset=iso-8859-1\n\nls\n',
  'lines that flow': 'Content-Type: text/plain; format=flowed\n\nls \n-l\n',
  'two types': `${UTF8}${HTML}`,
  'a comment in its type': 'Content-Type: text/plain (really); charset=utf-8\n\nls\n',
  'spaces without end in its type': `Content-Type: text/plain; charset=utf-8${' '.repeat(200_000)}x\n\nls\n`,
  'a parameter in parts': multipart('mixed', 'm', ['Content-Type: text/css; name*0=a; name*1=b\n\nx\n']),
  'a boundary that begins another': multipart('mixed', 'ab', [multipart('mixed', 'a', [`\n${TYPED}`])]),
  'no end': multipart('mixed', 'm', [`\n${TYPED}`]).replace('--m--', ''),
  'something behind its end': `${multipart('mixed', 'm', [`\n${TYPED}`])}--m\n\nls\n`,
  'a signature': multipart('signed', 'm', [`\n${TYPED}`, 'Content-Type: application/pgp-signature\n\nx\n']),
  'a mail in it': multipart('mixed', 'm', ['Content-Type: message/rfc822\n\nSubject: x\n\nls\n']),
  'broken base64': `${UTF8}Content-Transfer-Encoding: base64\n\nbHM\n`,
  'broken quoted-printable': `${UTF8}Content-Transfer-Encoding: quoted-printable\n\na=b\n`,
};

for (const [name, rest] of Object.entries(ODD)) {
  test(`a mail with ${name} is left to the parser`, () => {
    for (const raw of mailsOf(rest)) assert.equal(readUsual(raw), null);
  });
}

/** Always the same numbers below 1. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const SPLINTERS = (
  '\n|\r\n|\r| |\t|=|==|=3D|=\n|"|;|:|--|--m\n|--m--\n|--outer\n|--outer--\n|--in\n|--in--\n|--in-- \n|--=_a\n|' +
  '\n\n|\n --m\n|From me\n|: x\n|Content-Type: text/html\n|Content-Type:\n|Content-Disposition: attachment\n|' +
  'Content-Transfer-Encoding: base64\n|Content-ID: <a>\n|; charset=latin1|; format=flowed|; boundary=m|(a)|%20|*=|ü|\0|\ufeff'
).split('|');

/** A mail with some of its bytes or lines gone, doubled or moved, or with something else put in. */
function damaged(mail: string, next: () => number): string {
  const below = (count: number) => Math.floor(next() * count);
  let text = mail;
  for (let left = 1 + below(3); left > 0; left -= 1) {
    const lines = text.split('\n');
    // Most of it where it matters: not in the middle of a file.
    const line = below(lines.length);
    const at = lines.slice(0, line).join('\n').length + below(2) * below((lines[line] ?? '').length + 2);
    const kind = below(5);
    if (kind === 0) text = lines.toSpliced(line, 1).join('\n');
    else if (kind === 1) text = lines.toSpliced(below(lines.length), 0, lines[line] ?? '').join('\n');
    else if (kind === 2) text = text.slice(0, at) + text.slice(at + 1 + below(3));
    else text = text.slice(0, at) + (SPLINTERS[below(SPLINTERS.length)] ?? '') + text.slice(at);
  }
  return text;
}

/** Tried with 1,500 of two seeds as well. */
const ROUNDS = 20;

test('whatever is done to a mail, it is read as by the parser or left to it', async () => {
  const next = numbers(4);
  let usual = 0;
  let all = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const rest of Object.values(USUAL)) {
      for (const mail of mailsOf(rest)) {
        const raw = Buffer.from(damaged(mail.toString(), next));
        const read = readUsual(raw);
        all += 1;
        if (read === null) continue;
        usual += 1;
        assert.deepEqual(read, await parseMime(raw), JSON.stringify(raw.toString()));
      }
    }
  }
  assert.ok(usual > all / 10);
});
