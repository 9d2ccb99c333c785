import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { migrate } from '../../src/store/database.ts';
import { endPause, startPause } from '../../src/store/pause.ts';
import { addRepository, removeRepository } from '../../src/store/repositories.ts';
import { ALICE, BOB } from '../support/app.ts';
import { engine, inContainer, untilInside } from '../support/engine.ts';
import { startFaultStage, type FaultStage } from '../support/fault-stage.ts';
import { startGitUpstream } from '../support/git-upstream.ts';
import { ranWith } from '../support/ran-with.ts';
import { until } from '../support/until.ts';

const LIMIT_BYTES = 200_000;

let stage: FaultStage;
before(async () => {
  stage = await startFaultStage({ overrides: { maxMessageBytes: LIMIT_BYTES } });
});
after(() => stage.close());

/** @returns the text of the one answer */
async function ask(from: string, subject: string, body: string): Promise<string> {
  return (await stage.answerTo(await stage.send(from, subject, body))).text;
}

async function onlyAnswer(messageId: string): Promise<string> {
  const { text } = await stage.answerTo(messageId);
  await until(async () => (await openMails()) === 0);
  assert.equal((await stage.answersTo(messageId)).length, 1);
  return text;
}

const openMails = async (): Promise<number> =>
  (await stage.app.db('outbox').where({ state: 'waiting' })).length;

const containerOf = async (threadId: string): Promise<string> =>
  until(async () => {
    const session = await stage.app
      .db('container_sessions')
      .where({ thread_id: threadId, is_active: true })
      .first();
    return session?.container_id as string | undefined;
  });

/** Counts itself in the workspace, and ends when there is a file `go`. @returns the container, once it runs there */
const counted =
  'echo run >> /workspace/runs; echo begins; while [ ! -e /workspace/go ]; do sleep 0.05; done; echo ends';
async function begun(threadId: string): Promise<string> {
  const container = await containerOf(threadId);
  // From there it is answered, whatever becomes of the container.
  await untilInside(container, 'grep -qsx begins /workspace/.threadbox/executions/*.out');
  return container;
}
const runsIn = (container: string): Promise<string> => inContainer(container, 'cat /workspace/runs');

const told = (message: RegExp): number => stage.lines.filter(({ msg }) => message.test(msg)).length;

test('a container removed or stopped behind the bot between two commands costs no file', async () => {
  await ask(ALICE, '[sample#gone] First', 'echo kept > file.txt; git config user.name');
  await engine.getContainer(await containerOf(`${ALICE}-sample#gone`)).remove({ force: true });
  ranWith(await ask(ALICE, '[sample#gone] Second', 'cat file.txt README.md'), 'kept\n# Sample');
  await engine.getContainer(await containerOf(`${ALICE}-sample#gone`)).stop({ t: 0 });
  ranWith(await ask(ALICE, '[sample#gone] Third', 'cat file.txt'), 'kept');
});

test('a container removed during a command: the answer says interrupted, with the output so far, and it is not run again', async () => {
  const sent = await stage.send(ALICE, '[sample#killed] Long', counted);
  await engine.getContainer(await begun(`${ALICE}-sample#killed`)).remove({ force: true });
  const text = await onlyAnswer(sent);
  assert.match(text, /^Interrupted /);
  assert.match(text, /^begins$/m);
  assert.doesNotMatch(text, /^ends$/m);
  ranWith(await ask(ALICE, '[sample#killed] Next', 'cat /workspace/runs'), 'run');
});

test('an SMTP server that refuses, drops and swallows mails gets the answer later, and once', async () => {
  stage.smtp.behave(451, 'drop', 'hang');
  const sent = await stage.send(ALICE, '[sample] Refused', 'echo $((6*7)) refused');
  ranWith(await onlyAnswer(sent), '42 refused');
});

test('an SMTP server that is dead for a while gets all answers afterwards, once', async () => {
  await stage.smtp.stop();
  const sent = [
    await stage.send(ALICE, '[sample] Dead 1', 'echo $((6*7)) for one'),
    await stage.send(BOB, '[sample] Dead 2', 'echo $((6*7)) for two'),
  ];
  await until(async () => (await openMails()) === 2 && told(/^SMTP does not answer/) > 0);
  await stage.smtp.start();
  for (const [index, id] of sent.entries()) ranWith(await onlyAnswer(id), `42 for ${['one', 'two'][index]}`);
});

test('an IMAP server that was dead is listened to again', async () => {
  const before = told(/^IMAP does not answer/);
  await stage.dovecot.stop('SIGKILL');
  await until(() => told(/^IMAP does not answer/) > before);
  await stage.dovecot.start();
  ranWith(await ask(ALICE, '[sample] Back', 'echo $((6*7)) listening'), '42 listening');
  assert.equal(told(/^IMAP does not answer/), before + 1);
});

test('mails that arrive while PostgreSQL is stopped, and what ran meanwhile, are answered once it is back', async () => {
  const running = await stage.send(BOB, '[sample#db] Long', counted);
  const container = await begun(`${BOB}-sample#db`);
  await stage.postgres.stop();
  const sent = [];
  for (const index of [1, 2, 3])
    sent.push(await stage.send(ALICE, '[sample#db] n', `echo ${index} | tee -a /workspace/order`));
  await until(() => told(/^PostgreSQL does not answer/) > 0);
  await inContainer(container, 'touch /workspace/go');
  await stage.postgres.start();
  ranWith(await onlyAnswer(running), 'begins\nends');
  for (const [index, id] of sent.entries()) ranWith(await onlyAnswer(id), String(index + 1));
  assert.equal(await runsIn(container), 'run\n');
  const order = await inContainer(await containerOf(`${ALICE}-sample#db`), 'cat /workspace/order');
  assert.equal(order, '1\n2\n3\n');
});

test('a command whose COMMIT got through while the reply to it was lost is run all the same', async () => {
  const heard = { insert: false, cuts: 0 };
  stage.wire.onData((from, data) => {
    if (from !== 'client') return;
    heard.insert ||= data.includes('insert into commands');
    if (!heard.insert || heard.cuts > 0 || !data.includes('COMMIT')) return;
    heard.cuts += 1;
    // Once it is passed on, and before the server can have answered.
    setImmediate(() => stage.wire.cut());
  });
  const text = await onlyAnswer(await stage.send(ALICE, '[sample#lost] Lost', 'echo $((6*7)) not lost'));
  stage.wire.onData(() => {});
  assert.equal(heard.cuts, 1);
  ranWith(text, '42 not lost');
});

test('a database made by a newer version is refused and left as it is', async () => {
  const { db } = stage.app;
  await db('knex_migrations').insert({ name: '9999-newer', batch: 9 });
  await assert.rejects(migrate(db), { code: 'SCHEMA_TOO_NEW', message: /9999-newer/ });
  await db('knex_migrations').where({ name: '9999-newer' }).delete();
  await migrate(db);
});

test('commands wait for a Docker Engine that is away, and run once; one that ran meanwhile is answered whole', async () => {
  const running = await stage.send(BOB, '[sample#docker] Long', counted);
  const container = await begun(`${BOB}-sample#docker`);
  await stage.engine.cut();
  const waiting = [
    await stage.send(ALICE, '[sample#docker] New', 'echo run | tee -a /workspace/runs'),
    await stage.send(ALICE, '[sample] Warm', 'echo $((6*7)) warm'),
  ];
  await until(() => told(/^Docker does not answer/) > 0);
  await until(async () => (await stage.app.db('commands').where({ state: 'queued' })).length === 1);
  await inContainer(container, 'touch /workspace/go');
  await stage.engine.mend();
  ranWith(await onlyAnswer(running), 'begins\nends');
  for (const [index, id] of waiting.entries()) ranWith(await onlyAnswer(id), ['run', '42 warm'][index] ?? '');
  assert.equal(await runsIn(container), 'run\n');
  assert.equal(await runsIn(await containerOf(`${ALICE}-sample#docker`)), 'run\n');
  assert.equal(told(/^Docker does not answer/), 1);
});

test('a pause holds what waited for the Docker Engine, too: nothing begins before it is over', async () => {
  const { db } = stage.app;
  const before = told(/^Docker does not answer/);
  await stage.engine.cut();
  const waiting = [
    await stage.send(BOB, '[sample#held] Cold', 'echo $((6*7)) cold'),
    await stage.send(ALICE, '[sample#docker] Warm', 'echo $((6*7)) warm; touch /workspace/warm'),
  ];
  await until(() => told(/^Docker does not answer/) > before);
  await until(async () => (await db('commands').where({ state: 'running' })).length === 1);
  await startPause(db, 'the engine is moved');
  await stage.engine.mend();
  for (const id of waiting) assert.match((await stage.answerTo(id)).text, /^Threadbox is paused/);
  const container = await containerOf(`${ALICE}-sample#docker`);
  assert.doesNotMatch(await inContainer(container, 'ls /workspace'), /warm/);
  await endPause(db);
  for (const [index, id] of waiting.entries()) {
    const answers = await until(async () => {
      const all = await stage.answersTo(id);
      return all.length > 1 && all;
    });
    ranWith(answers.at(-1)?.text ?? '', ['42 cold', '42 warm'][index] ?? '');
  }
});

test('an upstream that is dead at a first command is told clearly; later the mirror serves, with a note', async (t) => {
  const other = await startGitUpstream();
  t.after(() => other.close());
  await other.stop();
  await addRepository(stage.app.db, { name: 'other', url: other.url, branch: null, threadBy: null });
  const refused = await ask(ALICE, '[other] First', 'echo never');
  assert.match(refused, /^Could not run this command\n/);
  assert.match(refused, /cannot be fetched.*unable to connect/is);
  await other.start();
  ranWith(await ask(ALICE, '[other] Again', 'echo $((6*7)) now'), '42 now');
  await other.stop();
  const served = await ask(BOB, '[other] From the mirror', 'cat README.md');
  ranWith(served, '# Sample');
  assert.match(served, /could not be fetched/i);
  await removeRepository(stage.app.db, 'other');
});

test('the same mail delivered twice runs once and is answered once', async () => {
  const raw = [
    `From: ${ALICE}`,
    'To: bot@threadbox.test',
    'Subject: [sample#twice] Twice',
    'Message-ID: <twice@example.com>',
    '',
    'echo run | tee -a /workspace/runs',
    '',
  ].join('\r\n');
  await Promise.all([stage.deliver(raw), stage.deliver(raw)]);
  await stage.answerTo('<twice@example.com>');
  await stage.deliver(raw);
  ranWith(await ask(ALICE, '[sample#twice] After', 'echo $((6*7)) after'), '42 after');
  assert.equal((await stage.answersTo('<twice@example.com>')).length, 1);
  assert.equal(await runsIn(await containerOf(`${ALICE}-sample#twice`)), 'run\n');
});

test('a mail that is too large is answered with the limit, and not read', async () => {
  const text = `touch /workspace/ran-too-large\n${'#'.repeat(LIMIT_BYTES)}`;
  const withAttachment = [
    `From: ${ALICE}`,
    'To: bot@threadbox.test',
    'Subject: [sample] Attached',
    'Message-ID: <attached@example.com>',
    'MIME-Version: 1.0',
    'Content-Type: multipart/mixed; boundary=part',
    '',
    '--part',
    '',
    'touch /workspace/ran-too-large',
    '--part',
    'Content-Type: application/octet-stream',
    'Content-Disposition: attachment; filename=zeros',
    'Content-Transfer-Encoding: base64',
    '',
    ...Array.from({ length: LIMIT_BYTES / 50 }, () => 'A'.repeat(60)),
    '--part--',
    '',
  ].join('\r\n');
  await stage.deliver(withAttachment);
  for (const answer of [
    await ask(ALICE, '[sample] Large', text),
    (await stage.answerTo('<attached@example.com>')).text,
  ]) {
    assert.match(answer, /^This mail is too large: 2\d\d KB\n/);
    assert.match(answer, /^Nothing was run\. .* up to 195 KB, attachments included\.$/m);
  }
  const files = await ask(ALICE, '[sample] After', 'ls /workspace');
  ranWith(files, /^sample$/m);
  assert.doesNotMatch(files, /ran-too-large/);
});

test('strangers and automatic mails get no answer, and what cannot be read stops nothing', async () => {
  const silent = [
    await stage.send('mallory@elsewhere.test', '[sample] Run', 'id'),
    await stage.send(BOB, 'Re: [sample] Away', 'I am away', { 'Auto-Submitted': 'auto-replied' }),
    await stage.send(BOB, 'Re: [sample] Away', 'I am away', { 'X-Autoreply': 'yes', Precedence: 'bulk' }),
  ];
  const nested = Array.from(
    { length: 3000 },
    (_, n) => `Content-Type: multipart/mixed; boundary=b${n}\r\n\r\n--b${n}\r\n`,
  );
  const odd = [
    `From: ${BOB}\r\nSubject: [sample] Nested\r\n${nested.join('')}`,
    `From: ${BOB}\r\nSubject: =?utf-8?Q?[sample]_a=00b?=\r\nMessage-ID: <\0nul>\r\n\r\necho nul\0`,
    Buffer.from(Array.from({ length: 5000 }, (_, n) => (n * 7919) % 256)),
    `From: ${BOB}, ${ALICE}\r\nSubject: [sample] Two\r\n\r\nid\r\n`,
    '\r\n',
  ];
  for (const raw of odd) await stage.deliver(raw);
  ranWith(await ask(ALICE, '[sample] After', 'echo $((6*7)) after them all'), '42 after them all');

  const { db } = stage.app;
  assert.equal(await db('messages').where({ state: 'received' }).first(), undefined);
  for (const id of silent) {
    assert.equal((await db('messages').where({ message_id: id }).first()).outcome, 'dropped');
    assert.deepEqual(await stage.answersTo(id), []);
  }
});

test('a Redis that never answered was told of once, and cost nothing', () => {
  assert.equal(told(/^Redis does not answer/), 1);
});
