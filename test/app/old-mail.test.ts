import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mailsToFile } from '../../src/store/filing.ts';
import { composeUserMail } from '../../src/mail/user-mail.ts';
import { ALICE, BOB } from '../support/app.ts';
import type { BotProcess } from '../support/bot-process.ts';
import { BOT, startProcessStage, type ProcessStage } from '../support/process-stage.ts';
import { ranWith } from '../support/ran-with.ts';
import { until } from '../support/until.ts';

const DAY_MS = 86_400_000;
const COUNT = 'echo run >> /workspace/runs; wc -l < /workspace/runs';

let stage: ProcessStage;
let bot: BotProcess;
const STAYS = { FILE_MAIL: 'no' };
before(async () => {
  stage = await startProcessStage();
  bot = stage.spawn('bot', STAYS);
  await bot.ready();
  await until(async () => stage.db('mailboxes').first());
});
after(() => stage.close());

async function restart(
  env: Readonly<Record<string, string>> = {},
  meanwhile?: () => Promise<unknown>,
): Promise<void> {
  await bot.kill('SIGKILL');
  await meanwhile?.();
  bot = stage.spawn('bot', { ...STAYS, ...env });
  await bot.ready();
}

/** Puts a mail into the bot's mailbox as one that came days ago. @returns its Message-ID */
async function sendDaysAgo(days: number, from: string, subject: string, body: string): Promise<string> {
  const { raw, messageId } = await composeUserMail({ from, to: BOT, subject, body });
  await stage.dovecot.append(BOT, [raw], new Date(Date.now() - days * DAY_MS));
  return messageId;
}

/** All that lies in the mailbox is recorded and handled. */
async function handled(mails: number): Promise<void> {
  await until(async () => {
    const rows = await stage.db('messages').where({ direction: 'in', state: 'handled' });
    return rows.length === mails;
  });
}

test('mail that waited for days while the bot was away is not run, each sender is told once; fresh mail runs in order', async () => {
  let old: string[] = [];
  let fresh: string[] = [];
  await restart({}, async () => {
    old = [
      await sendDaysAgo(7, ALICE, '[sample] Deploy', COUNT),
      await sendDaysAgo(6, BOB, '[sample] Wipe', COUNT),
      await sendDaysAgo(3, ALICE, '[sample] Deploy again', COUNT),
    ];
    fresh = [
      await sendDaysAgo(0.9, ALICE, '[sample] First', COUNT),
      await sendDaysAgo(0.8, ALICE, '[sample] Second', COUNT),
    ];
  });
  for (const [index, id] of fresh.entries()) ranWith((await stage.answerTo(id)).text, String(index + 1));
  const alices = await stage.answerTo(old[2] as string);
  assert.match(alices.text, /^2 mails of yours were too old to be run\n/);
  assert.match(alices.text, /longer than 24 h is not run unasked/);
  assert.match(alices.text, /\* \[sample\] Deploy \(.* UTC\)\n {2}\* \[sample\] Deploy again \(.* UTC\)\n/);
  assert.match(
    (await stage.answerTo(old[1] as string)).text,
    /^Your mail was too old to be run\n[^]*To run it, send it again/,
  );
  assert.deepEqual(await stage.answersTo(old[0] as string), []);
  assert.equal(stage.smtp.taken().length, 4);

  // As it says: the same mail once more, now.
  const raw = (await stage.db('messages').where({ message_id: old[2], direction: 'in' }).first('raw'))
    .raw as Buffer;
  await stage.deliver(raw);
  ranWith((await until(async () => (await stage.answersTo(old[2] as string))[1])).text, '3');
});

test('the same mail twice runs once: under its Message-ID by two ways, or as the same bytes without one', async () => {
  const { raw, messageId } = await composeUserMail({
    from: ALICE,
    to: BOT,
    subject: '[sample] Twice',
    body: COUNT,
  });
  const ways = ['one', 'two'].map((way) =>
    Buffer.concat([Buffer.from(`Received: by ${way}.example.com\r\n`), raw]),
  );
  const nameless = `From: ${ALICE}\r\nSubject: [sample] Nameless\r\n\r\n${COUNT}\r\n`;
  const unknown = await composeUserMail({ from: ALICE, to: BOT, subject: '[nowhere] Twice', body: COUNT });
  const copies = ['one', 'two'].map((way) =>
    Buffer.concat([Buffer.from(`Received: by ${way}.example.com\r\n`), unknown.raw]),
  );
  const before = (await stage.db('messages').where({ direction: 'in' })).length;
  await stage.dovecot.append(BOT, [...ways, nameless, nameless, ...copies]);
  await handled(before + 6);
  ranWith((await stage.answerTo(messageId)).text, '4');
  await until(async () => (await stage.db('commands').whereNotIn('state', ['finished'])).length === 0);
  assert.equal((await stage.db('commands')).length, 5);
  await stage.answerTo(unknown.messageId);
  assert.equal((await stage.answersTo(unknown.messageId)).length, 1);
});

test('a mailbox that was rebuilt, or moved to another server, runs nothing again, and misses nothing', async () => {
  const known = (await stage.db('messages').where({ direction: 'in' })).length;
  let id = '';
  await restart({}, async () => {
    await stage.dovecot.rebuild(BOT);
    id = await stage.send(ALICE, '[sample] After the rebuild', COUNT);
  });
  ranWith((await stage.answerTo(id)).text, '6');
  await until(
    async () => (await stage.db('messages').where({ direction: 'in', state: 'received' })).length === 0,
  );
  const again = await stage
    .db('messages')
    .where({ direction: 'in', reason: 'the same mail was taken before' });
  assert.ok(again.length > 2 && known > 0);
  // What ran is not put where refused mail goes, only because it came again.
  const [{ mailbox }] = again;
  const folders = new Map(
    (await mailsToFile(stage.db, mailbox as string, 0, 500)).map(({ id, folder }) => [id, folder]),
  );
  const ran = await stage
    .db('messages')
    .where({ direction: 'in' })
    .whereIn('outcome', ['command', 'answered']);
  const expected = again.map(({ id, raw }) => {
    const isSame = ran.some((first) => first.id < id && (first.raw as Buffer).equals(raw as Buffer));
    return [id, isSame ? 'processed' : 'refused'];
  });
  assert.deepEqual(
    again.map(({ id }) => [id, folders.get(id as number)]),
    expected,
  );
  assert.deepEqual(new Set(expected.map(([, folder]) => folder)), new Set(['processed', 'refused']));

  const { IMAP_URL = '' } = stage.settings('bot');
  await restart({ IMAP_URL: IMAP_URL.replace('127.0.0.1', 'localhost') }, async () => {
    // Longer ago than a first look goes back otherwise.
    await stage.db('mailboxes').update({ updated_at: new Date(Date.now() - 5 * 3_600_000) });
    id = await sendDaysAgo(0.2, ALICE, '[sample] While it moved', COUNT);
  });
  ranWith((await stage.answerTo(id)).text, '7');
  assert.equal((await stage.db('commands')).length, 7);
  assert.equal((await stage.db('mailboxes')).length, 2);
});
