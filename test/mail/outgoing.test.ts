import assert from 'node:assert/strict';
import { after, before, beforeEach, test, type TestContext } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { ImapFlow } from 'imapflow';
import { composeMail } from '../../src/mail/compose.ts';
import { parseMessage } from '../../src/mail/parse.ts';
import { startOutgoing, type Outgoing } from '../../src/outgoing.ts';
import { dueMails, queueAnswer } from '../../src/store/outbox.ts';
import { listOutbox, undeliveredOfThread } from '../../src/store/undelivered.ts';
import { collectedLog, type LogLine } from '../support/collected-log.ts';
import { startDovecot, type Dovecot } from '../support/dovecot.ts';
import { startPrivateDatabase, type PrivateDatabase } from '../support/private-database.ts';
import { SMTP_PASSWORD, startScriptedSmtp, type ScriptedSmtp } from '../support/scripted-smtp.ts';
import { until } from '../support/until.ts';

// What becomes of mails that were sent: on a real database, and a real Dovecot for the copies.

const BOT = 'bot@threadbox.test';
const THREAD = 'john@example.com-app';

let database: PrivateDatabase;
let dovecot: Dovecot;
let smtp: ScriptedSmtp;
let lines: LogLine[];

before(async () => {
  database = await startPrivateDatabase();
  dovecot = await startDovecot();
  smtp = await startScriptedSmtp();
  const { db } = database;
  await db('users').insert({ address: 'john@example.com' });
  await db('repositories').insert({ name: 'app', url: '/nowhere' });
  await db('threads').insert({ id: THREAD, user_id: 1, repository_id: 1 });
});
after(async () => {
  await smtp.close();
  await dovecot.close();
  await database.close();
});
beforeEach(() => database.db.raw('truncate outbox, messages restart identity cascade'));

function start(t: TestContext, { makesCopies = false } = {}): Outgoing {
  const collected = collectedLog();
  lines = collected.lines;
  const outgoing = startOutgoing({
    db: database.db,
    lock: { isHeld: () => true },
    accounts: {
      imap: { server: dovecot.account(BOT), password: dovecot.password },
      smtp: { server: smtp.server, password: SMTP_PASSWORD },
    },
    botAddress: BOT,
    mailbox: 'INBOX',
    makesCopies,
    log: collected.log,
    smtpLimits: undefined,
    onServer: () => undefined,
  });
  t.after(() => outgoing.close());
  return outgoing;
}

async function write(
  messageId: string,
  { attached = 0, copyTo = [] }: { attached?: number; copyTo?: readonly string[] } = {},
): Promise<void> {
  const raw = await composeMail({
    from: { name: 'Threadbox', address: BOT },
    to: { name: 'John', address: 'john@example.com' },
    copyTo,
    subject: 'Re: [app] Run',
    inReplyTo: '<question@example.com>',
    references: ['<root@example.com>'],
    messageId,
    date: new Date(),
    text: 'Exit code 0\n\nhello\n',
    html: '<!--note--><p>Exit code 0</p>',
    attachments:
      attached > 0
        ? [{ fileName: 'output.log.gz', contentType: 'application/gzip', content: Buffer.alloc(attached, 7) }]
        : [],
  });
  const subject = { subject: 'Re: [app] Run', subjectKey: 'run' };
  const envelope = { from: BOT, to: 'john@example.com', threadId: THREAD, inReplyToMessage: null };
  await queueAnswer(database.db, { raw, messageId, ...subject, ...envelope, copyTo });
}

const listed = () => listOutbox(database.db, { isFailed: false, limit: 10 });
const stateOf = async (id: number): Promise<string | undefined> =>
  (await listed()).find((mail) => mail.id === id)?.state;

const dsn = (messageId: string, status: string, words: string, to = 'john@example.com'): Buffer =>
  Buffer.from(
    `Return-Path: <>\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n` +
      `--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx\r\n\r\nFinal-Recipient: rfc822; ${to}\r\nAction: failed\r\n` +
      `Status: ${status}\r\nDiagnostic-Code: smtp; ${words}\r\n\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\n` +
      `Message-ID: ${messageId}\r\n\r\n--b--\r\n`,
  );

test('an answer refused for its size goes out again without its attachment, under a Message-ID of its own', async (t) => {
  smtp.behave(552);
  const outgoing = start(t);
  await write('<large@threadbox.test>', { attached: 9_000 });
  outgoing.wake();
  await until(async () => (await stateOf(2)) === 'sent');
  const [second, first] = await listed();
  assert.deepEqual([first?.state, first?.statusCode, first?.replacedBy], ['failed', '552', 2]);
  assert.equal(second?.threadId, THREAD);
  const mail = await parseMessage(Buffer.from(smtp.taken.at(-1)?.source ?? ''));
  assert.match(mail.text, /^Exit code 0\n\noutput\.log\.gz \(8\.8 KB\) is not attached/);
  assert.notEqual(mail.messageId, '<large@threadbox.test>');
  assert.equal(mail.inReplyTo, '<question@example.com>');
  // An answer to either belongs to the thread, and there is nothing to complain about.
  const ids = await database.db('messages').where({ thread_id: THREAD }).orderBy('id').pluck('message_id');
  assert.deepEqual(ids, ['<large@threadbox.test>', mail.messageId]);
  assert.deepEqual(await undeliveredOfThread(database.db, THREAD, 3), []);
});

test('what is too large even so, or refused for another reason, has failed: in the log, the list and the thread', async (t) => {
  smtp.behave(552, 552, 550);
  const outgoing = start(t);
  await write('<a@threadbox.test>', { attached: 9_000 });
  outgoing.wake();
  await until(async () => (await stateOf(2)) === 'failed');
  await write('<b@threadbox.test>');
  outgoing.wake();
  await until(async () => (await stateOf(3)) === 'failed');
  const undelivered = await undeliveredOfThread(database.db, THREAD, 3);
  assert.deepEqual(
    undelivered.map(({ statusCode }) => statusCode),
    ['550', '552'],
  );
  assert.match(undelivered[0]?.error ?? '', /refused the mail: 550 scripted 550/);
  assert.equal((await listOutbox(database.db, { isFailed: true, limit: 10 })).length, 3);
  const givenUp = () => lines.filter(({ level, msg }) => level === 50 && msg === 'a mail is given up').length;
  await until(() => givenUp() >= 2);
  assert.equal(givenUp(), 2);
  assert.deepEqual(await dueMails(database.db, 10), []);
});

test('a bounce is recorded against the mail it names, if that is ours, and once', async (t) => {
  const outgoing = start(t);
  await write('<sent@threadbox.test>');
  outgoing.wake();
  await until(async () => (await stateOf(1)) === 'sent');
  await outgoing.noteBounce(dsn('<somebody-elses@example.com>', '5.1.1', '550 unknown'));
  await outgoing.noteBounce(Buffer.from('Subject: hello\r\n\r\n<sent@threadbox.test>\r\n'));
  assert.equal(await stateOf(1), 'sent');
  await outgoing.noteBounce(dsn('<sent@threadbox.test>', '5.1.1', '550 5.1.1 no such user\0'));
  await outgoing.noteBounce(dsn('<sent@threadbox.test>', '5.7.1', '550 5.7.1 again'));
  const [mail] = await listed();
  assert.deepEqual(
    [mail?.state, mail?.statusCode, mail?.error],
    ['bounced', '5.1.1', '550 5.1.1 no such user'],
  );
  assert.equal(lines.filter(({ msg }) => msg.startsWith('a mail has come back')).length, 1);

  await write('<grown@threadbox.test>', { attached: 9_000 });
  outgoing.wake();
  await until(async () => (await stateOf(2)) === 'sent');
  await outgoing.noteBounce(dsn('<grown@threadbox.test>', '5.3.4', '552 5.3.4 too big'));
  await until(async () => (await stateOf(3)) === 'sent');
  assert.equal((await undeliveredOfThread(database.db, THREAD, 3)).length, 1);
});

test('a mail to several goes to each on their own: who does not get it is told, with one copy in Sent', async (t) => {
  smtp.refuseRecipient('gone@example.com');
  const before = smtp.taken.length;
  const outgoing = start(t, { makesCopies: true });
  await write('<both@threadbox.test>', { copyTo: ['gone@example.com', 'ann@example.com'] });
  outgoing.wake();
  await until(async () => (await listed()).every(({ state }) => state !== 'waiting'));
  const states = (await listed()).map(({ to, state }) => `${to} ${state}`).toReversed();
  assert.deepEqual(states, ['john@example.com sent', 'gone@example.com failed', 'ann@example.com sent']);
  const taken = smtp.taken.slice(before);
  assert.deepEqual(taken.map(({ to }) => to.join()).toSorted(), ['ann@example.com', 'john@example.com']);
  for (const { source } of taken) assert.match(source, /^Cc: gone@example\.com, ann@example\.com\r$/m);

  await outgoing.noteBounce(dsn('<both@threadbox.test>', '5.1.1', '550 no such user', 'Ann@example.com'));
  const undelivered = await undeliveredOfThread(database.db, THREAD, 3);
  assert.deepEqual(
    undelivered.map(({ copyFor }) => copyFor),
    ['ann@example.com', 'gone@example.com'],
  );
  assert.match(undelivered[1]?.error ?? '', /no gone@example\.com here/);
  assert.equal(await stateOf(1), 'sent');
  const copies = await database.db('outbox').whereNotNull('sent_copy').pluck('id');
  assert.deepEqual(copies, [1]);
});

test('what is too large for several goes out again as one mail', async (t) => {
  // Whichever comes first: the other original, or the first one's lighter mail.
  smtp.refuseLarger(9_000);
  t.after(() => smtp.refuseLarger(null));
  const before = smtp.taken.length;
  const outgoing = start(t);
  await write('<large@threadbox.test>', { attached: 9_000, copyTo: ['ann@example.com'] });
  outgoing.wake();
  await until(async () => (await listed()).filter(({ state }) => state === 'sent').length === 2);
  const taken = await Promise.all(
    smtp.taken.slice(before).map(async ({ source }) => (await parseMessage(Buffer.from(source))).messageId),
  );
  assert.equal(taken.length, 2);
  assert.equal(new Set(taken).size, 1);
  assert.equal((await database.db('messages')).length, 2);
});

async function inSent(): Promise<{ ids: string[]; isSeen: boolean; path: string }> {
  const client = new ImapFlow({
    host: '127.0.0.1',
    port: dovecot.imapPort,
    secure: false,
    doSTARTTLS: false,
    auth: { user: BOT, pass: dovecot.password },
    logger: false,
  });
  await client.connect();
  try {
    const path = (await client.list()).find(({ specialUse }) => specialUse === '\\Sent')?.path;
    if (path === undefined) return { ids: [], isSeen: false, path: '' };
    const { exists } = await client.mailboxOpen(path, { readOnly: true });
    const mails = exists === 0 ? [] : await client.fetchAll('1:*', { source: true, flags: true });
    const parsed = await Promise.all(mails.map(({ source }) => parseMessage(source as Buffer)));
    const isSeen = mails.every(({ flags }) => flags?.has('\\Seen'));
    return { ids: parsed.map(({ messageId }) => messageId ?? ''), isSeen, path };
  } finally {
    client.close();
  }
}

test('copies lie in the Sent mailbox, each once: also when IMAP was away, or a copy was made and not recorded', async (t) => {
  await dovecot.stop();
  const outgoing = start(t, { makesCopies: true });
  await write('<one@threadbox.test>');
  outgoing.wake();
  await until(async () => (await stateOf(1)) === 'sent');
  await until(() => lines.some(({ part, msg }) => String(part).includes('copies') && /not answer/.test(msg)));
  await dovecot.start();
  await until(async () => (await inSent()).ids.length === 1);
  await until(async () => (await database.db('outbox').first('sent_copy'))?.sent_copy === 'filed');

  // As after a crash between the two.
  await outgoing.close();
  await database.db('outbox').update({ sent_copy: 'due' });
  await write('<two@threadbox.test>');
  await write('<huge@threadbox.test>', { attached: 5 << 20 });
  const again = start(t, { makesCopies: true });
  again.wake();
  // Due only once it is sent, and recorded after it lies there.
  const copies = () => database.db('outbox').orderBy('id').pluck('sent_copy');
  await until(async () => isDeepStrictEqual(await copies(), ['filed', 'filed', 'left']));
  const sent = await inSent();
  assert.deepEqual(sent.ids.toSorted(), ['<one@threadbox.test>', '<two@threadbox.test>']);
  assert.deepEqual([sent.isSeen, sent.path], [true, 'Sent']);
});
