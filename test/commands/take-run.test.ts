import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judge, type Intake, type Judged } from '../../src/commands/judge.ts';
import { untilDependent } from '../../src/commands/take-run.ts';
import { readMessage } from '../../src/mail/parse.ts';
import type { ReceivedMessage } from '../../src/store/messages.ts';

// Which mails of one sender can be stored together: those that cannot depend on one another.

type One = {
  id?: string | null;
  raw?: string;
  body?: string;
  signatures?: string[];
  answers?: string[];
  /** Where there is nothing else to find its thread by. */
  subject?: string;
  thread?: string;
  isDropped?: boolean;
};

const mail = (of: One, place: number) => ({
  received: { id: place, raw: Buffer.from(of.raw ?? `mail ${place}`) },
  judged: {
    kind: 'plain',
    toStore: {
      id: place,
      facts: {
        messageId: of.id === undefined ? `<${place}>` : of.id,
        subjectKey: of.subject ?? 'work',
        bodyHash: of.body ?? `body ${place}`,
        signatureIds: of.signatures ?? [],
      },
    },
    command: of.isDropped
      ? null
      : {
          thread: of.thread === undefined ? null : { id: of.thread },
          answers: of.answers ?? [],
          isBySubject: of.subject !== undefined,
          isControl: false,
        },
  } as unknown as Judged & { kind: 'plain' },
});

/** @returns how many are taken together */
function together(ones: readonly (One | 'not plain')[], rooms: Record<string, number> = {}): number {
  const mails = ones.map((one, place) => mail(one === 'not plain' ? {} : one, place + 1));
  return untilDependent(
    mails,
    mails.map(({ judged }, place) => (ones[place] === 'not plain' ? null : judged)),
    new Map<string | null, number>([[null, 100], ...Object.entries(rooms)]),
  ).length;
}

for (const [what, ones, expected] of [
  ['nothing in common', [{}, {}, {}], 3],
  ['the same words under other Message-IDs', [{ body: 'a' }, { body: 'a' }], 2],
  ['the very same bytes', [{ body: 'a', raw: 'x' }, {}, { body: 'a', raw: 'x' }, {}], 2],
  ['the same Message-ID', [{ id: '<a>' }, { id: '<a>' }], 1],
  ['no Message-ID, both', [{ id: null }, { id: null }], 2],
  ['the same signature', [{ signatures: ['s'] }, { signatures: ['t'] }, { signatures: ['s'] }], 2],
  ['an answer to one before it', [{ id: '<a>' }, { answers: ['<b>', '<a>'] }], 1],
  ['an answer to what was answered before', [{ id: '<a>' }, { answers: ['<ours>'] }], 2],
  ['only its subject, which one before has', [{ subject: 'x' }, { subject: 'x' }], 1],
  ['only its subject, which none before has', [{ subject: 'x' }, { subject: 'y' }], 2],
  ['what is dropped counts for what comes after it', [{ id: '<a>', isDropped: true }, { id: '<a>' }], 1],
  ['what has to be asked or answered', [{}, 'not plain', {}], 1],
] satisfies [string, (One | 'not plain')[], number][]) {
  test(`of ${ones.length} mails of one sender ${expected} go together: ${what}`, () => {
    assert.equal(together(ones), expected);
  });
}

test('a bounce is noted in its turn and only then dropped as one, so it goes together with none', async () => {
  const of = async (raw: string): Promise<{ judged: Judged; noted: string[] }> => {
    const noted: string[] = [];
    const intake = {
      config: { allowedLists: [], botAddress: 'bot@example.com', botAliases: [] },
      noteBounce: async (bounce: Buffer) => void noted.push(bounce.toString()),
    } as unknown as Intake;
    const received = { id: 7, raw: Buffer.from(raw) } as ReceivedMessage;
    return { judged: await judge(intake, { received, message: await readMessage(received.raw) }), noted };
  };
  const bounce =
    'Return-Path: <>\r\nFrom: mailer-daemon@example.com\r\nSubject: Undelivered mail\r\n\r\n550 no such user\r\n';
  const { judged, noted } = await of(bounce);
  assert.ok(judged.kind === 'else');
  assert.deepEqual(noted, []);
  assert.equal(await judged.act(), null);
  assert.deepEqual(noted, [bounce]);
  const then = await judged.otherwise?.();
  assert.ok(then?.kind === 'plain');
  assert.equal(then.toStore.settled.outcome, 'dropped');

  const vacation = await of(
    'Return-Path: <>\r\nFrom: a@example.com\r\nSubject: away\r\n\r\nuntil Monday\r\n',
  );
  assert.equal(vacation.judged.kind, 'plain');
});

test('no more go together than the caps have room for, in each thread', () => {
  assert.equal(together([{ thread: 'a' }, { thread: 'a' }, { thread: 'a' }], { a: 2 }), 2);
  assert.equal(together([{ thread: 'a' }, { thread: 'b' }, { thread: 'a' }], { a: 9, b: 1 }), 1);
  assert.equal(together([{ thread: 'a' }], { a: 0 }), 0);
});
