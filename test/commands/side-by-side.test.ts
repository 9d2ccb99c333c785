import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Intake } from '../../src/commands/judge.ts';
import { takeMessage } from '../../src/commands/take-message.ts';
import { takeRun } from '../../src/commands/take-run.ts';
import { parseMessage } from '../../src/mail/parse.ts';
import { endCommand } from '../../src/store/commands.ts';
import { nextReceived, recordIncoming } from '../../src/store/messages.ts';
import { collectedLog } from '../support/collected-log.ts';
import { emptyTables, intakeOf, loopOf } from '../support/intake-stage.ts';
import { startPrivateDatabase, type PrivateDatabase } from '../support/private-database.ts';

// A portion of messages that are judged side by side must come to what they come to one after the other.

const MAILS = 300;
const SENDERS = 11;
/** Both are reached amid the mails: the one on all when some are judged side by side still. */
const CAPS = { perSender: 12, perThread: 7, overall: 110, writtenPerAddress: 400 };
const AWAY = "I'm away until Monday.";
const AN_HOUR_MS = 3_600_000;

let database: PrivateDatabase;
before(async () => {
  database = await startPrivateDatabase();
});
after(() => database.close());

type Mail = { raw: string; receivedAt: Date; isTruncated: boolean };

/** The mails of one sender depend on each other as people's do: answers, copies, conversations, words to Threadbox. */
function mixedMail(index: number): Mail {
  const turn = Math.floor(index / SENDERS);
  const sender = `user${index % SENDERS}@example.com`;
  const id = (which: number) => `<${sender}-${which}>`;
  const mail = (fields: Record<string, string>, body: string): string =>
    Object.entries({ From: sender, To: 'bot@example.com', 'Message-ID': id(turn), ...fields })
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('') + `\r\n${body}\r\n`;
  const kinds: (() => string)[] = [
    () => mail({ Subject: `[web] topic ${turn}` }, `echo ${turn}`),
    // By its references it belongs to the mail before.
    () => mail({ Subject: 'Re: anything', 'In-Reply-To': id(turn - 1) }, `echo answer ${turn}`),
    () => mail({ Subject: `[api] topic` }, `echo ${turn}`),
    // By its subject.
    () => mail({ Subject: 'Re: topic' }, `echo conversation ${turn}`),
    // The very mail of the turn before, whoever it was delivered by.
    () => mail({ Subject: 'Re: topic', 'Message-ID': id(turn - 1) }, `echo conversation ${turn - 1}`),
    () => mail({ Subject: '[web] topic' }, 'status'),
    () => mail({ Subject: '[nowhere] topic' }, 'ls'),
    () => mail({ Subject: `no repository ${turn}` }, 'ls'),
    () => mail({ Subject: '[web] topic' }, ''),
    () => mail({ Subject: '[web] topic' }, AWAY),
    () => mail({ Subject: '[web] topic', 'Auto-Submitted': 'auto-replied' }, 'ls'),
    () => mail({ Subject: '[web] topic', From: 'mallory@elsewhere.test' }, 'rm -rf /'),
    () => mail({ Subject: '[web] topic' }, 'cancel'),
    () => mail({ Subject: `[other] topic ${turn}` }, `echo other ${turn}`),
    () => mail({ Subject: `[other#more] topic ${turn}` }, `echo more ${turn}`),
  ];
  // Not all senders write the same at the same time.
  const kind = kinds[(turn + (index % SENDERS) * 3) % kinds.length] as () => string;
  const isOld = index % 37 === 36;
  return {
    raw: kind(),
    receivedAt: new Date(Math.floor(Date.now() / 1000) * 1000 - (isOld ? 100 * AN_HOUR_MS : 0)),
    isTruncated: index % 41 === 40,
  };
}

/** `lanes`: how many were in hand at once at the most. `inRuns`: how many were taken with others of their sender. */
type Hands = { lanes: number; inRuns: number };

/** Takes all that is recorded, as a bot does. */
async function takeAll(intake: Intake, isSideBySide: boolean): Promise<Hands> {
  const { promise: caughtUp, resolve } = Promise.withResolvers<void>();
  const hands = { lanes: 0, inRuns: 0 };
  let atOnce = 0;
  const counted = <T>(taking: Promise<T>): Promise<T> => {
    atOnce += 1;
    hands.lanes = Math.max(hands.lanes, atOnce);
    return taking.finally(() => (atOnce -= 1));
  };
  const loop = loopOf(intake, {
    take: (mail) => counted(takeMessage(intake, mail)),
    async takeRun(mails) {
      const taken = await counted(takeRun(intake, mails));
      hands.inRuns += taken.length;
      return taken;
    },
    mayShare: async (mails, inHand) => isSideBySide && intake.hourlyCaps.hasRoomFor(mails, inHand),
    onCaughtUp: async () => resolve(),
    // What is handled keeps the count of its reading, however long a busy machine takes for it.
    survivedAfterMs: 600_000,
  });
  await caughtUp;
  await loop.close();
  return hands;
}

/** Takes the mixed mails. @returns all that came of them, by the UIDs of the mails */
async function outcomes(isSideBySide: boolean): Promise<{ rows: Record<string, unknown[]>; hands: Hands }> {
  const { db } = database;
  await emptyTables(db);
  const { log, lines } = collectedLog();
  const intake = intakeOf(db, CAPS, log);
  const record = async (mails: readonly Mail[], firstUid: number): Promise<void> => {
    const batch = mails.map(({ raw, receivedAt, isTruncated }, place) => ({
      uid: firstUid + place,
      raw: Buffer.from(raw),
      sizeBytes: raw.length,
      receivedAt,
      isTruncated,
    }));
    await recordIncoming(db, 'box', batch, { uidValidity: 1, lastUid: firstUid + mails.length });
  };
  // Something that has run, for what is sent again right after it to be taken for an automatic answer.
  const first = Array.from({ length: SENDERS }, (_, index) => ({
    ...mixedMail(0),
    raw: `From: user${index}@example.com\r\nMessage-ID: <first-${index}@example.com>\r\nSubject: [web] topic\r\n\r\n${AWAY}\r\n`,
  }));
  await record(first, 1);
  await takeAll(intake, isSideBySide);
  for (const id of await db('commands').pluck<number[]>('id')) {
    await endCommand(db, id, { state: 'finished', exitCode: 127 });
  }
  await record(
    Array.from({ length: MAILS }, (_, index) => mixedMail(index)),
    SENDERS + 1,
  );
  const hands = await takeAll(intake, isSideBySide);
  assert.deepEqual(
    lines.filter(({ level }) => level >= 50),
    [],
  );
  return { rows: await allRows(), hands };
}

async function allRows(): Promise<Record<string, unknown[]>> {
  const { db } = database;
  const { rows: commands } = await db.raw(
    `select message.uid, command.thread_id, script, control, has_files, builtin, command.state,
       row_number() over (partition by command.thread_id order by command.id) as place
     from commands command join messages message on message.id = command.message_id order by uid`,
  );
  const { rows: answers } = await db.raw(
    `select message.uid, answer.address, answer.subject, answer.thread_id, answer.raw, envelope_to
     from outbox join messages answer on answer.id = outbox.message_id
       join messages message on message.id = answer.in_reply_to_message order by uid`,
  );
  return {
    messages: await db('messages')
      .select(
        db.raw(
          `uid, state, outcome, reason, attempts, address, sender_name, message_id, reference_ids, subject, subject_key,
           body_hash, signature_ids, copy_to, thread_id, owed_notice, handled_at is not null as is_handled`,
        ),
      )
      .where({ direction: 'in' })
      .orderBy('uid'),
    commands,
    answers: await Promise.all(
      (answers as { raw: Buffer }[]).map(async ({ raw, ...row }) => ({
        ...row,
        // The time from which on there is room again is another in each run.
        text: (await parseMessage(raw)).text.replaceAll(/(\w{3} \d+ \w{3}, )?\d\d:\d\d/g, 'then'),
      })),
    ),
    threads: await db('threads')
      .join('users', 'users.id', 'user_id')
      .select('threads.id', 'users.address', 'repository_id', 'label')
      .orderBy('threads.id'),
    users: await db('users').select('address', 'name', 'is_registered').orderBy('address'),
    told: await db('told_notices').select('address', 'kind').orderBy(['address', 'kind']),
  };
}

test('a mail of a run that another process has handled is left to it, and the others are taken', async () => {
  const { db } = database;
  await emptyTables(db);
  const receivedAt = new Date();
  const batch = [1, 2, 3].map((uid) => {
    const raw = Buffer.from(
      `From: alice@example.com\r\nMessage-ID: <${uid}@example.com>\r\nSubject: [web] ${uid}\r\n\r\necho ${uid}\r\n`,
    );
    return { uid, raw, sizeBytes: raw.length, receivedAt, isTruncated: false };
  });
  await recordIncoming(db, 'box', batch, { uidValidity: 1, lastUid: 3 });
  const left = await nextReceived(db, 0, { count: 10, bytes: 10_000 });
  const run = await Promise.all(
    left.map(async (received) => ({ received, message: await parseMessage(received.raw) })),
  );
  await db('messages').where({ uid: 2 }).update({ state: 'handled', outcome: 'dropped' });
  const { log, lines } = collectedLog();
  const taken = await takeRun(intakeOf(db, CAPS, log), run);
  assert.deepEqual(
    taken.map((one) => one?.kind ?? null),
    ['command', null, 'command'],
  );
  const warnings = lines.filter(({ level }) => level === 40).map(({ msg, message }) => [msg, message]);
  assert.deepEqual(warnings, [['another process has handled a message', left[1]?.id]]);
  assert.deepEqual(await db('commands').orderBy('id').pluck('script'), ['echo 1\n', 'echo 3\n']);
});

test(`${MAILS} mixed mails judged side by side come to what they come to one by one, row by row`, async (t) => {
  const alone = await outcomes(false);
  const together = await outcomes(true);
  assert.deepEqual(together.rows, alone.rows);
  assert.deepEqual(alone.hands, { lanes: 1, inRuns: 0 });
  assert.equal(together.hands.lanes, SENDERS + 1);
  t.diagnostic(`${together.hands.inRuns} in runs`);
  // Few of such mails are independent of those before them. One pair alone would be two.
  assert.ok(together.hands.inRuns >= 6);
  const reasons = new Map<string, number>();
  for (const { outcome, reason } of alone.rows['messages'] as { outcome: string; reason: string | null }[]) {
    const key = `${outcome}: ${reason}`;
    reasons.set(key, (reasons.get(key) ?? 0) + 1);
  }
  t.diagnostic(JSON.stringify(Object.fromEntries(reasons)));
  // Of each kind there were some, or it says nothing about it.
  const seen = [...reasons.keys()].join('\n');
  for (const kind of [
    /^command: null$/m,
    /^answered: cancel$/m,
    /^answered: status$/m,
    /^answered: unknown-repository$/m,
    /^answered: which-repository$/m,
    /^answered: mail-too-large$/m,
    /^dropped: the same mail was taken before$/m,
    /^dropped: the same text again/m,
    /^dropped: more than 12 mails of one sender/m,
    /^dropped: more than 7 mails of one thread/m,
    /^dropped: more than 110 mails of all senders/m,
    /^dropped: an automatic mail/m,
    /^dropped: the sender is not allowed$/m,
    /^dropped: too old to be run$/m,
  ]) {
    assert.match(seen, kind);
  }
});
