import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Intake } from '../../src/commands/judge.ts';
import { parseMessage, readHeader, readMessage } from '../../src/mail/parse.ts';
import { recordIncoming } from '../../src/store/messages.ts';
import { emptyTables, intakeOf, loopOf } from '../support/intake-stage.ts';
import { until } from '../support/until.ts';
import { startPrivateDatabase, type PrivateDatabase } from '../support/private-database.ts';

const MANY = { perSender: 400, perThread: 400, overall: 400, writtenPerAddress: 400 };

let database: PrivateDatabase;
before(async () => {
  database = await startPrivateDatabase();
});
after(() => database.close());

test('nobody overtakes their own mail that fails, while one that cannot be verified yet, by whomever, holds up nobody', async () => {
  const { db } = database;
  await emptyTables(db);
  let isDnsBack = false;
  const intake: Intake = {
    ...intakeOf(db, MANY),
    checkSender: ({ raw }) =>
      Promise.resolve(
        raw.includes('unverified') && !isDnsBack
          ? { kind: 'later', reason: 'no answer from the DNS' }
          : { kind: 'verified', how: 'not at all', signatureIds: [], hasLooseCc: false },
      ),
  };
  // It spoils the statement that stores what others wrote, too.
  await db.raw(`create function refuse() returns trigger language plpgsql as
    $$ begin if new.script like 'poison%' then raise exception 'poisoned'; end if; return new; end $$`);
  await db.raw('create trigger refuse before insert on commands for each row execute function refuse()');
  const mail = (sender: string, id: number, body: string): string =>
    `From: ${sender}@example.com\r\nMessage-ID: <${id}@example.com>\r\nSubject: [web] topic\r\n\r\n${body}\r\n`;
  const record = (first: number, raws: readonly string[]): Promise<void> =>
    recordIncoming(
      db,
      'box',
      raws.map((raw, place) => ({
        uid: first + place,
        raw: Buffer.from(raw),
        sizeBytes: raw.length,
        receivedAt: new Date(),
        isTruncated: false,
      })),
      { uidValidity: 1, lastUid: first + raws.length },
    );
  await record(1, [
    mail('alice', 1, 'echo unverified'),
    mail('bob', 2, 'poison'),
    mail('carol', 3, 'echo one'),
    mail('alice', 4, 'echo two'),
    mail('bob', 5, 'echo two'),
    mail('carol', 6, 'echo two'),
  ]);
  const passes: string[] = [];
  const then: (() => unknown)[] = [
    () => undefined,
    () => undefined,
    () => record(7, [mail('alice', 7, 'echo unverified, too'), mail('alice', 8, 'echo three')]),
    () => (isDnsBack = true),
  ];
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const loop = loopOf(intake, {
    onCaughtUp: async () => {
      const handled = await db('messages').where({ direction: 'in', state: 'handled' }).orderBy('uid');
      passes.push(handled.map(({ uid, outcome }) => `${uid} ${outcome}`).join(', '));
      const next = then[passes.length - 1];
      await next?.();
      if (next) loop.wake();
      else resolve();
    },
  });
  await done;
  await loop.close();
  assert.deepEqual(passes, [
    '3 command, 4 command, 6 command',
    '3 command, 4 command, 6 command',
    '2 answered, 3 command, 4 command, 5 command, 6 command',
    '2 answered, 3 command, 4 command, 5 command, 6 command, 8 command',
    '1 command, 2 answered, 3 command, 4 command, 5 command, 6 command, 7 command, 8 command',
  ]);
  await db.raw('drop function refuse cascade');
});

test('a mail that ends every process that reads it is refused after three, its sender is told, and the others go on', async () => {
  const { db } = database;
  await emptyTables(db);
  const mail = (id: number, body: string): string =>
    `From: alice@example.com\r\nMessage-ID: <${id}@example.com>\r\nSubject: [web] topic\r\n\r\n${body}\r\n`;
  const raws = [mail(1, 'echo before'), mail(2, 'deadly'), mail(3, 'echo after')];
  await recordIncoming(
    db,
    'box',
    raws.map((raw, place) => ({
      uid: place + 1,
      raw: Buffer.from(raw),
      sizeBytes: raw.length,
      receivedAt: new Date(),
      isTruncated: false,
    })),
    { uidValidity: 1, lastUid: 3 },
  );
  const outcomes = async (): Promise<string> =>
    (await db('messages').where({ direction: 'in' }).orderBy('uid'))
      .map(({ outcome, reason, attempts }) => `${outcome} ${reason} ${attempts}`)
      .join(', ');
  // Reading it never ends: that process does nothing more, and is as good as dead.
  const processes: string[] = [];
  for (let nth = 0; nth < 3; nth += 1) {
    const { promise: isStuck, resolve } = Promise.withResolvers<void>();
    loopOf(intakeOf(db, MANY), {
      suspects: 10,
      parse: async (raw) => {
        if (!raw.includes('deadly')) return readMessage(raw);
        resolve();
        return new Promise(() => undefined);
      },
    });
    await isStuck;
    processes.push(await outcomes());
  }
  assert.deepEqual(processes, [
    'command null 1, null null 1, null null 0',
    'command null 1, null null 2, null null 0',
    'command null 1, null null 3, null null 0',
  ]);
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const loop = loopOf(intakeOf(db, MANY), {
    suspects: 10,
    parse: (raw, part) => (part === 'header' ? readHeader(raw) : readMessage(raw)),
    onCaughtUp: async () => resolve(),
  });
  await done;
  await loop.close();
  assert.equal(await outcomes(), 'command null 1, answered unreadable 4, command null 1');
  const [answer] = await db('messages').where({ direction: 'out' });
  assert.match((await parseMessage(answer.raw)).text, /This mail could not be read in time/);
});

test('what another process has stored is found without a word from it: mails, and commands', async () => {
  const { db } = database;
  await emptyTables(db);
  let resumed = 0;
  const taken: string[] = [];
  const loop = loopOf(intakeOf(db, MANY), {
    lookEveryMs: 50,
    resume: async () => void (resumed += 1),
    onTaken: ({ kind }) => taken.push(kind),
  });
  try {
    await until(() => resumed > 1);
    const raw = Buffer.from('From: alice@example.com\r\nSubject: [web] topic\r\n\r\necho unheard\r\n');
    const mail = { uid: 1, raw, sizeBytes: raw.length, receivedAt: new Date(), isTruncated: false };
    await recordIncoming(db, 'box', [mail], { uidValidity: 1, lastUid: 1 });
    await until(() => taken.length > 0);
    assert.deepEqual(taken, ['command']);
  } finally {
    await loop.close();
  }
});
