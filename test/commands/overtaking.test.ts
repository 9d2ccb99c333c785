import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Intake } from '../../src/commands/judge.ts';
import { Suspects } from '../../src/commands/suspects.ts';
import { parseMessage, readHeader, readMessage } from '../../src/mail/parse.ts';
import { nextReceived, recordIncoming } from '../../src/store/messages.ts';
import { collectedLog } from '../support/collected-log.ts';
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
    // Read together, they are all to blame; alone from then on.
    'null null 1, null null 1, null null 1',
    'command null 2, null null 2, null null 1',
    'command null 2, null null 3, null null 1',
  ]);
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const loop = loopOf(intakeOf(db, MANY), {
    parse: (raw, part) => (part === 'header' ? readHeader(raw) : readMessage(raw)),
    onCaughtUp: async () => resolve(),
  });
  await done;
  await loop.close();
  assert.equal(await outcomes(), 'command null 2, answered deadly 4, command null 2');
  const [answer] = await db('messages').where({ direction: 'out' });
  assert.match(
    (await parseMessage(answer.raw)).text,
    /Threadbox stopped each time it read this mail[^]*it is message 2 in its log/,
  );
});

test('a wait for the DNS is no attempt: not of a process that ends in it, nor of one that is closed; and is waited for by nobody else', async () => {
  const { db } = database;
  await emptyTables(db);
  const mail = (sender: string): string =>
    `From: ${sender}@example.com\r\nMessage-ID: <${sender}@example.com>\r\nSubject: [web] topic\r\n\r\necho ${sender}\r\n`;
  const record = (uid: number, raw: string): Promise<void> =>
    recordIncoming(
      db,
      'box',
      [{ uid, raw: Buffer.from(raw), sizeBytes: raw.length, receivedAt: new Date(), isTruncated: false }],
      { uidValidity: 1, lastUid: uid },
    );
  await record(1, mail('alice'));
  await record(2, mail('bob'));
  // Tried before, so it is tried alone.
  await db('messages').where({ uid: 1 }).update({ attempts: 1 });
  const stored = async (): Promise<string> =>
    (await db('messages').where({ direction: 'in' }).orderBy('uid'))
      .map(({ outcome, attempts }) => outcome ?? attempts)
      .join(', ');
  const dns = () => {
    const { promise: answer, resolve } = Promise.withResolvers<void>();
    const later = { kind: 'later', reason: 'no answer from the DNS' } as const;
    const intake: Intake = {
      ...intakeOf(db, MANY),
      checkSender: async (asked) =>
        asked.raw.includes('alice') ? answer.then(() => later) : intakeOf(db, MANY).checkSender(asked),
    };
    return { intake, resolve };
  };

  const first = dns();
  const long = loopOf(first.intake, { survivedAfterMs: 600_000 });
  await until(async () => (await stored()) === '2, 0');
  const closed = long.close();
  await until(async () => (await stored()) === '1, 0');
  first.resolve();
  await closed;

  const counts: string[] = [];
  const onQuery = ({ sql }: { sql: string }): void => {
    if (/set "attempts" = "attempts" \+/.test(sql)) counts.push(sql);
  };
  db.on('query', onQuery);
  const second = dns();
  let passes = 0;
  const loop = loopOf(second.intake, { survivedAfterMs: 10, onCaughtUp: async () => void (passes += 1) });
  await until(async () => (await stored()) === '1, command');
  assert.equal(counts.length, 2);
  second.resolve();
  await until(() => passes > 0);
  // Who has been read and is put off is suspect no more, nor is what has come since.
  await record(3, mail('carol'));
  loop.wake();
  await until(() => passes > 1);
  await loop.close();
  db.removeListener('query', onQuery);
  assert.equal(await stored(), '1, command, command');
  assert.equal(counts.length, 2);
});

test('what this process has counted is not taken for the end of another, nor counted again', async () => {
  const { db } = database;
  await emptyTables(db);
  const raw = Buffer.from('Subject: hello\r\n\r\n');
  const mail = { raw, sizeBytes: raw.length, receivedAt: new Date(), isTruncated: false };
  await recordIncoming(
    db,
    'box',
    [1, 2, 3].map((uid) => ({ uid, ...mail })),
    { uidValidity: 1, lastUid: 3 },
  );
  await db('messages').where({ uid: 2 }).update({ attempts: 2 });
  const left = () => nextReceived(db, 0, { count: 10, bytes: 1_000 });
  const attempts = (messages: readonly { attempts: number }[]) => messages.map((one) => one.attempts);
  const suspects = new Suspects(db);
  assert.equal(suspects.firstTogether(await left()).length, 3, 'nobody has said that they were left');
  await suspects.find();
  const together = async () => suspects.firstTogether(await left()).map(({ id }) => id);
  assert.deepEqual(await together(), [1]);
  assert.deepEqual(attempts(await suspects.count(await left())), [0, 2, 0]);
  assert.deepEqual(attempts(await suspects.count(await left())), [0, 2, 0]);
  assert.deepEqual(attempts(await left()), [1, 3, 1]);
  assert.deepEqual(await together(), [1]);
  await suspects.survivedAll();
  await suspects.survived(await left());
  assert.deepEqual(attempts(await left()), [0, 2, 0]);
  suspects.areTried();
  assert.equal((await together()).length, 3);
});

test('what keeps mails from being taken together keeps none from being taken', async () => {
  const { db } = database;
  await emptyTables(db);
  const batch = [1, 2, 3].map((uid) => {
    const raw = Buffer.from(
      `From: alice@example.com\r\nMessage-ID: <${uid}@example.com>\r\nSubject: [web] ${uid}\r\n\r\necho ${uid}\r\n`,
    );
    return { uid, raw, sizeBytes: raw.length, receivedAt: new Date(), isTruncated: false };
  });
  await recordIncoming(db, 'box', batch, { uidValidity: 1, lastUid: 3 });
  const { log, lines } = collectedLog();
  const { promise: caughtUp, resolve } = Promise.withResolvers<void>();
  const loop = loopOf(intakeOf(db, MANY, log), {
    takeRun: () => Promise.reject(Object.assign(new Error('canceling statement'), { code: '57014' })),
    onCaughtUp: async () => resolve(),
  });
  await caughtUp;
  await loop.close();
  const outcomes = await db('messages').where({ direction: 'in' }).orderBy('uid').pluck('outcome');
  assert.deepEqual(outcomes, ['command', 'command', 'command']);
  const told = lines.filter(({ level }) => level >= 40).map(({ msg, messages }) => [msg, messages]);
  assert.deepEqual(told, [['mails are taken one by one', [1, 2, 3]]]);
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
