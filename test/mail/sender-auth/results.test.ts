import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAuthenticationResults } from '../../../src/mail/sender-auth/authentication-results.ts';
import type { SenderAuth } from '../../../src/config.ts';
import { verifySender } from '../../../src/mail/sender-auth/verify-sender.ts';
import {
  FASTMAIL,
  GMAIL,
  ICLOUD,
  MICROSOFT,
  POSTFIX,
  PROTON,
  RECEIVED,
  WRITTEN,
  YAHOO,
} from './provider-mails.ts';

async function verdict(
  raw: string,
  pinned: readonly string[],
  {
    mode = 'authentication-results',
    sender = 'alice@example.com',
  }: { mode?: SenderAuth; sender?: string } = {},
): Promise<string> {
  const judge = async (text: string): Promise<string> => {
    const rules = { senderAuth: mode, trustedAuthservIds: [...pinned], botAddress: 'bot@threadbox.test' };
    const resolve = () => Promise.reject(new Error('nobody is asked'));
    const mail = { raw: Buffer.from(text), isTruncated: false, sender };
    const judged = await verifySender(mail, rules, { resolve, now: new Date() });
    return judged.kind === 'verified' ? 'verified' : judged.reason;
  };
  const withLf = await judge(raw);
  assert.equal(await judge(raw.replace(/\r?\n/g, '\r\n')), withLf, 'CRLF and LF are judged alike');
  return withLf;
}

const PROVIDERS: readonly [name: string, trace: string, pinned: string[], mode?: SenderAuth][] = [
  ['Gmail', GMAIL, ['mx.google.com']],
  ['Fastmail, over four fields', FASTMAIL, ['*.messagingengine.com']],
  ['iCloud, an id for each method', ICLOUD, ['*.icloud.com']],
  ['Proton', PROTON, ['mail.protonmail.ch']],
  ['Yahoo', YAHOO, ['*.yahoo.com']],
  ['Postfix with OpenDKIM and OpenDMARC', POSTFIX, ['mx.example.net']],
  ['Microsoft 365 and Outlook.com', MICROSOFT, [], 'microsoft365'],
];
for (const [name, trace, pinned, mode = 'authentication-results'] of PROVIDERS) {
  test(`${name}: its word is taken, and only where it passes, is about From, and is asked for`, async () => {
    assert.equal(await verdict(trace + WRITTEN, pinned, { mode }), 'verified');
    assert.match(
      await verdict(trace.replace('dmarc=pass', 'dmarc=fail') + WRITTEN, pinned, { mode }),
      /dmarc=fail/,
    );
    const other = trace.replace('header.from=example.com', 'header.from=evil.test');
    assert.match(await verdict(other + WRITTEN, pinned, { mode }), /not about the domain in From/);
    if (mode === 'microsoft365') return;
    assert.match(await verdict(trace + WRITTEN, []), /not trusted/);
    assert.match(await verdict(trace + WRITTEN, ['mx.elsewhere.test']), /not trusted/);
    assert.notEqual(await verdict(trace + WRITTEN, pinned, { mode: 'microsoft365' }), 'verified');
  });
}

const GOOD = 'Authentication-Results: mx.example.net; dmarc=pass header.from=example.com\n';
const OWN = 'Authentication-Results: mx.example.net; spf=fail smtp.mailfrom=evil.test; dkim=none\n';
const ATTACKS: readonly [what: string, header: string, reason: RegExp][] = [
  [
    'a forged result below the real one',
    `${RECEIVED}${OWN.replace('dkim=none', 'dmarc=fail header.from=example.com')}${RECEIVED}${GOOD}`,
    /dmarc=fail/,
  ],
  [
    'a forged result right below the real one',
    `${OWN.replace('dkim=none', 'dmarc=fail header.from=example.com')}${GOOD}`,
    /more than one dmarc/,
  ],
  [
    'a forged result below a real one that says nothing of DMARC, another server in between',
    `${OWN}${RECEIVED}${GOOD}`,
    /no dmarc result/,
  ],
  [
    'a forged dkim=pass right below a real dkim=none',
    `${OWN}Authentication-Results: mx.example.net; dkim=pass header.d=example.com\n`,
    /no dmarc result/,
  ],
  [
    'a result of another server on top',
    `Authentication-Results: evil.test; dmarc=fail\n${GOOD}`,
    /evil.test, which is not trusted/,
  ],
  [
    'only a result of another server',
    `${RECEIVED}Authentication-Results: evil.test; dmarc=pass header.from=example.com\n`,
    /evil.test, which is not trusted/,
  ],
  ['no result at all', RECEIVED, /has written no Authentication-Results/],
  [
    'the pinned id in a comment',
    'Authentication-Results: (mx.example.net;) evil.test; dmarc=pass header.from=example.com\n',
    /evil.test/,
  ],
  [
    'the pinned id as the beginning of another',
    'Authentication-Results: mx.example.net.evil.test; dmarc=pass header.from=example.com\n',
    /not trusted/,
  ],
  [
    'the result in a comment',
    'Authentication-Results: mx.example.net; spf=fail (; dmarc=pass header.from=example.com)\n',
    /no dmarc result/,
  ],
  [
    'the result in a quoted string',
    'Authentication-Results: mx.example.net; spf=fail smtp.mailfrom="x; dmarc=pass header.from=example.com"\n',
    /no dmarc result/,
  ],
  [
    'a comment that does not end',
    'Authentication-Results: mx.example.net; dmarc=pass header.from=example.com (\n',
    /cannot be read/,
  ],
  [
    'a local part that breaks out of a comment',
    'Authentication-Results: mx.example.net; spf=pass (domain of x); dmarc=pass header.from=example.com (@evil.test designates) smtp.mailfrom=x); dkim=none\n',
    /cannot be read/,
  ],
  [
    'a local part that leaves words behind',
    'Authentication-Results: mx.example.net; spf=pass smtp.mailfrom=x; dmarc=pass header.from=example.com @evil.test\n',
    /cannot be read/,
  ],
  ['two domains that DMARC is about', GOOD.replace('\n', ' header.from=evil.test\n'), /not about the domain/],
  [
    'dmarc=pass without a domain',
    'Authentication-Results: mx.example.net; dmarc=pass\n',
    /not about the domain/,
  ],
  [
    'a property named like the method',
    'Authentication-Results: mx.example.net; spf=fail dmarc=pass header.from=example.com\n',
    /no dmarc result/,
  ],
  [
    'a method that only begins so',
    'Authentication-Results: mx.example.net; dmarc-x=pass header.from=example.com\n',
    /no dmarc result/,
  ],
  ['no result by name', 'Authentication-Results: mx.example.net; none\n', /no dmarc result/],
  [
    'an id that only Microsoft leaves out',
    'Authentication-Results: dmarc=pass header.from=example.com\n',
    /not trusted/,
  ],
  ['the result below what the sender wrote', `X-First: 1\nMIME-Version: 1.0\n${GOOD}`, /has written no/],
  ['a field that continues another', `X-Note: 1\n ${GOOD}`, /has written no/],
  [
    'a temporary fault of the receiving server',
    'Authentication-Results: mx.example.net; dmarc=temperror header.from=example.com\n',
    /dmarc=temperror/,
  ],
  [
    'dkim=pass of a part of the domain',
    'Authentication-Results: mx.example.net; dkim=pass header.d=com; dmarc=none\n',
    /dmarc=none, and no dkim/,
  ],
  [
    'dkim=pass of another domain of the organization',
    'Authentication-Results: mx.example.net; dkim=pass header.d=mail.example.com\n',
    /no dkim=pass/,
  ],
  [
    'a signature that leaves the end open',
    `${GOOD}DKIM-Signature: v=1; d=example.com; l=10; b=abcd\n`,
    /leaves the end of the mail open/,
  ],
  ['a NUL', `X-A: \0\n${GOOD}`, /NUL/],
  ['a bare carriage return', `X-A: b\rFrom: x\n${GOOD}`, /carriage return/],
  ['a line that is no field', `no field\n${GOOD}`, /no field/],
  ['a continued line first', ` ${GOOD}`, /begins with a continued line/],
  ['a header that never ends', `X-A: ${'a'.repeat(300_000)}\n${GOOD}`, /larger than 256 KB/],
  ['thousands of fields', `${'a:\n'.repeat(5_000)}${GOOD}`, /more than 1000 fields/],
];
for (const [what, header, reason] of ATTACKS) {
  test(`refused: ${what}`, async () => {
    assert.match(await verdict(header + WRITTEN, ['mx.example.net']), reason);
  });
}

const FROMS: readonly [from: string, reason: RegExp][] = [
  ['From: a@evil.test, alice@example.com', /two ways/],
  ['From: Team: alice@example.com;', /two ways/],
  ['From: "alice@example.com" <mallory@evil.test>', /two ways/],
  ['From: =?utf-8?q?alice=40example.com?= <mallory@evil.test>', /two ways/],
  ['From: alice@example.com <mallory@evil.test>', /two ways/],
  ['From: alice@exampl\u0435.com', /two ways/],
  ['From: alice@example.com\nFrom: mallory@evil.test', /more than one field from/],
  ['From: alice@example.com\nfrom : mallory@evil.test', /more than one field from/],
  ['Sender: x@evil.test\nSender: y@evil.test\nFrom: alice@example.com', /more than one field sender/],
  ['X-From: alice@example.com', /two ways/],
];
for (const [from, reason] of FROMS) {
  test(`refused, whatever the parser made of it: ${JSON.stringify(from)}`, async () => {
    const raw = `${GOOD}${WRITTEN.replace('From: Alice <alice@example.com>', from)}`;
    assert.match(await verdict(raw, ['mx.example.net']), reason);
  });
}

test('letters of either case, quotes, a version and comments make no difference', async () => {
  const odd =
    'authentication-RESULTS: (by us) "MX.Example.NET" 1 (v1); (a (nested \\) one)) DMARC / 1 = PASS (ok) Header.From = "Example.COM"\n';
  assert.equal(await verdict(odd.replace('DMARC / 1', 'DMARC/1') + WRITTEN, ['mx.example.net']), 'verified');
  const capitals = WRITTEN.replace('From: Alice <alice@example.com>', 'FROM: <ALICE@EXAMPLE.com>');
  assert.equal(await verdict(GOOD + capitals, ['mx.example.net']), 'verified');
});

test('where no DMARC is published, a signature of exactly the domain does', async () => {
  for (const dkim of [
    'header.d=example.com',
    'header.i=@example.com header.s=s1',
    'header.d=Example.com header.i=a@mail.example.com',
  ]) {
    const header = `Authentication-Results: mx.example.net; dkim=fail header.d=list.test; dkim=pass ${dkim}; dmarc=none\n`;
    assert.equal(await verdict(header + WRITTEN, ['mx.example.net']), 'verified', dkim);
  }
});

test('a wildcard is every name below it, not itself', async () => {
  const of = (id: string) => verdict(GOOD.replace('mx.example.net', id) + WRITTEN, ['*.example.net']);
  assert.equal(await of('mx1.example.net'), 'verified');
  assert.equal(await of('a.b.example.net'), 'verified');
  assert.match(await of('example.net'), /not trusted/);
  assert.match(await of('mxexample.net'), /not trusted/);
  assert.match(await of('.example.net.evil.test'), /not trusted/);
});

test('Microsoft 365: mail inside the organization has no result that passes, and is known otherwise', async () => {
  const internal = `Authentication-Results: dkim=none (message not signed)
 header.d=none;dmarc=none action=none header.from=threadbox.test;
X-MS-Exchange-Organization-AuthAs: Internal
`;
  const written = WRITTEN.replace('alice@example.com', 'alice@threadbox.test');
  const judge = (raw: string, sender = 'alice@threadbox.test') =>
    verdict(raw, [], { mode: 'microsoft365', sender });
  assert.equal(await judge(internal + written), 'verified');
  assert.match(await judge(internal + WRITTEN, 'alice@example.com'), /dmarc=none/);
  assert.match(await judge(internal.replace('Internal', 'Anonymous') + written), /dmarc=none/);
  assert.match(
    await judge(`${internal}X-MS-Exchange-Organization-AuthAs: Anonymous\n${written}`),
    /dmarc=none/,
  );
  assert.match(await judge(GOOD + written), /did not come through Microsoft 365/);
});

test('a field of any size is read in bounded time', () => {
  const startedMs = process.cpuUsage().user / 1000;
  for (const part of ['(', '"', '\\', '=', ';', 'a=b ', 'a=b; ', '()', ' ']) {
    parseAuthenticationResults(`mx; ${part.repeat(Math.floor(32_000 / part.length))}`);
  }
  assert.equal(parseAuthenticationResults(`mx; spf=pass ${'a'.repeat(40_000)}`), null);
  assert.ok(process.cpuUsage().user / 1000 - startedMs < 2_000);
});
