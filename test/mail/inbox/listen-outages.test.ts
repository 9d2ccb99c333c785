import assert from 'node:assert/strict';
import { chmod } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import type { FetchedMessage } from '../../../src/mail/inbox/fetch-messages.ts';
import { patienceAfter } from '../../../src/mail/inbox/listen.ts';
import { startDovecot, type Dovecot } from '../../support/dovecot.ts';
import { HOUR_MS, listen, mail, NEVER, newUser, subjectOf, type Store } from '../../support/listening.ts';
import { startTcpProxy } from '../../support/tcp-proxy.ts';
import { until } from '../../support/until.ts';

let dovecot: Dovecot;
before(async () => {
  dovecot = await startDovecot();
});
after(() => dovecot.close());

test('the server is killed and comes back: logged once each, and mail is announced again', async (context) => {
  const user = newUser();
  const inbox = listen(dovecot, context, user, { timings: NEVER });
  context.after(() => dovecot.start().catch(() => {}));
  await inbox.listening();
  await dovecot.stop('SIGKILL');
  await until(() => inbox.states.at(-1) === 'away');
  await until(() => inbox.states.filter((state) => state === 'away').length >= 2);
  await dovecot.start();
  await until(() => inbox.states.at(-1) === 'listening');
  await dovecot.deliver(user, mail('after the outage'));
  await inbox.count(1);
  const told = inbox.lines.filter(({ level }) => level >= 30).map(({ msg }) => msg);
  assert.deepEqual(told.slice(1), ['IMAP does not answer; trying again until it does', 'IMAP answers again']);
});

test('a server that is away at the start is waited for', async (context) => {
  const user = newUser();
  await dovecot.stop();
  context.after(() => dovecot.start().catch(() => {}));
  const inbox = listen(dovecot, context, user);
  await until(() => inbox.states.at(-1) === 'away');
  await dovecot.start();
  await inbox.listening();
});

test('a connection that swallows everything is noticed, and replaced', async (context) => {
  const user = newUser();
  const proxy = await startTcpProxy(dovecot.imapPort);
  context.after(() => proxy.close());
  const inbox = listen(dovecot, context, user, {
    server: { ...dovecot.account(user), port: proxy.port },
    timings: { lookEveryMs: 300, answerMs: 300 },
  });
  await inbox.listening();
  proxy.hold();
  await dovecot.deliver(user, mail('into the hole'));
  await until(() => inbox.states.at(-1) === 'away');
  proxy.release();
  await inbox.count(1);
  assert.equal(inbox.warning().reason, 'The IMAP server has not answered for 300 ms');
});

test('a server that is slow to answer gets more time with each try, until it is heard', async (context) => {
  const user = newUser();
  const proxy = await startTcpProxy(dovecot.imapPort);
  context.after(() => proxy.close());
  proxy.slowDown(100);
  const inbox = listen(dovecot, context, user, {
    server: { ...dovecot.account(user), port: proxy.port },
    // Each try takes longer than the longest pause, as a server's does that is as slow as that.
    timings: { answerMs: 60, pauses: { firstMs: 10, longestMs: 20 } },
  });
  await until(() => inbox.states.includes('listening'));
  assert.equal(inbox.warning().reason, 'The IMAP server has not answered for 60 ms');

  const usual = { patience: 1, answerMs: 100, hasHeld: false };
  const late = (timeoutMs: number) => ({ code: 'IMAP_TIMEOUT', timeoutMs });
  const cases: [what: string, error: object, before: object, patience: number][] = [
    ['it was slow', late(100), {}, 2],
    ['slow again', late(200), { patience: 2 }, 4],
    ['no more than that', late(1600), { patience: 16 }, 16],
    ['it did not let us connect in time, which has a limit of its own', late(30_000), { patience: 4 }, 4],
    ['cut off at once', {}, { patience: 4 }, 4],
    ['cut off after a while', {}, { patience: 4, hasHeld: true }, 1],
    ['dead after a while', late(400), { patience: 4, hasHeld: true }, 2],
  ];
  for (const [what, error, before, patience] of cases)
    assert.equal(
      patienceAfter(Object.assign(new Error(what), error), { ...usual, ...before }),
      patience,
      what,
    );
});

test('mail that the server never announces is found by the periodic look', async (context) => {
  const user = newUser();
  const proxy = await startTcpProxy(dovecot.imapPort);
  context.after(() => proxy.close());
  const inbox = listen(dovecot, context, user, { timings: { lookEveryMs: 100 } });
  await inbox.listening(2);
  // The server announces at its earliest half a second after the delivery. The quickest of a few: on a machine that has
  // much else to do a look may come later than that.
  const foundMs: number[] = [];
  do {
    await dovecot.deliver(user, mail('found'));
    const deliveredAt = performance.now();
    await inbox.count(foundMs.length + 1);
    foundMs.push(performance.now() - deliveredAt);
  } while (Math.min(...foundMs) >= 450 && foundMs.length < 20);
  assert.ok(Math.min(...foundMs) < 450, foundMs.join());
});

test('an old connection is replaced by a new one without a word', async (context) => {
  const user = newUser();
  const proxy = await startTcpProxy(dovecot.imapPort);
  context.after(() => proxy.close());
  const inbox = listen(dovecot, context, user, {
    server: { ...dovecot.account(user), port: proxy.port },
    timings: { lookEveryMs: 50, renewAfterMs: 200 },
  });
  await until(() => proxy.connections() >= 3);
  assert.ok(!inbox.states.includes('away'));
});

test('a mailbox with another UIDVALIDITY is read anew from when it was read last, and the log says so', async (context) => {
  const user = newUser();
  await dovecot.append(user, [mail('ancient')], new Date(Date.now() - 48 * HOUR_MS));
  const first = listen(dovecot, context, user);
  await first.listening();
  await dovecot.deliver(user, mail('known'));
  await first.count(1);
  await first.close();
  const before = first.store.cursor;
  assert.ok(before);
  await dovecot.append(user, [mail('during a long outage')], new Date(Date.now() - 5 * HOUR_MS));
  await dovecot.rebuild(user);

  const store: Store = {
    cursor: { ...before, movedAt: new Date(Date.now() - 24 * HOUR_MS) },
    taken: [],
    batches: [],
  };
  const second = listen(dovecot, context, user, {}, store);
  await second.listening();
  assert.deepEqual(second.subjects().toSorted(), ['during a long outage', 'known']);
  assert.notEqual(store.cursor?.uidValidity, before.uidValidity);
  assert.match(second.warning().msg ?? '', /rebuilt the mailbox/);
});

test('a mailbox that counts from lower UIDs again, as after a restore, does not go silent', async (context) => {
  const user = newUser();
  const first = listen(dovecot, context, user);
  await first.listening();
  await first.close();
  assert.ok(first.store.cursor);
  const store: Store = { cursor: { ...first.store.cursor, lastUid: 500 }, taken: [], batches: [] };
  const second = listen(dovecot, context, user, {}, store);
  await second.listening();
  assert.match(second.warning().msg ?? '', /gone back in numbering/);
  await dovecot.deliver(user, mail('after the restore'));
  await second.count(1);
  assert.equal(store.cursor?.lastUid, 1);
});

test('the cursor moves only with what is recorded: a database that fails gets the mail again', async (context) => {
  const user = newUser();
  let failures = 3;
  const taken: FetchedMessage[] = [];
  const inbox = listen(dovecot, context, user, {
    record: (batch) => {
      if (batch.length > 0 && failures > 0) {
        failures -= 1;
        return Promise.reject(new Error('the database is away'));
      }
      taken.push(...batch);
      return Promise.resolve();
    },
  });
  await inbox.listening();
  await dovecot.deliver(user, mail('precious'));
  await until(() => taken.length > 0);
  assert.deepEqual(taken.map(subjectOf), ['precious']);
  const told = inbox.lines.filter(({ msg }) => msg.startsWith('mail can')).map(({ msg }) => msg);
  assert.deepEqual(told, [
    'mail cannot be recorded; trying again until it can',
    'mail can be recorded again',
  ]);
});

test('a mail the server cannot send does not keep the others from being read', async (context) => {
  const user = newUser();
  await dovecot.append(user, [
    mail('first'),
    mail('broken', 'secret'.repeat(20)),
    mail('third'),
    mail('fourth'),
  ]);
  const files = (await dovecot.files(user)).toSorted((one, other) => other.sizeBytes - one.sizeBytes);
  await chmod(files[0]?.path ?? '', 0);
  const inbox = listen(dovecot, context, user, { timings: { pauses: { firstMs: 10, longestMs: 20 } } });
  await inbox.count(4);
  assert.deepEqual(inbox.subjects(), ['first', '', 'third', 'fourth']);
  assert.deepEqual(inbox.store.taken[1]?.isTruncated, true);
  assert.ok(inbox.lines.some(({ msg }) => msg.includes('does not send a mail')));
  await dovecot.deliver(user, mail('fifth'));
  await inbox.count(5);
});

test('a wrong password is told in the words of the server, and tried again', async (context) => {
  const inbox = listen(dovecot, context, newUser(), { password: 'wrong' });
  await until(() => inbox.states.includes('away'));
  assert.match(String(inbox.warning().reason), /^The IMAP server refuses the login: Authentication failed/);
});

for (const tls of ['implicit', 'required', 'offered'] as const) {
  test(`TLS ${tls}: a certificate nobody has signed is taken only when told to`, async (context) => {
    const user = newUser();
    const trusting = listen(dovecot, context, user, { server: dovecot.account(user, tls) });
    await trusting.listening();
    const strict = listen(dovecot, context, user, { server: dovecot.account(user, tls, true) });
    await until(() => strict.states.includes('away'));
    assert.match(String(strict.warning().reason), /self-signed certificate/);
  });
}
