import assert from 'node:assert/strict';
import { test } from 'node:test';
import { examine, summarize, type Survey } from '../../../src/mail/sender-auth/survey.ts';
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
import { dnsError, keyRecord, signed, SIGNED_AT, zone } from './signing.ts';

const KEYS = zone({ 'tb._domainkey.example.com': keyRecord() });

async function survey(raws: readonly string[], resolve = KEYS): Promise<Survey> {
  const findings = [];
  for (const raw of raws) {
    const mail = { raw: Buffer.from(raw), isTruncated: false };
    findings.push(await examine(mail, { botAddress: 'bot@threadbox.test', resolve, now: SIGNED_AT }));
  }
  return summarize(findings.filter((finding) => finding !== null));
}

const PROVIDERS = [
  ['Gmail', GMAIL, 'authentication-results', 'mx.google.com'],
  ['Fastmail', FASTMAIL, 'authentication-results', 'mx3.messagingengine.com'],
  ['iCloud', ICLOUD, 'authentication-results', '*.icloud.com'],
  ['Proton', PROTON, 'authentication-results', 'mail.protonmail.ch'],
  ['Yahoo', YAHOO, 'authentication-results', 'atlas-production.v2-mail-prod1-gq1.omega.yahoo.com'],
  ['Postfix', POSTFIX, 'authentication-results', 'mx.example.net'],
  ['Microsoft', MICROSOFT, 'microsoft365', null],
] as const;
for (const [name, trace, senderAuth, trustedAuthservIds] of PROVIDERS) {
  test(`${name}: what is proposed would take its mails`, async () => {
    const mail = trace + WRITTEN;
    const { proposal, mails } = await survey([mail, mail, mail, 'X-Threadbox: answer\n' + mail]);
    assert.equal(mails, 3, 'our own are not counted');
    assert.deepEqual(proposal, { senderAuth, trustedAuthservIds, refused: [] });
  });
}

test('several servers of one farm become a wildcard', async () => {
  const mails = ['mx1', 'mx2', 'mx3'].map((host) => FASTMAIL.replaceAll('mx3.', `${host}.`) + WRITTEN);
  assert.equal((await survey(mails)).proposal?.trustedAuthservIds, '*.messagingengine.com');
});

test('whom the proposal would refuse is said, with the reason', async () => {
  const forged = GMAIL.replace('dmarc=pass', 'dmarc=fail') + WRITTEN.replaceAll('example.com', 'spam.test');
  const { proposal, groups } = await survey([...Array.from({ length: 4 }, () => GMAIL + WRITTEN), forged]);
  assert.deepEqual(groups, [{ ids: 'mx.google.com', mails: 5, verified: 4 }]);
  assert.deepEqual(proposal?.refused, [{ fromDomain: 'spam.test', reason: 'dmarc=fail' }]);
});

test('results that only some mails bring along are their senders’, and are not proposed', async () => {
  const forged = `Authentication-Results: mx.evil.test; dmarc=pass header.from=example.com\n${WRITTEN}`;
  const plain = RECEIVED + WRITTEN;
  const { proposal, groups } = await survey([forged, plain, plain, plain]);
  assert.equal(groups[0]?.ids, 'mx.evil.test');
  assert.equal(proposal, null);
});

test('without results, signatures that verify lead to dkim; a silent DNS leads to nothing', async () => {
  const written = WRITTEN.replaceAll('\n', '\r\n');
  const mail = RECEIVED.replaceAll('\n', '\r\n') + (await signed(written, { domain: 'example.com' }));
  const { proposal, dkim } = await survey([mail, mail, mail]);
  assert.deepEqual(proposal, { senderAuth: 'dkim', trustedAuthservIds: null, refused: [] });
  assert.deepEqual(dkim, { asked: 3, verified: 3 });
  const away = await survey([mail, mail, mail], zone({ 'tb._domainkey.example.com': dnsError('ETIMEOUT') }));
  assert.deepEqual(away.dkim, { asked: 0, verified: 0 });
  assert.equal(away.proposal, null);
});

test('two mails are too few', async () => {
  assert.equal((await survey([GMAIL + WRITTEN, GMAIL + WRITTEN])).proposal, null);
});
