import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { parseMessage } from '../../src/mail/parse.ts';
import { ALICE, BOB } from '../support/app.ts';
import { BOT, startProcessStage, type ProcessStage } from '../support/process-stage.ts';
import { until } from '../support/until.ts';

const CAROL = 'carol@example.com';
const DAVE = 'dave@example.com';
const PER_SENDER = 5;

let stage: ProcessStage;
before(async () => {
  stage = await startProcessStage();
  await stage.spawn('bot', { MAX_COMMANDS_PER_HOUR_PER_SENDER: String(PER_SENDER) }).ready();
});
after(() => stage.close());

type Incoming = { messageId: string; subject: string; text: string };

/** Answers every mail of the bot's to that address, as a program does, until the bot is silent. @returns what it got */
async function loopWith(
  address: string,
  body: string,
  answer: (mail: Incoming) => string,
): Promise<{ got: Incoming[]; reason: string }> {
  await stage.send(address, '[sample] Begin', body);
  const got: Incoming[] = [];
  for (;;) {
    const next = await until(async () => {
      const mails = stage.smtp.taken().filter(({ to }) => to[0] === address);
      if (mails.length > got.length) return mails[got.length];
      const silent = await stage
        .db('messages')
        .where({ direction: 'in', address, outcome: 'dropped' })
        .orderBy('id', 'desc')
        .first();
      const waiting = await stage.db('outbox').where({ state: 'waiting' }).first();
      const open = await stage.db('commands').whereIn('state', ['queued', 'running']).first();
      const handled = await stage.db('messages').where({ direction: 'in', state: 'handled' });
      const isOver = handled.length >= delivered && !waiting && !open && silent;
      // The last one may have been sent since it was looked for.
      const { length } = stage.smtp.taken().filter(({ to }) => to[0] === address);
      return isOver && length === got.length ? { over: silent.reason as string } : null;
    });
    if ('over' in next) return { got, reason: next.over };
    const { messageId, subject, text } = await parseMessage(Buffer.from(next.source));
    got.push({ messageId: messageId as string, subject, text });
    await stage.deliver(answer({ messageId: messageId as string, subject, text }));
    delivered += 1;
  }
}
let delivered = 0;

/** @param headers with their line ends */
const reply = (from: string, { messageId, subject }: Incoming, text: string, headers = ''): string =>
  [`From: ${from}`, `To: ${BOT}`, `Subject: ${subject}`, `In-Reply-To: ${messageId}`, headers, text, ''].join(
    '\r\n',
  );

test('a vacation responder that says what it is gets one answer, and its own none', async () => {
  delivered += 1;
  const { got, reason } = await loopWith(ALICE, 'echo hello', (mail) =>
    reply(ALICE, mail, "I'm away.", 'Auto-Submitted: auto-replied\r\n'),
  );
  assert.equal(got.length, 1);
  assert.equal(reason, 'an automatic mail (Auto-Submitted: auto-replied)');
});

test('a responder that hides what it is gets one answer to its words, is told once that the same again is not run, and no more', async () => {
  for (const [address, words] of [
    [BOB, 'I am away until Monday.'],
    [CAROL, "I'm away until Monday (and it's warm here)."],
  ] as const) {
    delivered += 1;
    const { got, reason } = await loopWith(address, 'echo hello', (mail) => reply(address, mail, words));
    assert.equal(got.length, 3, got.map(({ text }) => text).join('\n---\n'));
    assert.match(got.at(-1)?.text ?? '', /^Not run again: it looked like an automatic answer\n/);
    assert.match(reason, /^the same text again, right after it had failed/);
  }
});

test('another Threadbox is never answered; one whose headers were stripped on the way ends at the cap, told once', async () => {
  const source = stage.smtp.taken()[0]?.source ?? '';
  await stage.deliver(source.replace(/^From: .*$/m, 'From: eve@example.com'));
  await stage.deliver(`From: ${BOT}\r\nSubject: [sample] To myself\r\n\r\nid\r\n`);
  delivered += 3;
  const { got, reason } = await loopWith(DAVE, 'echo hello', (mail) => reply(DAVE, mail, mail.text));
  assert.equal(reason, `more than ${PER_SENDER} mails of one sender in one hour`);
  assert.equal(got.length, PER_SENDER + 1);
  assert.match(
    got.at(-1)?.text ?? '',
    /^You have sent too many commands in the last hour\n[^]*5 mails an hour from one/,
  );
  const reasons = await stage.db('messages').where({ outcome: 'dropped' }).pluck('reason');
  assert.ok(reasons.includes('a mail of Threadbox itself'));
  assert.ok(reasons.includes("from the bot's own address"));
  assert.equal(reasons.filter((why) => why === reason).length, 2);
});

test('a gateway that encrypts all of its mail ends at the cap as well, though none of it can be read', async () => {
  delivered += 1;
  const address = 'frank@example.com';
  const encrypted = '-----BEGIN PGP MESSAGE-----\r\n\r\nhQEMA5NnYdcJgdKaAQf9\r\n-----END PGP MESSAGE-----';
  const { got, reason } = await loopWith(address, 'echo hello', (mail) => reply(address, mail, encrypted));
  assert.equal(reason, `more than ${PER_SENDER} mails of one sender in one hour`);
  assert.equal(got.length, PER_SENDER + 1);
  assert.match(got[1]?.text ?? '', /^This mail is encrypted/);
});
