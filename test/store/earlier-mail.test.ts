import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import type { Db } from '../../src/store/database.ts';
import { answeredThreads, areRepeated, conversationThreads } from '../../src/store/earlier-mail.ts';
import * as messages from '../../src/store/messages.ts';
import { startPrivateDatabase, type PrivateDatabase } from '../support/private-database.ts';
import { mail, received, threadOf } from './sample-rows.ts';

let database: PrivateDatabase;
let db: Db;

before(async () => {
  database = await startPrivateDatabase();
  ({ db } = database);
});
after(() => database.close());
beforeEach(() => db.raw('truncate users, repositories, mailboxes, messages restart identity cascade'));

const facts: messages.MessageFacts = {
  address: 'john@example.com',
  senderName: 'John',
  messageId: '<1@example.com>',
  references: ['<0@example.com>'],
  subject: '[app] Hello',
  subjectKey: '[app] hello',
  bodyHash: 'abc',
  copyTo: [],
};

test('the same mail starts one command, whoever is quicker', async () => {
  const thread = await threadOf(db, 'john@example.com', 'app');
  const first = await received(db, 1);
  const second = await received(db, 2);
  const settled = { outcome: 'command', reason: null, threadId: thread.id } as const;
  await messages.settleMessage(db, first, settled, facts);
  await assert.rejects(messages.settleMessage(db, second, settled, facts), /messages_same_mail/);
  const same = {
    address: 'john@example.com',
    messageId: '<1@example.com>',
    bodyHash: 'abc',
    id: second,
    signatureIds: [],
  };
  const isRepeated = async (
    mail: Partial<Omit<typeof same, 'messageId'>> & { messageId?: string | null },
    isVerified = false,
  ) => {
    const asked = { ...same, ...mail, isVerified };
    const other = { ...asked, address: 'other@example.com' };
    // Asked with others, each gets its own answer.
    const [before, repeated, after] = await areRepeated(db, [other, asked, other]);
    assert.deepEqual([before, after], [false, false]);
    return repeated;
  };
  await messages.recordIncoming(db, 'box', [mail(3, 'mail 1')], { uidValidity: 1, lastUid: 3 });
  const { id: byteForByte } = await db('messages').first('id').where({ uid: 3 });
  assert.equal(await isRepeated({}), true);
  assert.equal(await isRepeated({ bodyHash: 'other' }), false);
  assert.equal(await isRepeated({ messageId: null }), false);
  assert.equal(await isRepeated({ messageId: null, id: byteForByte }), true);
  assert.equal(await isRepeated({ bodyHash: 'other' }, true), true);
  assert.equal(await isRepeated({ bodyHash: 'other', address: 'mallory@example.com' }, true), false);
  await assert.rejects(messages.settleMessage(db, first, settled, facts), /Another process has handled/);
});

test('a mail with a known signature is a copy, unless what bore it was not acted on', async () => {
  const mail = {
    address: 'john@example.com',
    messageId: '<n@example.com>',
    bodyHash: 'n',
    id: 0,
    isVerified: true,
  };
  const isCopy = async (...signatureIds: string[]) => (await areRepeated(db, [{ ...mail, signatureIds }]))[0];
  const settle = async (uid: number, outcome: 'answered' | 'dropped', signatureIds: string[]) => {
    const id = await received(db, uid);
    const of = { ...facts, messageId: `<${uid}@example.com>`, bodyHash: String(uid), signatureIds };
    await messages.settleMessage(db, id, { outcome, reason: null, threadId: null }, of);
  };
  await settle(51, 'answered', ['one', 'two']);
  await settle(52, 'dropped', ['three']);
  assert.equal(await isCopy('nine', 'two'), true);
  assert.equal(await isCopy('three'), false);
  assert.equal(await isCopy(), false);
  const claimed = { ...mail, messageId: '<52@example.com>', signatureIds: [] };
  assert.deepEqual(await areRepeated(db, [claimed]), [false]);
});

test("an answer finds its thread by the likeliest Message-ID, and only among the sender's own messages", async () => {
  const app = await threadOf(db, 'john@example.com', 'app');
  const lib = await threadOf(db, 'john@example.com', 'lib');
  const settle = async (uid: number, threadId: string, messageId: string): Promise<void> =>
    messages.settleMessage(
      db,
      await received(db, uid),
      { outcome: 'command', reason: null, threadId },
      { ...facts, messageId },
    );
  await settle(1, app.id, '<in-app@example.com>');
  await settle(2, lib.id, '<in-lib@example.com>');
  const find = async (...messageIds: string[]) => {
    const asked = { address: 'john@example.com', messageIds };
    const mallory = { address: 'mallory@example.com', messageIds: ['<in-app@example.com>', ...messageIds] };
    const [stranger, thread] = await answeredThreads(db, [mallory, asked]);
    assert.equal(stranger, null);
    return thread;
  };
  const ofSubject = async (subjectKey: string) =>
    conversationThreads(db, [
      { address: 'mallory@example.com', subjectKey },
      { address: 'john@example.com', subjectKey },
    ]);
  assert.equal((await find('<in-lib@example.com>', '<in-app@example.com>'))?.threadId, lib.id);
  assert.equal((await find('<in-app@example.com>', '<in-lib@example.com>'))?.repositoryName, 'app');
  assert.equal(await find('<unknown@example.com>'), null);
  assert.equal(await find(), null);

  const [stranger, thread] = await ofSubject('[app] hello');
  assert.deepEqual([stranger, thread?.threadId], [null, lib.id]);
  assert.deepEqual(await ofSubject(''), [null, null]);
});
