import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Resolve } from '../../../src/mail/sender-auth/dns.ts';
import { verifySender, type SenderVerdict } from '../../../src/mail/sender-auth/verify-sender.ts';
import { dnsError, keyRecord, signed, SIGNED_AT, zone } from './signing.ts';

const KEYS = { 'tb._domainkey.example.com': keyRecord() };

const mail = (from = 'Alice <alice@example.com>', body = 'npm test\r\n') =>
  `From: ${from}\r\nTo: bot@threadbox.test\r\nSubject: [app] Tests\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\n` +
  `Message-ID: <1@example.com>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n${body}`;

function verify(
  raw: string,
  resolve: Resolve,
  {
    sender = 'alice@example.com',
    isTruncated = false,
    mode = 'dkim',
    now = SIGNED_AT,
  }: { sender?: string; isTruncated?: boolean; mode?: 'dkim' | 'both' | 'either'; now?: Date } = {},
): Promise<SenderVerdict> {
  const rules = {
    senderAuth: mode,
    trustedAuthservIds: ['mx.threadbox.test'],
    botAddress: 'bot@threadbox.test',
  };
  return verifySender({ raw: Buffer.from(raw, 'latin1'), isTruncated, sender }, rules, {
    resolve,
    now,
  });
}

async function reasonOf(raw: string, resolve: Resolve = zone(KEYS)): Promise<string> {
  const verdict = await verify(raw, resolve);
  assert.equal(verdict.kind, 'refused');
  return verdict.kind === 'refused' ? verdict.reason : '';
}

for (const canonicalization of ['relaxed/relaxed', 'simple/simple', 'relaxed/simple']) {
  test(`a signature of From's domain verifies (${canonicalization}), stored with CRLF or LF`, async () => {
    const raw = await signed(mail(), { domain: 'example.com', canonicalization });
    const verdict = await verify(raw, zone(KEYS));
    assert.equal(verdict.kind, 'verified');
    assert.equal(verdict.kind === 'verified' && verdict.signatureIds.length, 1);
    const withLf = await verify(raw.replaceAll('\r\n', '\n'), zone(KEYS));
    assert.deepEqual(withLf, verdict);
  });
}

test('one signature has the same id however it is written', async () => {
  const raw = await signed(mail(), { domain: 'example.com' });
  const rewritten = raw.replace(
    /\bb=(\S{8})/,
    (_, start: string) => `b=${start.slice(0, 3)}\r\n\t${start.slice(3)}`,
  );
  assert.notEqual(rewritten, raw);
  assert.deepEqual(await verify(rewritten, zone(KEYS)), await verify(raw, zone(KEYS)));
});

test('whatever was changed after signing is refused', async () => {
  const raw = await signed(mail(), { domain: 'example.com' });
  assert.match(await reasonOf(raw.replace('npm test', 'rm -rf /')), /dkim=fail.*body hash/);
  assert.match(await reasonOf(raw.replace('[app] Tests', '[app] Other')), /dkim=fail/);
  assert.match(await reasonOf(raw.replace('Fri, 20', 'Sat, 21')), /dkim=fail/);
  assert.match(await reasonOf(`${raw}appended\r\n`), /body hash/);
});

test('a signature must cover From, Date, Subject and all of the body', async () => {
  const open = await signed(mail(), { domain: 'example.com', maxBodyLength: 8 });
  assert.match(await reasonOf(open), /leaves the end of the mail open/);
  assert.match(await reasonOf(`${open}rm -rf /\r\n`), /leaves the end of the mail open/);
  const another = await signed(await signed(mail(), { domain: 'evil.test', maxBodyLength: 8 }), {
    domain: 'example.com',
  });
  assert.match(await reasonOf(another), /leaves the end of the mail open/);
  const noSubject = await signed(mail(), { domain: 'example.com', fields: 'From:Date' });
  assert.match(await reasonOf(noSubject), /does not cover subject/);
  const noDate = await signed(mail(), { domain: 'example.com', fields: 'From:Subject' });
  assert.match(await reasonOf(noDate), /does not cover date/);
});

test('a mail with a field twice is refused, whichever of them is signed', async () => {
  const raw = await signed(mail(), { domain: 'example.com' });
  for (const field of [
    'From: alice@example.com',
    'Subject: [app] Other',
    'Content-Type: text/html',
    'To: x@y.test',
  ]) {
    assert.match(await reasonOf(`${field}\r\n${raw}`), /more than one field/);
  }
});

test('only a signature of the domain in From counts', async () => {
  const foreign = await signed(mail(), { domain: 'evil.test' });
  const keys = zone({ ...KEYS, 'tb._domainkey.evil.test': keyRecord() });
  assert.match(await reasonOf(foreign, keys), /not of example.com/);
  assert.deepEqual(keys.asked, []);
  assert.match(await reasonOf(mail()), /no DKIM signature/);
  const lookalike = await signed(mail(), { domain: 'example.com.evil.test' });
  assert.match(await reasonOf(lookalike, keys), /not of example.com/);
  const both = await signed(foreign, { domain: 'example.com' });
  assert.equal((await verify(both, keys)).kind, 'verified');
});

test('another domain of the organization counts where the DMARC policy takes it', async () => {
  const raw = await signed(mail('a@news.example.com'), { domain: 'example.com' });
  const as = { sender: 'a@news.example.com' };
  const relaxed = zone({ ...KEYS, '_dmarc.example.com': 'v=DMARC1; p=reject' });
  assert.equal((await verify(raw, relaxed, as)).kind, 'verified');
  const strict = zone({ ...KEYS, '_dmarc.example.com': 'v=DMARC1; p=reject; adkim=s' });
  assert.match(JSON.stringify(await verify(raw, strict, as)), /refused.*does not take/);
  assert.match(JSON.stringify(await verify(raw, zone(KEYS), as)), /refused.*publishes no DMARC policy/);
  const away = zone({ ...KEYS, '_dmarc.news.example.com': dnsError('ETIMEOUT') });
  assert.equal((await verify(raw, away, as)).kind, 'later');
});

test('customers of one hosting domain are strangers to one another', async () => {
  const raw = await signed(mail('a@one.github.io'), { domain: 'two.github.io' });
  const keys = zone({ 'tb._domainkey.two.github.io': keyRecord(), '_dmarc.github.io': 'v=DMARC1; p=none' });
  assert.match(
    JSON.stringify(await verify(raw, keys, { sender: 'a@one.github.io' })),
    /not of one.github.io/,
  );
});

test('an expired signature, a revoked key and one that is only tested are refused', async () => {
  const expired = await signed(mail(), { domain: 'example.com', expires: new Date(+SIGNED_AT + 60_000) });
  assert.equal((await verify(expired, zone(KEYS))).kind, 'verified');
  const late = { now: new Date(+SIGNED_AT + 61_000) };
  assert.match(JSON.stringify(await verify(expired, zone(KEYS), late)), /refused.*expired/);
  const raw = await signed(mail(), { domain: 'example.com' });
  assert.match(await reasonOf(raw, zone({})), /no key/);
  assert.match(await reasonOf(raw, zone({ 'tb._domainkey.example.com': 'v=DKIM1; p=' })), /dkim=neutral/);
  assert.match(
    await reasonOf(raw, zone({ 'tb._domainkey.example.com': keyRecord('t=y; ') })),
    /being tested/,
  );
});

test('a DNS that does not answer is no reason to refuse: the mail is asked about again', async () => {
  const raw = await signed(mail(), { domain: 'example.com' });
  for (const code of ['ETIMEOUT', 'ESERVFAIL', 'ECONNREFUSED', 'EREFUSED']) {
    const verdict = await verify(raw, zone({ 'tb._domainkey.example.com': dnsError(code) }));
    assert.equal(verdict.kind, 'later', code);
  }
});

test('hundreds of signatures, or very long ones, cost no look-up', async () => {
  const raw = await signed(mail(), { domain: 'example.com' });
  const [signature = ''] = /DKIM-Signature:[^]*?\r\n(?=\S)/.exec(raw) ?? [];
  const keys = zone(KEYS);
  assert.match(await reasonOf(signature.repeat(300) + mail(), keys), /300 DKIM signatures/);
  const long = raw.replace(/h=[^;]*/, `h=From${':x'.repeat(10_000)}`);
  assert.match(await reasonOf(long, keys), /unusual length/);
  assert.deepEqual(keys.asked, []);
});

test('of a mail that was too large only the header is there: its signature cannot be verified', async () => {
  const raw = await signed(mail(), { domain: 'example.com' });
  const verdict = await verify(raw, zone(KEYS), { isTruncated: true });
  assert.match(JSON.stringify(verdict), /refused.*too large/);
});

test('both asks for both, either for one of them', async () => {
  const unsigned = mail();
  const signature = await signed(mail(), { domain: 'example.com' });
  const results = 'Authentication-Results: mx.threadbox.test; dmarc=pass header.from=example.com\r\n';
  const cases = [
    [results + signature, 'verified', 'verified'],
    [results + unsigned, 'refused', 'verified'],
    [signature, 'refused', 'verified'],
    [unsigned, 'refused', 'refused'],
    [results.replace('pass', 'fail') + signature, 'refused', 'verified'],
  ] as const;
  for (const [raw, both, either] of cases) {
    assert.equal((await verify(raw, zone(KEYS), { mode: 'both' })).kind, both);
    assert.equal((await verify(raw, zone(KEYS), { mode: 'either' })).kind, either);
  }
});
