import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { GMAIL, WRITTEN } from '../mail/sender-auth/provider-mails.ts';
import { startDovecot, type Dovecot } from '../support/dovecot.ts';
import { threadbox } from './threadbox.ts';

let dovecot: Dovecot;
before(async () => {
  dovecot = await startDovecot();
});
after(() => dovecot.close());

const BOT = 'bot@threadbox.test';
/** As it is before anything is known of the mailbox: without SENDER_AUTH. */
const settings = (): Record<string, string> => {
  const login = `${encodeURIComponent(BOT)}:${dovecot.password}@127.0.0.1`;
  return {
    IMAP_URL: `imap://${login}:${dovecot.imapPort}?insecure-skip-verify=yes`,
    SMTP_URL: `smtp://${login}:1`,
    BOT_ADDRESS: BOT,
  };
};
const doctor = (...words: string[]) => threadbox(['doctor', '--mail', ...words], { env: settings() });

test('the doctor says that it cannot tell, then proposes lines that the bot starts with', async () => {
  await dovecot.append(BOT, [WRITTEN]);
  const few = await doctor();
  assert.equal(few.code, 1, few.err);
  assert.match(few.out, /^The newest 1 mail in INBOX of bot@threadbox\.test at 127\.0\.0\.1/);
  assert.match(few.out, /too few to tell\. To find out: send three mails or more/);
  assert.doesNotMatch(few.out, /SENDER_AUTH=/);

  const forged = GMAIL.replace('dmarc=pass', 'dmarc=fail') + WRITTEN.replaceAll('example.com', 'spam.test');
  await dovecot.append(BOT, [...Array.from({ length: 40 }, () => GMAIL + WRITTEN), forged]);
  const { code, out, err } = await doctor();
  assert.equal(code, 0, err);
  assert.match(out, /results of mx\.google\.com +41 of 42 +40\n/);
  assert.match(out, /^ {2}SENDER_AUTH=authentication-results\n {2}TRUSTED_AUTHSERV_IDS=mx\.google\.com\n/m);
  assert.match(out, /^ {2}spam\.test: dmarc=fail$/m);
  const { proposal } = JSON.parse((await doctor('--json')).out) as { proposal: Record<string, unknown> };
  assert.equal(proposal['trustedAuthservIds'], 'mx.google.com');
});

test('a mailbox that cannot be read, or is none, is told in plain words', async () => {
  const wrong = await threadbox(['doctor', '--mail'], {
    env: { ...settings(), IMAP_URL: 'imap://bot:secret@127.0.0.1:1' },
  });
  assert.equal(wrong.code, 1);
  assert.match(wrong.err, /^threadbox: the mailbox INBOX at 127\.0\.0\.1:1 cannot be read: .*ECONNREFUSED/);
  const none = await threadbox(['doctor', '--mail'], {});
  assert.match(none.err, /^threadbox: IMAP_URL is not set: there is no mailbox to look at\.\nThe embedded/);
});
