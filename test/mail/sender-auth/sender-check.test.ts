import assert from 'node:assert/strict';
import { test } from 'node:test';
import { replayReason } from '../../../src/mail/sender-auth/replay.ts';
import { openSenderCheck } from '../../../src/mail/sender-auth/sender-check.ts';
import { collectedLog } from '../../support/collected-log.ts';
import { dnsError, keyRecord, signed, SIGNED_AT } from './signing.ts';

const HOUR_MS = 3_600_000;
const NAME = 'tb._domainkey.example.com';

test('while the DNS does not answer, mails wait; it is asked ever more rarely, told once, and given up after two days', async () => {
  const raw = await signed(
    'From: a@example.com\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\nSubject: x\r\n\r\nls\r\n',
    { domain: 'example.com', fields: 'From:Date:Subject' },
  );
  let nowMs = SIGNED_AT.getTime();
  let asked = 0;
  let isAway = true;
  const { log, lines } = collectedLog();
  const check = openSenderCheck(
    { senderAuth: 'dkim', trustedAuthservIds: [], botAddress: 'bot@threadbox.test' },
    {
      now: () => new Date(nowMs),
      log,
      resolve: (name) => {
        assert.equal(name, NAME);
        asked += 1;
        return isAway ? Promise.reject(dnsError('ESERVFAIL')) : Promise.resolve([[keyRecord()]]);
      },
    },
  );
  const mail = { raw: Buffer.from(raw), isTruncated: false, sender: 'a@example.com', receivedAt: SIGNED_AT };
  for (let second = 0; second < 3_600; second += 1) {
    assert.equal((await check(mail)).kind, 'later');
    nowMs += 1_000;
  }
  assert.ok(asked >= 8 && asked <= 20, `asked ${asked} times in an hour`);
  const complaints = () => lines.filter(({ msg }) => msg.startsWith('the DNS'));
  assert.equal(complaints().length, 1);

  isAway = false;
  nowMs += HOUR_MS;
  assert.equal((await check(mail)).kind, 'verified');
  assert.deepEqual(
    complaints().map(({ msg }) => msg),
    ['the DNS does not answer; mails whose sender cannot be verified wait', 'the DNS answers again'],
  );

  isAway = true;
  assert.equal((await check(mail)).kind, 'later');
  nowMs += 47 * HOUR_MS;
  assert.equal((await check(mail)).kind, 'later');
  nowMs += 2 * HOUR_MS;
  const end = await check(mail);
  assert.match(
    end.kind === 'refused' ? end.reason : '',
    /the DKIM key of example\.com: .*ESERVFAIL.*for two days/,
  );
  const fresh = await check({ ...mail, receivedAt: new Date(nowMs) });
  assert.equal(fresh.kind, 'later', 'a new mail has not waited yet');
});

test('a Date far from the arrival is an old mail sent again', () => {
  const arrivedAt = new Date('2026-11-20T12:00:00Z');
  const of = (date: string | null) =>
    replayReason({ date: date === null ? null : new Date(date), arrivedAt }, 24 * HOUR_MS);
  assert.equal(of('2026-11-20T11:59:00Z'), null);
  assert.equal(of('2026-11-19T12:00:00Z'), null);
  assert.match(of('2026-11-19T11:59:59Z') ?? '', /^an old mail sent again: its Date is 2026-11-19T11:59:59/);
  assert.equal(of('2026-11-20T12:59:00Z'), null);
  assert.match(of('2026-11-20T13:01:00Z') ?? '', /^not sent yet/);
  assert.match(of(null) ?? '', /no Date/);
});
