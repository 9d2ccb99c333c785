import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { checkToken } from '../../src/commands/check-token.ts';
import { newMessageId } from '../../src/mail/compose.ts';
import type { ParsedMessage } from '../../src/mail/parse.ts';
import { messageFate } from '../../src/store/message-fate.ts';
import { dnsError, keyRecord, signed, zone } from '../mail/sender-auth/signing.ts';
import { denyRepository } from '../../src/store/permissions.ts';
import { registerUser, setUser } from '../../src/store/users.ts';
import { ALICE, BOB } from '../support/app.ts';
import { startFaultStage, type FaultStage } from '../support/fault-stage.ts';
import { ranWith } from '../support/ran-with.ts';
import { until } from '../support/until.ts';

// A bot that believes its mail server, or a signature.

const RESULTS = 'Authentication-Results: mx.threadbox.test; dmarc=pass header.from=example.com\r\n';
const KEYS = { 'tb._domainkey.example.com': keyRecord() };

let stage: FaultStage;
let dns = zone(KEYS);
before(async () => {
  stage = await startFaultStage({
    env: {
      SENDER_AUTH: 'either',
      TRUSTED_AUTHSERV_IDS: 'mx.threadbox.test',
      REQUIRE_TOKEN: 'admin',
    },
    overrides: { resolve: (name, type) => dns(name, type) },
  });
});
after(() => stage.close());

type Written = { messageId: string; raw: string };

function written(
  body: string,
  {
    from = ALICE,
    to = 'bot@threadbox.test',
    subject = '[sample] Who sent it',
    date = new Date(),
    messageId = newMessageId(ALICE),
  } = {},
): Written {
  const raw = [
    `From: <${from}>`,
    `To: ${to}`,
    `Subject: ${subject}`,
    `Date: ${date.toUTCString().replace('GMT', '+0000')}`,
    `Message-ID: ${messageId}`,
    '',
    body,
    '',
  ].join('\r\n');
  return { raw, messageId };
}

const fateOf = (messageId: string) => until(() => messageFate(stage.app.db, messageId));

/** Waits until it is dropped. @returns why, after seeing that nobody was told */
async function dropped({ messageId }: Written): Promise<string> {
  const fate = await fateOf(messageId);
  assert.equal(fate.outcome, 'dropped');
  assert.deepEqual(await stage.answersTo(messageId), []);
  return fate.reason ?? '';
}

test('only what is verified runs; a forged mail is dropped with its reason, and nobody is written to', async () => {
  const forged = written('touch /workspace/forged');
  await stage.deliver(forged.raw);
  assert.match(
    await dropped(forged),
    /^sender not verified: .*no Authentication-Results; and it has no DKIM/,
  );

  // Whoever forges a mail cannot keep the true one out by taking its Message-ID first.
  const real = written('ls /workspace', { messageId: forged.messageId });
  await stage.deliver(RESULTS + real.raw);
  const answer = await stage.answerTo(real.messageId);
  ranWith(answer.text, 'sample');
  assert.doesNotMatch(answer.text, /forged/);

  const failed = written('touch /workspace/forged');
  await stage.deliver(RESULTS.replace('pass', 'fail') + failed.raw);
  assert.match(await dropped(failed), /^sender not verified: dmarc=fail/);
});

test('a signed mail waits while the DNS is away, holds up nobody, and runs once however often it is sent on', async () => {
  dns = zone({ 'tb._domainkey.example.com': dnsError('ETIMEOUT') });
  const mail = written('echo $((6*7)) signed');
  const raw = await signed(mail.raw, { domain: 'example.com', fields: 'From:Date:Subject' });
  await stage.deliver(raw);
  await until(() => stage.lines.some(({ msg }) => msg.startsWith('the DNS does not answer')));
  const other = written('echo $((6*7)) meanwhile');
  await stage.deliver(RESULTS + other.raw);
  ranWith((await stage.answerTo(other.messageId)).text, '42 meanwhile');
  assert.equal(await messageFate(stage.app.db, mail.messageId), null);

  dns = zone(KEYS);
  ranWith((await stage.answerTo(mail.messageId)).text, '42 signed');
  assert.equal(stage.lines.filter(({ msg }) => msg.startsWith('the DNS')).length, 2);

  const copyId = newMessageId(ALICE);
  await stage.deliver(`X-Again: 1\r\n${raw.replace(mail.messageId, copyId)}`);
  assert.equal(await dropped({ raw, messageId: copyId }), 'the same mail was taken before');
});

test('an old mail sent again, and one that was written to somebody else, do not run', async () => {
  const old = written('echo old', { date: new Date(Date.now() - 2 * 86_400_000) });
  await stage.deliver(await signed(old.raw, { domain: 'example.com' }));
  assert.match(await dropped(old), /^an old mail sent again: its Date is /);
  const foreign = written('echo foreign', { to: 'friend@elsewhere.test' });
  await stage.deliver(await signed(foreign.raw, { domain: 'example.com' }));
  assert.match(await dropped(foreign), /^not written to bot@threadbox\.test/);
  const added = written('echo added', { to: 'friend@elsewhere.test' });
  await stage.deliver(`Cc: bot@threadbox.test\r\n${await signed(added.raw, { domain: 'example.com' })}`);
  assert.match(
    await dropped(added),
    /^not written to bot@threadbox\.test: To has it not, and Cc is not signed/,
  );
  const reused = written('echo another body', { messageId: newMessageId(ALICE) });
  await stage.deliver(RESULTS + reused.raw);
  ranWith((await stage.answerTo(reused.messageId)).text, 'another body');
  await stage.deliver(RESULTS + reused.raw.replace('another body', 'a third body'));
  await until(async () => (await fateOf(reused.messageId)).outcome === 'dropped');
  assert.equal((await stage.answersTo(reused.messageId)).length, 1);
});

test('a repository that a user may not use is as one that is not there, also in a conversation about it', async () => {
  const { db } = stage.app;
  const first = written('echo $((6*7)) allowed');
  await stage.deliver(RESULTS + first.raw);
  const answer = await stage.answerTo(first.messageId);
  ranWith(answer.text, '42 allowed');
  await registerUser(db, ALICE, '');
  assert.equal(await denyRepository(db, ALICE, 'sample'), 'changed');
  const next = written('echo $((6*7)) denied');
  const reply = next.raw.replace('[sample] Who', 'Re: Who');
  await stage.deliver(`${RESULTS}In-Reply-To: ${answer.messageId}\r\n${reply}`);
  const fresh = written('echo $((6*7)) denied');
  await stage.deliver(RESULTS + fresh.raw);
  for (const { messageId } of [next, fresh]) {
    const { text } = await stage.answerTo(messageId);
    assert.doesNotMatch(text, /42 denied/);
    assert.match(text, /no repository/i);
  }
  await setUser(db, ALICE, { repositories: 'all' });
  const again = written('echo $((6*7)) again');
  await stage.deliver(RESULTS + again.raw);
  ranWith((await stage.answerTo(again.messageId)).text, '42 again');
});

const replyToOf = ({ headers }: ParsedMessage): string => headers.get('reply-to')?.[0] ?? '';

test('an answer comes back by its token alone; for somebody else the token is nothing', async () => {
  const first = written('echo kept > /workspace/kept; echo $((6*7)) first', {
    subject: '[sample#token] Work',
  });
  await stage.deliver(RESULTS + first.raw);
  const answer = await stage.answerTo(first.messageId);
  const to = replyToOf(answer);
  assert.match(to, /^Threadbox <bot\+t-[a-z2-7]{24}@threadbox\.test>$/);
  // A client that keeps neither References nor the subject.
  const reply = written('cat /workspace/kept', { to, subject: 'Something else' });
  await stage.deliver(RESULTS + reply.raw);
  ranWith((await stage.answerTo(reply.messageId)).text, 'kept');

  const stolen = written('cat /workspace/kept; echo $((6*7))', { from: BOB, to, subject: 'Something else' });
  await stage.deliver(RESULTS + stolen.raw);
  const { text } = await stage.answerTo(stolen.messageId);
  assert.match(text, /No such file/);
  assert.match(text, new RegExp(`Thread: +${BOB}-sample$`, 'm'));
  const forged = written('cat /workspace/kept', { to });
  await stage.deliver(forged.raw);
  assert.match(await dropped(forged), /^sender not verified/);
});

test('an admin is asked to answer a mail of ours; the answer to that question is enough', async () => {
  await setUser(stage.app.db, ALICE, { role: 'admin' });
  const bare = written('echo $((6*7)) bare');
  await stage.deliver(RESULTS + bare.raw);
  const question = await stage.answerTo(bare.messageId);
  assert.match(question.text, /^Please confirm that it was you\n/);
  assert.match(question.text, /Nothing was run\. Here, a command has to come as an answer/);
  const confirmed = written('echo $((6*7)) confirmed', {
    to: replyToOf(question),
    subject: question.subject,
  });
  await stage.deliver(RESULTS + confirmed.raw);
  ranWith((await stage.answerTo(confirmed.messageId)).text, '42 confirmed');
  const broken = written('echo $((6*7)) broken', { to: `bot+t-${'a'.repeat(24)}@threadbox.test` });
  await stage.deliver(RESULTS + broken.raw);
  assert.match((await stage.answerTo(broken.messageId)).text, /made for somebody else/);

  const [own = ''] = /[^<]+@[^>]+/.exec(replyToOf(question)) ?? [];
  const asks = async (requireToken: 'never' | 'admin' | 'always', sender: string, to: string) => {
    const config = { botAddress: 'bot@threadbox.test', replyToken: true, requireToken, adminAddresses: [] };
    const parts = { db: stage.app.db, config, now: () => new Date() };
    return (await checkToken(parts, sender, [to])).missing;
  };
  const bot = 'bot@threadbox.test';
  assert.deepEqual(
    [await asks('never', ALICE, bot), await asks('admin', BOB, bot), await asks('always', BOB, bot)],
    [null, null, 'none'],
  );
  assert.deepEqual([await asks('always', ALICE, own), await asks('always', BOB, own)], [null, 'foreign']);
});

test('an admin asks the database by mail: confirmed once, then at once; who forges or is none learns nothing', async () => {
  const asked = written("SELECT 40 + 2 AS answer, 'a=b' AS text", { subject: '[sql] Look' });
  await stage.deliver(asked.raw);
  assert.match(await dropped(asked), /^sender not verified/);
  const again = { ...asked, messageId: newMessageId(ALICE) };
  await stage.deliver(RESULTS + asked.raw.replace(asked.messageId, again.messageId));
  const question = await stage.answerTo(again.messageId);
  assert.match(question.text, /^Reply to this mail to confirm that you asked\n/);
  const to = replyToOf(question);

  const forged = written('yes', { to, subject: question.subject });
  await stage.deliver(forged.raw);
  assert.match(await dropped(forged), /^sender not verified/);
  const stolen = written('yes', { from: BOB, to, subject: question.subject });
  await stage.deliver(RESULTS + stolen.raw);
  assert.match((await stage.answerTo(stolen.messageId)).text, /no repository called sql/i);

  const yes = written('yes', { to, subject: question.subject });
  await stage.deliver(RESULTS + yes.raw);
  const answer = await stage.answerTo(yes.messageId);
  assert.match(answer.text, /\nanswer {2}text\n-+ {2}-+\n {4}42 {2}a=b\n/);
  assert.deepEqual(
    answer.attachments.map(({ fileName }) => fileName),
    ['result.csv'],
  );
  const next = written('SELECT count(*) FROM commands; active', {
    to: replyToOf(answer),
    subject: answer.subject,
  });
  await stage.deliver(RESULTS + next.raw);
  assert.match((await stage.answerTo(next.messageId)).text, /^2 queries\n/);
  const queries = await stage.app.db('sql_queries').select('state', 'outcome').where({ asked_by: ALICE });
  assert.ok(
    queries.every(({ state, outcome }) => state === 'ended' && outcome === 'rows'),
    JSON.stringify(queries),
  );
});
