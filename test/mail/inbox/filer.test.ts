import assert from 'node:assert/strict';
import { after, before, test, type TestContext } from 'node:test';
import { DEADLINES, openMailbox } from '../../../src/mail/inbox/connect.ts';
import { fileMails, type MailToFile } from '../../../src/mail/inbox/file-mails.ts';
import { startFiler, type Filer } from '../../../src/mail/inbox/filer.ts';
import { collectedLog, type LogLine } from '../../support/collected-log.ts';
import { startDovecot, type Dovecot } from '../../support/dovecot.ts';
import { listen, mail, newUser, subjectOf } from '../../support/listening.ts';
import { until } from '../../support/until.ts';

let dovecot: Dovecot;
before(async () => {
  dovecot = await startDovecot();
});
after(() => dovecot.close());

type Filing = {
  filer: Filer;
  waiting: MailToFile[];
  asked: number[];
  lines: LogLine[];
  filed: () => Promise<void>;
};

/** A filer with a stand-in for the database: what is `waiting` is due. */
function fileInto(context: TestContext, server: Dovecot, user: string, waiting: MailToFile[]): Filing {
  const { log, lines } = collectedLog();
  const asked: number[] = [];
  const filer = startFiler({
    server: server.account(user),
    password: server.password,
    mailbox: 'INBOX',
    folders: { processed: 'Bot/Processed', refused: 'Refused' },
    due: (afterId, limit) => {
      const due = waiting.filter(({ id }) => id > afterId).slice(0, limit);
      asked.push(due.length);
      return Promise.resolve(due);
    },
    done: (ids) => {
      for (const id of ids)
        waiting.splice(
          waiting.findIndex((one) => one.id === id),
          1,
        );
      return Promise.resolve();
    },
    log,
    timings: { settleMs: 10, pauses: { firstMs: 50, longestMs: 200 } },
  });
  context.after(() => filer.close());
  return { filer, waiting, asked, lines, filed: async () => void (await until(() => waiting.length === 0)) };
}

/** What the database knows after these mails were handled: all that lie in the INBOX. */
async function handled(server: Dovecot, user: string): Promise<MailToFile[]> {
  return server.withImap(user, async (client) => {
    const { uidValidity } = await client.mailboxOpen('INBOX', { readOnly: true });
    const rows = await client.fetchAll('1:*', { uid: true, internalDate: true, envelope: true });
    return rows.map(({ uid, internalDate, envelope }, index) => ({
      id: index + 1,
      uid,
      uidValidity: Number(uidValidity),
      receivedAt: new Date(internalDate as Date),
      folder: envelope?.subject?.startsWith('refused') ? 'refused' : 'processed',
    }));
  });
}

async function subjects(server: Dovecot, user: string): Promise<Record<string, string[]>> {
  const all = Object.entries(await server.listed(user));
  return Object.fromEntries(
    all
      .filter(([, mails]) => mails.length > 0)
      .map(([path, mails]) => [path, mails.map(({ subject }) => subject)]),
  );
}

test('handled mail is moved to its folder, made when missing, and marked as read; other mail stays', async (context) => {
  const user = newUser();
  await dovecot.append(
    user,
    ['one', 'refused two', 'three'].map((subject) => mail(subject)),
  );
  const { filed } = fileInto(context, dovecot, user, await handled(dovecot, user));
  await dovecot.append(user, [mail('not handled yet')]);
  await filed();
  assert.deepEqual(await subjects(dovecot, user), {
    INBOX: ['not handled yet'],
    'Bot/Processed': ['one', 'three'],
    Refused: ['refused two'],
  });
  const { INBOX = [], Refused = [] } = await dovecot.listed(user);
  assert.deepEqual([INBOX[0]?.flags, Refused[0]?.flags], [[], ['\\Seen']]);
});

test('folders lie under the prefix and with the separator of the server', async (context) => {
  const server = await startDovecot({ prefix: 'INBOX.' });
  context.after(() => server.close());
  const user = newUser();
  await server.append(user, [mail('one'), mail('refused two')]);
  await fileInto(context, server, user, await handled(server, user)).filed();
  assert.deepEqual(await subjects(server, user), {
    'INBOX.Bot.Processed': ['one'],
    'INBOX.Refused': ['refused two'],
  });
});

test('without MOVE a mail is copied, and only that one is expunged: what others have marked stays', async (context) => {
  const server = await startDovecot({ capabilities: 'IMAP4rev1 NAMESPACE UIDPLUS' });
  context.after(() => server.close());
  const user = newUser();
  await server.append(
    user,
    ['one', 'marked by somebody'].map((subject) => mail(subject)),
  );
  const [one] = await handled(server, user);
  await server.withImap(user, async (client) => {
    await client.mailboxOpen('INBOX');
    await client.messageFlagsAdd('2', ['\\Deleted']);
  });
  await fileInto(context, server, user, [one as MailToFile]).filed();
  assert.deepEqual(await subjects(server, user), { INBOX: ['marked by somebody'], 'Bot/Processed': ['one'] });
});

test('a server that cannot expunge a single mail keeps all of them: a copy is filed, once', async (context) => {
  const server = await startDovecot({ capabilities: 'IMAP4rev1 NAMESPACE' });
  context.after(() => server.close());
  const user = newUser();
  await server.append(user, [mail('one'), mail('two')]);
  const { filed, filer, asked } = fileInto(context, server, user, await handled(server, user));
  await filed();
  const passes = asked.length;
  filer.wake();
  await until(() => asked.length > passes);
  assert.deepEqual(await subjects(server, user), { INBOX: ['one', 'two'], 'Bot/Processed': ['one', 'two'] });
  const { INBOX = [] } = await server.listed(user);
  assert.deepEqual(
    INBOX.map(({ flags }) => flags),
    [['\\Seen'], ['\\Seen']],
  );
});

test('the same where a server refuses to expunge: nothing piles up', async (context) => {
  const server = await startDovecot({ capabilities: 'IMAP4rev1 NAMESPACE UIDPLUS' });
  context.after(() => server.close());
  const user = newUser();
  await server.append(user, [mail('one'), mail('two')]);
  const client = await openMailbox(server.account(user), server.password, 'INBOX', { isReadOnly: false });
  context.after(() => client.close());
  // As the driver says it; Dovecot itself says OK and expunges nothing where it is not allowed to.
  client.messageDelete = () => Promise.resolve(false);
  const waiting = await handled(server, user);
  const filed = await fileMails(client, waiting, { processed: 'Processed', refused: 'Refused' }, DEADLINES);
  assert.deepEqual(filed, { done: [1, 2], refused: [], reason: null });
  assert.deepEqual(await subjects(server, user), { INBOX: ['one', 'two'], Processed: ['one', 'two'] });
});

test('no wrong mail is ever moved: after a rebuild, or under a UID that names another mail, it stays', async (context) => {
  const user = newUser();
  await dovecot.append(user, [mail('rebuilt'), mail('gone')]);
  const before = await handled(dovecot, user);
  await dovecot.withImap(user, async (client) => {
    await client.mailboxOpen('INBOX');
    await client.messageDelete('2');
  });
  await dovecot.rebuild(user);
  await fileInto(context, dovecot, user, [...before]).filed();
  const now = await handled(dovecot, user);
  const other = now.map((known) => ({ ...known, receivedAt: new Date(known.receivedAt.getTime() - 60_000) }));
  await fileInto(context, dovecot, user, other).filed();
  assert.deepEqual(await subjects(dovecot, user), { INBOX: ['rebuilt'] });
  // Gone counts as filed.
  const gone = now.map((known) => ({ ...known, uid: known.uid + 100 }));
  await fileInto(context, dovecot, user, gone).filed();
});

test('a folder that the server refuses keeps mail where it is, is told of once, and holds up no other', async (context) => {
  const user = newUser();
  await dovecot.append(
    user,
    ['one', 'refused two'].map((subject) => mail(subject)),
  );
  const waiting = await handled(dovecot, user);
  const { log, lines } = collectedLog();
  let passes = 0;
  const filer = startFiler({
    server: dovecot.account(user),
    password: dovecot.password,
    mailbox: 'INBOX',
    folders: { processed: 'Processed', refused: '../escape' },
    due: (afterId) => Promise.resolve(waiting.filter(({ id }) => id > afterId)),
    done: (ids) => {
      for (const id of ids)
        waiting.splice(
          waiting.findIndex((one) => one.id === id),
          1,
        );
      return Promise.resolve();
    },
    log,
    timings: { pauses: { firstMs: 10, longestMs: 50 } },
  });
  context.after(() => filer.close());
  await until(() => waiting.length === 1 && (passes += 1) > 10);
  assert.deepEqual(await subjects(dovecot, user), { INBOX: ['refused two'], Processed: ['one'] });
  assert.equal(lines.filter(({ level }) => level >= 40).length, 1);
});

test('a server that dies in the middle of a backlog gets the rest filed when it is back, each mail once', async (context) => {
  const user = newUser();
  const names = Array.from({ length: 1200 }, (_, index) => `mail ${index + 1}`);
  await dovecot.append(
    user,
    names.map((subject) => mail(subject)),
  );
  const { waiting, asked, filed } = fileInto(context, dovecot, user, await handled(dovecot, user));
  await until(() => waiting.length < 1200);
  await dovecot.stop('SIGKILL');
  await dovecot.start();
  await filed();
  const { 'Bot/Processed': processed = [], ...others } = await subjects(dovecot, user);
  assert.deepEqual(processed.toSorted(), names.toSorted());
  assert.deepEqual(others, {});
  assert.ok(Math.max(...asked) <= 500);
});

test('moves disturb the listener in nothing: all mail that comes meanwhile is recorded once, in its order', async (context) => {
  const user = newUser();
  const inbox = listen(dovecot, context, user);
  await inbox.listening();
  const names = Array.from({ length: 120 }, (_, index) => `mail ${index + 1}`);
  const waiting: MailToFile[] = [];
  const { filer } = fileInto(context, dovecot, user, waiting);
  let known = 0;
  const arriving = (async () => {
    for (const name of names) await dovecot.deliver(user, mail(name));
  })();
  await until(() => {
    for (const message of inbox.store.taken.slice(known)) {
      known += 1;
      waiting.push({ ...message, id: known, folder: 'processed' });
      filer.wake();
    }
    return known === names.length;
  }, 240_000);
  await arriving;
  await until(() => waiting.length === 0);
  // A server may number mails of one moment in any order; what counts is that ours is its own.
  assert.deepEqual(
    inbox.store.taken.map(({ uid }) => uid),
    names.map((_, index) => index + 1),
  );
  assert.deepEqual(inbox.store.taken.map(subjectOf).toSorted(), names.toSorted());
  const { 'Bot/Processed': processed = [], ...others } = await subjects(dovecot, user);
  assert.deepEqual([processed.toSorted(), others], [names.toSorted(), {}]);
  assert.ok(inbox.lines.every(({ level }) => level < 40));
});
