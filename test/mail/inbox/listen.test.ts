import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startDovecot, type Dovecot } from '../../support/dovecot.ts';
import { HOUR_MS, listen, mail, NEVER, newUser } from '../../support/listening.ts';
import { startTcpProxy } from '../../support/tcp-proxy.ts';
import { until } from '../../support/until.ts';

let dovecot: Dovecot;
before(async () => {
  dovecot = await startDovecot();
});
after(() => dovecot.close());

test('mail is announced by the server and recorded whole, without a look of our own', async (context) => {
  const user = newUser();
  const inbox = listen(dovecot, context, user, { timings: NEVER });
  await inbox.listening();
  const before = new Date(Date.now() - 2_000);
  for (const subject of ['one', 'two', 'three']) {
    await dovecot.deliver(user, mail(subject));
    await until(() => inbox.subjects().includes(subject));
  }
  assert.deepEqual(inbox.subjects(), ['one', 'two', 'three']);
  const [first] = inbox.store.taken;
  assert.ok(first && first.receivedAt >= before && first.receivedAt <= new Date(Date.now() + 2_000));
  assert.match(first.raw.toString(), /^Return-Path:[^]*\r\n\r\nhello\r\n$/);
  assert.deepEqual(
    { size: first.sizeBytes, isTruncated: first.isTruncated, uid: first.uid },
    { size: first.raw.length, isTruncated: false, uid: 1 },
  );
  assert.equal(inbox.store.cursor?.uidValidity, first.uidValidity);
  assert.equal(inbox.store.cursor?.lastUid, 3);
});

test('two round trips lie between the announcement and the record', async (context) => {
  const user = newUser();
  const plain = await startDovecot({ hasTls: false });
  context.after(() => plain.close());
  const proxy = await startTcpProxy(plain.imapPort);
  context.after(() => proxy.close());
  let heard: string[] = [];
  let announcedAt = 0;
  let askedFor = '';
  const latenciesMs: number[] = [];
  proxy.onData((from, data) => {
    if (from === 'client') heard.push(data.toString().trim());
    else if (/ EXISTS\r/.test(data.toString())) announcedAt = performance.now();
  });
  const inbox = listen(dovecot, context, user, {
    server: { ...dovecot.account(user), port: proxy.port },
    timings: NEVER,
    record: (batch) => {
      if (batch.length > 0) latenciesMs.push(performance.now() - announcedAt);
      askedFor = heard.join('\n');
      return Promise.resolve();
    },
  });
  await inbox.listening();
  for (let round = 1; round <= 5; round += 1) {
    await until(() => heard.at(-1)?.endsWith(' IDLE'));
    heard = [];
    await plain.deliver(user, mail('quick'));
    await until(() => latenciesMs.length === round);
    assert.match(
      askedFor,
      /^DONE\n\w+ UID FETCH \S+ \(UID INTERNALDATE RFC822\.SIZE BODY\.PEEK\[\]<0\.\d+>[^\n]*$/,
    );
  }
  context.diagnostic(`EXISTS to record: ${latenciesMs.map((ms) => `${ms.toFixed(1)} ms`).join(', ')}`);
});

test('nothing is marked as read', async (context) => {
  const user = newUser();
  const inbox = listen(dovecot, context, user);
  await inbox.listening();
  await dovecot.deliver(user, mail('unread'));
  await inbox.count(1);
  const [{ path: name } = { path: '' }] = await dovecot.files(user);
  assert.notEqual(name, '');
  assert.doesNotMatch(name, /:2,.*S/);
});

test('the first look takes the mail of the last hour and leaves older mail alone, with a word in the log', async (context) => {
  const user = newUser();
  await dovecot.append(user, [mail('old'), mail('older')], new Date(Date.now() - 2 * HOUR_MS));
  await dovecot.append(user, [mail('recent')], new Date(Date.now() - HOUR_MS / 2));
  const inbox = listen(dovecot, context, user);
  await inbox.listening();
  assert.deepEqual(inbox.subjects(), ['recent']);
  assert.equal(inbox.store.cursor?.lastUid, 3);
  const line = inbox.lines.find(({ msg }) => msg.startsWith('first look at the mailbox'));
  assert.equal(line?.['olderMails'], 2);
});

test('an empty mailbox has a place to go on from, too', async (context) => {
  const user = newUser();
  const first = listen(dovecot, context, user);
  await first.listening();
  await first.close();
  assert.equal(first.store.cursor?.lastUid, 0);
  await dovecot.append(user, [mail('came while nobody listened')], new Date(Date.now() - 3 * HOUR_MS));
  const second = listen(dovecot, context, user, {}, first.store);
  await second.count(1);
  assert.ok(second.lines.every(({ msg }) => !msg.startsWith('first look')));
});

test('mail that came while nobody listened is taken, once, in its order', async (context) => {
  const user = newUser();
  const first = listen(dovecot, context, user);
  await first.listening();
  await first.close();
  await dovecot.append(
    user,
    ['a', 'b', 'c'].map((subject) => mail(subject)),
  );
  const second = listen(dovecot, context, user, {}, first.store);
  await second.listening();
  await second.close();
  const third = listen(dovecot, context, user, {}, first.store);
  await third.listening();
  assert.deepEqual(third.subjects(), ['a', 'b', 'c']);
});

test('a backlog of 500 mails comes in order, in batches, and what arrives meanwhile follows', async (context) => {
  const user = newUser();
  const first = listen(dovecot, context, user);
  await first.listening();
  await first.close();
  await dovecot.append(
    user,
    Array.from({ length: 500 }, (_, index) => mail(`mail ${index + 1}`)),
  );
  const second = listen(dovecot, context, user, { timings: NEVER }, first.store);
  await until(() => first.store.taken.length > 0);
  await dovecot.deliver(user, mail('mail 501'));
  await second.count(501);
  assert.deepEqual(
    second.subjects(),
    Array.from({ length: 501 }, (_, index) => `mail ${index + 1}`),
  );
  assert.ok(Math.max(...first.store.batches) <= 32);
});

test('large mail comes whole up to the limit, alone; beyond it only its headers come', async (context) => {
  const user = newUser();
  const line = `${'x'.repeat(76)}\r\n`;
  const large = mail('large', line.repeat(10_000));
  const tooLarge = mail('too large', line.repeat(20_000));
  await dovecot.append(user, [mail('small'), large, tooLarge, mail('last')]);
  const inbox = listen(dovecot, context, user);
  await inbox.count(4);
  assert.deepEqual(inbox.subjects(), ['small', 'large', 'too large', 'last']);
  const [, whole, cut] = inbox.store.taken;
  assert.equal(whole?.raw.toString(), large);
  assert.equal(whole?.isTruncated, false);
  assert.equal(cut?.raw.toString(), tooLarge.slice(0, tooLarge.indexOf('\r\n\r\n') + 4));
  assert.equal(cut?.isTruncated, true);
  assert.equal(cut?.sizeBytes, tooLarge.length);
  assert.deepEqual(inbox.store.batches.slice(0, 4), [1, 1, 1, 1]);
});

test('closing waits for what is being recorded, and nothing is left open', async (context) => {
  const user = newUser();
  await dovecot.append(user, [mail('slow')]);
  const recording = Promise.withResolvers<void>();
  let isDone = false;
  let isRecording = false;
  const inbox = listen(dovecot, context, user, {
    record: async () => {
      isRecording = true;
      await recording.promise;
      isDone = true;
    },
  });
  await until(() => isRecording);
  const closed = inbox.close().then(() => assert.ok(isDone));
  recording.resolve();
  await closed;
});
