import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAttachedFiles } from '../../src/mail/attached-files.ts';
import { safeNames } from '../../src/mail/file-names.ts';
import { outboxFiles } from '../../src/mail/outbox-files.ts';
import { parseMessage } from '../../src/mail/parse.ts';

const LIMITS = { fileBytes: 1000, totalBytes: 1500 };
const part = (type: string, name: string, content: string, head = '') =>
  `Content-Type: ${type}${name === '' ? '' : `; name="${name}"`}\nContent-Disposition: attachment${name === '' ? '' : `; filename="${name}"`}\n${head}\n${content}\n`;
const TEXT = 'Content-Type: text/plain\n\nls\n';

function mail(kind: string, parts: readonly string[]): string {
  const body = [TEXT, ...parts].map((one) => `--b\n${one}`).join('\n');
  return `From: a@example.com\nSubject: x\nMIME-Version: 1.0\nContent-Type: multipart/${kind}; boundary=b\n\n${body}\n--b--\n`;
}

async function both(raw: string, check: (files: string[], leftOut: string[]) => void): Promise<void> {
  for (const one of [raw, raw.replaceAll('\n', '\r\n')]) {
    const { files, leftOut } = await readAttachedFiles(Buffer.from(one), LIMITS);
    check(
      files.map(({ name, content }) => `${name}: ${content.toString().trim().replaceAll('\r', '')}`),
      leftOut,
    );
    const { attachments } = await parseMessage(Buffer.from(one));
    const hasFiles = attachments.some(({ isFile }) => isFile);
    assert.equal(hasFiles, files.length + leftOut.length > 0);
  }
}

test('the files of a mail are those that somebody attached', () =>
  both(
    mail('mixed', [
      part('text/x-patch', 'fix.patch', '--- a'),
      part('application/octet-stream', 'data.bin', 'AAEC', 'Content-Transfer-Encoding: base64\n'),
      part('message/rfc822', '', 'From: c@d.e\nSubject: z\n\nrm -rf /'),
      part('application/pgp-signature', 'signature.asc', 'x'),
      'Content-Type: text/plain; name=notes.txt\nContent-Disposition: inline; filename=notes.txt\n\nshown inline\n',
    ]),
    (files, leftOut) => {
      assert.deepEqual(files, [
        'fix.patch: --- a',
        'data.bin: \0\x01\x02',
        'message.eml: From: c@d.e\nSubject: z\n\nrm -rf /',
        'notes.txt: shown inline',
      ]);
      assert.deepEqual(leftOut, []);
    },
  ));

test('the pictures of a signature are none of them, a screenshot in the text is', () =>
  both(
    mail('related', [
      part('image/png', 'logo.png', 'small', 'Content-ID: <logo@a>\n'),
      part('image/png', 'attached.png', 'no id'),
    ]),
    (files) => assert.deepEqual(files, ['attached.png: no id']),
  ));

test('what is too large, or too much, is left out and named', () =>
  both(
    mail('mixed', [
      part('text/plain', 'a.txt', 'a'.repeat(900)),
      part('text/plain', 'large.txt', 'b'.repeat(1100)),
      part('text/plain', 'second.txt', 'c'.repeat(900)),
      part('text/plain', 'small.txt', 'd'),
      part('application/ms-tnef', 'winmail.dat', 'x'),
    ]),
    (files, leftOut) => {
      assert.deepEqual(
        files.map((file) => file.slice(0, 12)),
        ['a.txt: aaaaa', 'small.txt: d'],
      );
      assert.match(
        leftOut[0] ?? '',
        /^Left out of the files attached to your mail: large\.txt \(1\.1 KB\), second\.txt \(90\d bytes\)\./,
      );
      assert.match(leftOut[0] ?? '', /up to 1000 bytes each, 1\.5 KB and 100 files in all\.$/);
      assert.match(leftOut[1] ?? '', /^winmail\.dat was left out/);
    },
  ));

test('files within an S/MIME signature are found', async () => {
  const inner = Buffer.from(mail('mixed', [part('text/plain', 'in.txt', 'within')]));
  const der = (tag: number, content: Buffer) =>
    Buffer.concat([Buffer.from([tag, 0x82, content.length >> 8, content.length & 255]), content]);
  const oid = (last: number) =>
    Buffer.from(`06092a864886f70d0107${last.toString(16).padStart(2, '0')}`, 'hex');
  const encapsulated = der(0x30, Buffer.concat([oid(1), der(0xa0, der(0x04, inner))]));
  const signedData = der(0x30, Buffer.concat([Buffer.from('0201013100', 'hex'), encapsulated]));
  const cms = der(0x30, Buffer.concat([oid(2), der(0xa0, signedData)])).toString('base64');
  const lines = cms.match(/.{1,76}/g) ?? [];
  const raw = `From: a@example.com\nContent-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\nContent-Transfer-Encoding: base64\n\n${lines.join('\n')}\n`;
  const { files } = await readAttachedFiles(Buffer.from(raw), LIMITS);
  assert.deepEqual(
    files.map(({ name }) => name),
    ['in.txt'],
  );
  const { text, attachments } = await parseMessage(Buffer.from(raw));
  assert.equal(text.trim(), 'ls');
  assert.deepEqual(
    attachments.map(({ isFile }) => isFile),
    [true],
  );
});

const NAMES: readonly [given: string, safe: string][] = [
  ['report.pdf', 'report.pdf'],
  ['Überblick 2026 – 報告.pdf', 'Überblick 2026 – 報告.pdf'],
  ['../../etc/passwd', 'passwd'],
  ['C:\\Users\\john\\a.txt', 'a.txt'],
  ['/', 'attachment'],
  ['..', 'attachment'],
  ['.bashrc', 'bashrc'],
  ['-rf', 'rf'],
  ['~/x', 'x'],
  ['a\nb\0c\u202etxt.exe\u200b', 'abctxt.exe'],
  ['  a   b.txt . ', 'a b.txt'],
  ['', 'attachment'],
  [`${'x'.repeat(400)}.tar.gz`, `${'x'.repeat(180)}.tar.gz`],
  [`${'報'.repeat(200)}.txt`, `${'報'.repeat(60)}.txt`],
];
test('names are one part of a path, and hide nothing', () => {
  for (const [given, safe] of NAMES)
    assert.deepEqual(safeNames([{ name: given, contentType: 'x/y' }]), [safe], given);
});

test('names that are there already get a number; without a name, the type says what it is', () => {
  const files = ['a.txt', 'b/a.txt', 'a-2.txt', 'a.tar.gz', 'a.tar.gz'].map((name) => ({
    name,
    contentType: '',
  }));
  assert.deepEqual(safeNames(files), ['a.txt', 'a-2.txt', 'a-2-2.txt', 'a.tar.gz', 'a-2.tar.gz']);
  assert.deepEqual(
    safeNames([
      { name: '', contentType: 'message/rfc822' },
      { name: '', contentType: 'text/x-patch' },
    ]),
    ['message.eml', 'attachment.patch'],
  );
});

test('what a command has left comes under safe names and types, and the rest is told', () => {
  const path = '/workspace/.outbox/7';
  const { attachments, notes } = outboxFiles({
    files: ['a.pdf', 'sub/page.html', 'sub-page.html', '\u202egpj.exe'].map((name) => ({
      name,
      content: Buffer.alloc(2048),
    })),
    left: [{ name: 'big\n.bin', sizeBytes: 40 << 20 }],
    oddCount: 2,
    isWhole: true,
    path,
  });
  assert.deepEqual(
    attachments.map(({ fileName, contentType }) => [fileName, contentType]),
    [
      ['a.pdf', 'application/pdf'],
      ['sub-page.html', 'application/octet-stream'],
      ['sub-page-2.html', 'application/octet-stream'],
      ['gpj.exe', 'application/octet-stream'],
    ],
  );
  assert.deepEqual(notes, [
    'Attached: a.pdf (2 KB), sub-page.html (2 KB), sub-page-2.html (2 KB), gpj.exe (2 KB).',
    'Too much to be mailed: big␊.bin (40 MB). It is still in /workspace/.outbox/7.',
    'Not mailed: 2 links or other things that are no files, in /workspace/.outbox/7.',
  ]);
  const { notes: broken } = outboxFiles({ files: [], left: [], oddCount: 0, isWhole: false, path });
  assert.deepEqual(broken, [
    'Not all that is in /workspace/.outbox/7 could be fetched. Your next command finds it there.',
  ]);
});
