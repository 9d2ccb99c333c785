import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { HourlyCaps, reachedCap, type Caps } from '../../src/store/hourly.ts';
import { addRepository } from '../../src/store/repositories.ts';
import { ensureThread } from '../../src/store/threads.ts';
import { tellsNow } from '../../src/store/told-notices.ts';
import { ensureUser } from '../../src/store/users.ts';
import { startPrivateDatabase, type PrivateDatabase } from '../support/private-database.ts';

const JOHN = 'john@example.com';
const EVE = 'eve@example.com';
const THREAD = `${JOHN}-app`;
const MANY: Caps = { perSender: 100, perThread: 100, overall: 100, writtenPerAddress: 100 };
const john = { address: JOHN, threadId: THREAD };

let database: PrivateDatabase;
before(async () => {
  database = await startPrivateDatabase();
  const { db } = database;
  const user = await ensureUser(db, JOHN, '');
  await addRepository(db, {
    name: 'app',
    url: 'https://git.example.com/x.git',
    branch: null,
    threadBy: null,
  });
  await ensureThread(db, { id: THREAD, userId: user.id, repositoryId: 1, label: '' });
});
after(() => database.close());
beforeEach(() => database.db('messages').delete());

async function mails(count: number, row: Record<string, unknown>, minutesAgo = 0): Promise<void> {
  const at = new Date(Date.now() - minutesAgo * 60_000);
  const whole = {
    direction: 'in',
    state: 'handled',
    outcome: 'command',
    address: JOHN,
    raw: Buffer.alloc(0),
    size_bytes: 0,
    handled_at: at,
    received_at: at,
    ...row,
  };
  await database.db('messages').insert(Array.from({ length: count }, () => whole));
}

const capOf = async (of: { address: string; threadId: string | null }, caps: Partial<Caps>) =>
  (await reachedCap(database.db, of, { ...MANY, ...caps }))?.cap;

test('a cap is reached by what was run or answered in the last hour, and by nothing else', async () => {
  await mails(2, { thread_id: THREAD });
  await mails(1, { outcome: 'answered' });
  await mails(5, { outcome: 'dropped' });
  await mails(5, { outcome: 'failed' });
  await mails(5, {}, 61);
  await mails(4, { address: EVE });
  await mails(6, { direction: 'out', outcome: 'answer' });
  assert.equal(await capOf(john, {}), undefined);
  assert.equal(await capOf(john, { perSender: 4 }), undefined);
  assert.equal(await capOf(john, { perSender: 3 }), 'perSender');
  assert.equal(await capOf({ address: EVE, threadId: null }, { perSender: 5, perThread: 1 }), undefined);
  assert.equal(await capOf(john, { perThread: 3 }), undefined);
  assert.equal(await capOf(john, { perThread: 2 }), 'perThread');
  assert.equal(await capOf(john, { overall: 8 }), undefined);
  assert.equal(await capOf(john, { overall: 7 }), 'overall');
  assert.equal(await capOf(john, { writtenPerAddress: 7 }), undefined);
  assert.equal(await capOf(john, { writtenPerAddress: 6, perSender: 1 }), 'writtenPerAddress');
});

test('there is room again when the mail that fills the cap is an hour old', async () => {
  for (const minutesAgo of [50, 30, 10]) await mails(1, {}, minutesAgo);
  for (const [perSender, minutes] of [
    [1, 50],
    [2, 30],
    [3, 10],
  ] as const) {
    const reached = await reachedCap(database.db, john, { ...MANY, perSender });
    const inMinutes = ((reached?.againAt.getTime() ?? 0) - Date.now()) / 60_000;
    assert.equal(Math.round(inMinutes), minutes);
  }
});

test('an address is told once since a time, each kind for itself, also by two at once', async () => {
  const { db } = database;
  const anHourAgo = new Date(Date.now() - 3_600_000);
  const tries = await Promise.all([1, 2, 3].map(() => tellsNow(db, JOHN, 'cap:perSender', anHourAgo)));
  assert.deepEqual(tries.toSorted(), [false, false, true]);
  assert.equal(await tellsNow(db, EVE, 'cap:perSender', anHourAgo), true);
  assert.equal(await tellsNow(db, JOHN, 'cap:overall', anHourAgo), true);
  assert.equal(await tellsNow(db, JOHN, 'paused', anHourAgo), true);
  await db('told_notices').update({ told_at: anHourAgo });
  assert.equal(await tellsNow(db, JOHN, 'cap:perSender', anHourAgo), true);
});

test('what holds until a time is told again after it', async () => {
  const { db } = database;
  const anHourAgo = new Date(Date.now() - 3_600_000);
  const tell = (until: Date) => tellsNow(db, 'ann@example.com', 'cap:overall', anHourAgo, until);
  assert.equal(await tell(new Date(Date.now() + 60_000)), true);
  assert.equal(await tell(new Date(Date.now() + 120_000)), false);
  await db('told_notices').update({ holds_until: new Date(Date.now() - 1_000) });
  assert.equal(await tell(new Date(Date.now() + 60_000)), true);
  assert.equal(await tell(new Date(Date.now() + 60_000)), false);
});

test('what was counted a moment ago is trusted for as many mails as there is room for, and no further', async () => {
  const { db } = database;
  const hourly = new HourlyCaps(db, { ...MANY, perSender: 3 });
  const at = async (messageId: number) => (await hourly.reached({ ...john, messageId }))?.cap;
  assert.equal(await at(100), undefined);
  await mails(2, {});
  assert.equal(await at(102), undefined);
  await mails(1, {});
  // Three have come since: they may have filled it.
  assert.equal(await at(103), 'perSender');
  assert.equal(await at(104), 'perSender');
  await db('messages').delete();
  assert.equal(await at(105), undefined);
  await mails(3, {});
  assert.equal(await at(90), 'perSender', 'one that was put off has a lower id');
});

test('how much room there is from a mail on is counted once, as long as that is enough for those that are asked for', async () => {
  const { db } = database;
  const hourly = new HourlyCaps(db, { ...MANY, perSender: 10 });
  let counts = 0;
  const onQuery = ({ sql }: { sql: string }): unknown => /with taken as/.test(sql) && (counts += 1);
  db.on('query', onQuery);
  const room = async (messageId: number, enough: number) => [
    await hourly.roomFrom({ ...john, messageId }, enough),
    counts,
  ];
  assert.deepEqual(await room(100, 3), [10, 1]);
  await mails(2, {});
  assert.deepEqual(await room(102, 8), [8, 1], 'those between them may all have been taken');
  assert.deepEqual(await room(102, 9), [8, 2]);
  assert.deepEqual(await room(90, 3), [8, 3], 'one that was put off has a lower id');
  await mails(9, {});
  assert.deepEqual(await room(101, 3), [0, 4]);
  assert.deepEqual(await room(102, 3), [0, 5], 'what is reached is counted anew');
  db.removeListener('query', onQuery);
});

test('mails are judged side by side only as far as the cap on all has room for every one of them', async () => {
  const { db } = database;
  const hourly = new HourlyCaps(db, { ...MANY, overall: 10 });
  await mails(3, {});
  assert.equal(await hourly.hasRoomFor(4, 0), true);
  assert.equal(await hourly.hasRoomFor(3, 4), true);
  assert.equal(await hourly.hasRoomFor(1, 7), false, 'those in hand may not be counted yet');
  await mails(7, {});
  assert.equal(await hourly.hasRoomFor(2, 0), false);
  assert.equal(await hourly.hasRoomFor(1, 0), true, 'one alone is beside nobody');
  await db('messages').delete();
  assert.equal(await hourly.hasRoomFor(10, 0), true);
  assert.equal(await hourly.hasRoomFor(1, 10), false);
});

test('a backlog costs one count as long as there is room, however long it takes; what is forgotten is counted anew', async () => {
  const { db } = database;
  const hourly = new HourlyCaps(db, { ...MANY, perSender: 3 });
  let queries = 0;
  const onQuery = (): unknown => (queries += 1);
  db.on('query', onQuery);
  assert.equal(await hourly.hasRoomFor(50, 0), true);
  assert.equal(await hourly.reached({ ...john, messageId: 100 }), null);
  const first = queries;
  assert.equal(await hourly.hasRoomFor(50, 50), true);
  assert.equal(await hourly.reached({ ...john, messageId: 102 }), null);
  assert.equal(queries, first);
  await mails(3, {});
  hourly.forget();
  assert.equal((await hourly.reached({ ...john, messageId: 102 }))?.cap, 'perSender');
  assert.equal(await hourly.hasRoomFor(98, 0), false);
  db.removeListener('query', onQuery);
});
