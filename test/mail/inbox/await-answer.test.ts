import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { awaitAnswer } from '../../../src/mail/inbox/await-answer.ts';
import { startDovecot, type Dovecot } from '../../support/dovecot.ts';

let dovecot: Dovecot;
before(async () => {
  dovecot = await startDovecot();
});
after(() => dovecot.close());

const answerTo = (id: string, subject: string): string =>
  `From: bot@example.com\r\nTo: john@example.com\r\nSubject: ${subject}\r\nIn-Reply-To: ${id}\r\n` +
  `References: <root@example.com> ${id}\r\n\r\nexit code 0\r\n`;

const waiting = (user: string, inReplyTo: string, timeoutMs = 60_000, signal?: AbortSignal) => ({
  server: dovecot.account(user),
  password: dovecot.password,
  inReplyTo,
  timeoutMs,
  ...(signal && { signal }),
});

test('an answer that is there already is found', async () => {
  const user = 'early@example.com';
  await dovecot.deliver(user, answerTo('<other@example.com>', 'another'));
  await dovecot.deliver(user, answerTo('<mine@example.com>', 'mine'));
  const raw = await awaitAnswer(waiting(user, '<mine@example.com>'));
  assert.match(raw.toString(), /^Subject: mine\r\n/m);
  assert.match(raw.toString(), /\r\n\r\nexit code 0\r\n$/);
});

test('an answer that comes later is noticed, other mail is not taken for it', async () => {
  const user = 'late@example.com';
  const answer = awaitAnswer(waiting(user, '<mine@example.com>'));
  await dovecot.deliver(user, answerTo('<other@example.com>', 'another'));
  await dovecot.deliver(user, answerTo('<mine@example.com>', 'mine'));
  assert.match((await answer).toString(), /^Subject: mine\r\n/m);
});

test('an outage of the server is waited out', async () => {
  const user = 'outage@example.com';
  await dovecot.stop();
  const answer = awaitAnswer(waiting(user, '<mine@example.com>'));
  await dovecot.start();
  await dovecot.deliver(user, answerTo('<mine@example.com>', 'mine'));
  assert.match((await answer).toString(), /^Subject: mine\r\n/m);
});

test('no answer in time, a wrong password and an end from outside are told apart', async () => {
  await assert.rejects(awaitAnswer(waiting('nothing@example.com', '<mine@example.com>', 500)), {
    code: 'NO_ANSWER',
    message: 'No answer to <mine@example.com> has come within 500 ms',
  });
  await assert.rejects(
    awaitAnswer({ ...waiting('john@example.com', '<mine@example.com>'), password: 'wrong' }),
    {
      code: 'IMAP_LOGIN_REFUSED',
    },
  );
  const ending = new AbortController();
  const answer = awaitAnswer(waiting('nothing@example.com', '<mine@example.com>', 60_000, ending.signal));
  ending.abort(new Error('Ctrl-C'));
  await assert.rejects(answer, { message: 'Ctrl-C' });
});
