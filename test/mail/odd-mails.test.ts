import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { parseMessage, type ParsedMessage } from '../../src/mail/parse.ts';
import { readTyped } from '../../src/mail/reply-text.ts';

const HEAD = 'From: John <john@example.com>\nSubject: [app] x\nMIME-Version: 1.0\n';

function multipart(kind: string, parts: readonly string[], boundary = 'frontier'): string {
  const body = parts.map((part) => `--${boundary}\n${part}\n`).join('');
  return `Content-Type: multipart/${kind}; boundary="${boundary}"\n\n${body}--${boundary}--\n`;
}

const TEXT = 'Content-Type: text/plain; charset=utf-8\n\necho one; ls > out\n';

/** The same of a mail with LF and with CRLF. */
async function both(mail: string, check: (message: ParsedMessage) => void): Promise<void> {
  for (const raw of [mail, mail.replaceAll('\n', '\r\n')])
    check(await parseMessage(Buffer.from(raw, 'latin1')));
}

const latin = (text: string) => Buffer.from(text).toString('latin1');

const READ: Readonly<Record<string, readonly [mail: string, command: string]>> = {
  'a page alone': [
    'Content-Type: text/html; charset=utf-8\n\n<html><body><p>echo one;<br>ls &gt; out</p></body></html>\n',
    'echo one;\nls > out',
  ],
  'parts within parts': [
    multipart('mixed', [
      multipart(
        'related',
        [multipart('alternative', [TEXT, 'Content-Type: text/html\n\n<p>echo one; ls &gt; out</p>\n'], 'c')],
        'b',
      ),
    ]),
    'echo one; ls > out',
  ],
  'flowed lines': [
    'Content-Type: text/plain; charset=utf-8; format=flowed\n\necho one two \nthree\n > out\nls\n',
    'echo one two three\n> out\nls',
  ],
  'flowed lines, DelSp': [
    'Content-Type: text/plain; charset=utf-8; format=flowed; delsp=yes\n\ncurl https://example.com/a \nb/c\nls\n',
    'curl https://example.com/ab/c\nls',
  ],
  'soft line breaks': [
    'Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\necho o=\nne =3D tw=C3=\n=B6\n',
    'echo one = twö',
  ],
  'a transfer encoding that is none': [
    'Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: UTF-8\n\necho one\n',
    'echo one',
  ],
  'a text of no character set, in UTF-8': [
    `Content-Type: text/plain\n\n${latin('echo Grüße')}\n`,
    'echo Grüße',
  ],
  'a character set nobody knows, in ASCII': [
    'Content-Type: text/plain; charset=x-nobody\n\necho one\n',
    'echo one',
  ],
  'windows-1252': ['Content-Type: text/plain; charset=windows-1252\n\necho \x80 \xfc\n', 'echo € ü'],
  Shift_JIS: ['Content-Type: text/plain; charset=Shift_JIS\n\necho \x93\xfa\x96\x7b\n', 'echo 日本'],
  'ISO-2022-JP': ['Content-Type: text/plain; charset=ISO-2022-JP\n\necho \x1b$BF|K\\\x1b(B\n', 'echo 日本'],
  GB18030: ['Content-Type: text/plain; charset=GB18030\n\necho \xd6\xd0\n', 'echo 中'],
  'KOI8-R': ['Content-Type: text/plain; charset=KOI8-R\n\necho \xd0\xd2\n', 'echo пр'],
  'a forwarded mail attached': [
    multipart('mixed', [
      TEXT,
      'Content-Type: message/rfc822\nContent-Disposition: inline\n\nFrom: a@b.c\nSubject: y\n\nrm -rf /\n',
    ]),
    'echo one; ls > out',
  ],
  'a file that its client shows within the text': [
    multipart('mixed', [
      TEXT,
      'Content-Type: text/plain; name=fix.patch\nContent-Disposition: inline; filename=fix.patch\n\n--- a\n+++ b\n',
      'Content-Type: text/plain; charset=utf-8\n\n\nls\n',
    ]),
    'echo one; ls > out\n\n\nls',
  ],
  'what Outlook packs': [
    multipart('mixed', [
      TEXT,
      'Content-Type: application/ms-tnef; name=winmail.dat\nContent-Transfer-Encoding: base64\n\neJ8+Ig==\n',
    ]),
    'echo one; ls > out',
  ],
  'a PGP signature beside it': [
    multipart('signed', [
      TEXT,
      'Content-Type: application/pgp-signature; name=signature.asc\n\n-----BEGIN PGP SIGNATURE-----\nx\n',
    ]),
    'echo one; ls > out',
  ],
  'an S/MIME signature beside it': [
    multipart('signed', [
      TEXT,
      'Content-Type: application/pkcs7-signature; name=smime.p7s\nContent-Transfer-Encoding: base64\n\nMAA=\n',
    ]),
    'echo one; ls > out',
  ],
  'a PGP signature around it': [
    'Content-Type: text/plain; charset=utf-8\n\n-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\ngit checkout - -- src\n- -- \n- --option\nls\n-----BEGIN PGP SIGNATURE-----\n\niQEz\n-----END PGP SIGNATURE-----\n',
    'git checkout - -- src',
  ],
};
for (const [what, [mail, command]] of Object.entries(READ)) {
  test(`the command is read of a mail with ${what}`, () =>
    both(`${HEAD}${mail}`, ({ text, obstacle, sender }) => {
      assert.deepEqual(
        [readTyped(text), obstacle, sender],
        [{ text: command, doubt: null }, null, 'john@example.com'],
      );
    }));
}

/** Made by `openssl smime -sign -nodetach` and `openssl cms -sign -stream`: `echo signed; ls > out`. */
const SIGNED = {
  'lengths told': `MIIBEAYJKoZIhvcNAQcCoIIBATCB/gIBATEPMA0GCWCGSAFlAwQCAQUAMFEGCSqGSIb3DQEHAaBE
BEJDb250ZW50LVR5cGU6IHRleHQvcGxhaW47IGNoYXJzZXQ9dXRmLTgNCg0KZWNobyBzaWduZWQ7
IGxzID4gb3V0DQoxgZQwgZECAQEwJzAPMQ0wCwYDVQQDDARqb2huAhRUlD0pipF8kSd/kaMab6PS
kdakpjANBglghkgBZQMEAgEFADAKBggqhkjOPQQDAgRIMEYCIQChirQIJO0bkhmVOJrRdC0EHG2b
w2yS+Io1XtKoT8jdAgIhAJ5yD87qj8qHPtm+S7rEG9keC/9YL5te/+BHkLXFjna/`,
  'lengths left open': `MIAGCSqGSIb3DQEHAqCAMIACAQExDTALBglghkgBZQMEAgEwgAYJKoZIhvcNAQcBoIAkgARCQ29u
dGVudC1UeXBlOiB0ZXh0L3BsYWluOyBjaGFyc2V0PXV0Zi04DQoNCmVjaG8gc2lnbmVkOyBscyA+
IG91dA0KAAAAAAAAMYIBeTCCAXUCAQEwJzAPMQ0wCwYDVQQDDARqb2huAhRUlD0pipF8kSd/kaMa
b6PSkdakpjALBglghkgBZQMEAgGggeQwGAYJKoZIhvcNAQkDMQsGCSqGSIb3DQEHATAcBgkqhkiG
9w0BCQUxDxcNMjYxMTIyMjMxMTIyWjAvBgkqhkiG9w0BCQQxIgQgUdfEGkV61Y5UgWQBMs/nxX/Z
MpyVN5KPDe4W3w3MRsMweQYJKoZIhvcNAQkPMWwwajALBglghkgBZQMEASowCwYJYIZIAWUDBAEW
MAsGCWCGSAFlAwQBAjAKBggqhkiG9w0DBzAOBggqhkiG9w0DAgICAIAwDQYIKoZIhvcNAwICAUAw
BwYFKw4DAgcwDQYIKoZIhvcNAwICASgwCgYIKoZIzj0EAwIERzBFAiAW51tWcgGnY1v6KZBKvVXE
P2JmroMCsBhHAX9zLPe39wIhANFDOCncgsMVoNGRGV4+hbP8Ajfkpmke7G+irs3W8iJSAAAAAAAA`,
};
const smime = (base64: string, type = 'application/pkcs7-mime') =>
  `${HEAD}Content-Type: ${type}; smime-type=signed-data; name=smime.p7m\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=smime.p7m\n\n${base64}\n`;
for (const [what, base64] of Object.entries(SIGNED)) {
  test(`the command is read within an S/MIME signature, ${what}`, () =>
    both(smime(base64), ({ text, obstacle, attachments, subject }) => {
      assert.deepEqual(
        [text.trim(), obstacle, attachments, subject],
        ['echo signed; ls > out', null, [], '[app] x'],
      );
    }));
}

/** Made by `openssl cms -encrypt`; only its beginning is looked at. */
const ENVELOPED = 'MIIBVAYJKoZIhvcNAQcDoIIBRTCCAUECAQIxgc6hgcsCAQOgUaFPMAkGByqGSM49AgEDQgAE\n';
const ENVELOPED_WHOLE = Buffer.from('300d06092a864886f70d010703a000', 'hex').toString('base64');
const ENCRYPTED: Readonly<Record<string, string>> = {
  'S/MIME': smime(ENVELOPED_WHOLE),
  'S/MIME of an older program': smime(ENVELOPED_WHOLE, 'application/x-pkcs7-mime'),
  'S/MIME that is damaged': smime(ENVELOPED),
  'PGP/MIME': `${HEAD}${multipart('encrypted', ['Content-Type: application/pgp-encrypted\n\nVersion: 1\n', 'Content-Type: application/octet-stream; name=encrypted.asc\n\n-----BEGIN PGP MESSAGE-----\n'])}`,
  'PGP/MIME that a server took apart': `${HEAD}${multipart('mixed', ['Content-Type: text/plain\n\n', 'Content-Type: application/pgp-encrypted\n\nVersion: 1\n', 'Content-Type: application/octet-stream; name=encrypted.asc\n\n-----BEGIN PGP MESSAGE-----\n'])}`,
  'PGP in the text': `${HEAD}Content-Type: text/plain\n\n-----BEGIN PGP MESSAGE-----\n\nhQEM\n-----END PGP MESSAGE-----\n`,
};
for (const [what, mail] of Object.entries(ENCRYPTED)) {
  test(`an encrypted mail is known: ${what}`, () =>
    both(mail, ({ text, obstacle, sender }) => {
      assert.deepEqual([text, obstacle, sender], ['', 'encrypted', 'john@example.com']);
    }));
}

for (const [charset, encoding, text] of [
  ['utf-7', '7bit', 'echo +AOQ-'],
  ['iso-2022-kr', '7bit', '\x1b$)Cecho \x0eGQ\x0f'],
  ['hz-gb-2312', '7bit', 'echo ~{VP~}'],
  ['utf-8', 'x-uuencode', 'begin 644 x\n$96-H;PH\n`\nend'],
] as const) {
  test(`text that would be run as it came is not read: ${charset}, ${encoding}`, async () => {
    const part = `Content-Type: text/plain; charset="${charset}"\nContent-Transfer-Encoding: ${encoding}\n\n${text}\n`;
    const file = part.replace('\n', '; name=a.txt\n');
    for (const mail of [part, file, multipart('mixed', [part]), multipart('alternative', [part, TEXT])])
      await both(`${HEAD}${mail}`, (message) =>
        assert.deepEqual([message.text, message.obstacle], ['', 'odd-encoding']),
      );
    const shown = part.replace('\n', '\nContent-Disposition: inline; filename="a.txt"\n');
    const unnamed = part.replace('\n', '\nContent-Disposition: attachment\n');
    await both(`${HEAD}${multipart('mixed', [TEXT, file, shown, unnamed])}`, (message) =>
      assert.equal(message.text.trim(), 'echo one; ls > out'),
    );
  });
}

test('bytes of a character set that nobody knows are no reason to fail, and are seen to be broken', () =>
  both(`${HEAD}Content-Type: text/plain; charset=x-nobody\n\necho \xfc\xe4 end\n`, ({ text }) => {
    assert.match(text, /^echo \u{fffd}+ end\n/u);
  }));

/** Generous: the machine may have much else to do. */
const BOUND_MS = 40_000;
const BOUND_BYTES = 400 << 20;

async function bounded(mail: string, check: (message: ParsedMessage) => void): Promise<void> {
  const raw = Buffer.from(mail, 'latin1');
  const startedAt = performance.now();
  const before = process.memoryUsage().rss;
  check(await parseMessage(raw));
  const [tookMs, grown] = [performance.now() - startedAt, process.memoryUsage().rss - before];
  assert.ok(tookMs < BOUND_MS, `took ${Math.round(tookMs)} ms`);
  assert.ok(grown < BOUND_BYTES, `took ${grown >> 20} MB`);
}

const nested = (levels: number) =>
  Array.from(
    { length: levels },
    (_, at) => `Content-Type: multipart/mixed; boundary=b${at}\n\n--b${at}\n`,
  ).join('');
const BOMBS: Readonly<Record<string, readonly [mail: () => string, obstacle: ParsedMessage['obstacle']]>> = {
  '10,000 parts': [
    () =>
      HEAD +
      multipart(
        'mixed',
        Array.from({ length: 10_000 }, () => TEXT),
      ),
    'too-many-parts',
  ],
  '10,000 levels': [() => `${HEAD}${nested(10_000)}${TEXT}`, 'too-many-parts'],
  'a header of 3 MB': [() => `X-Long: ${'x'.repeat(3 << 20)}\n${HEAD}\nls\n`, 'headers-too-large'],
  'a million headers': [() => `${'X: y\n'.repeat(1_000_000)}${HEAD}\nls\n`, 'headers-too-large'],
  'lines like boundaries at 45 levels': [
    () => `${HEAD}${nested(45)}${TEXT}${'--b12\n'.replace('12', 'xx').repeat(200_000)}`,
    null,
  ],
};
for (const [what, [mail, obstacle]] of Object.entries(BOMBS)) {
  test(`its sender is known, in bounded time and memory, of a mail with ${what}`, () =>
    bounded(mail(), (message) => {
      assert.equal(message.sender, 'john@example.com');
      assert.equal(message.subject, '[app] x');
      assert.equal(message.obstacle, obstacle);
    }));
}

test('a second From behind a million headers is not hidden', async () => {
  const mail = `${HEAD}${'X: y\n'.repeat(1_000_000)}From: ${'x'.repeat(100_000)}\n\nls\n`;
  assert.equal((await parseMessage(Buffer.from(mail))).sender, null);
});

test('50 MB of a packed file are measured, and never unpacked', () => {
  const zip = gzipSync(Buffer.alloc(30 << 20)).toString('base64');
  const lines = (zip.match(/.{1,76}/g) ?? []).join('\n');
  const part = `Content-Type: application/gzip; name=a.gz\nContent-Transfer-Encoding: base64\n\n${lines}\n`;
  const filler = `Content-Type: application/octet-stream; name=b\n\n${`${'x'.repeat(76)}\n`.repeat(650_000)}`;
  return bounded(HEAD + multipart('mixed', [TEXT, part, filler]), ({ text, attachments }) => {
    assert.equal(text.trim(), 'echo one; ls > out');
    const [packed, plain] = attachments;
    assert.ok(packed && packed.sizeBytes < 1 << 20);
    assert.ok(plain && plain.sizeBytes > 45 << 20);
  });
});

test('50 MB of text do not stop the reader', () =>
  bounded(`${HEAD}\n${'> quoted line\n'.repeat(3_600_000)}`, ({ text, obstacle }) => {
    assert.deepEqual([text, obstacle], ['', 'text-too-long']);
  }));

test('4 MB of text are read', () =>
  bounded(`${HEAD}\n${'> quoted line\n'.repeat(290_000)}`, ({ text }) => {
    assert.equal(typeof readTyped(text).text, 'string');
  }));
