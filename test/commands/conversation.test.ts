import assert from 'node:assert/strict';
import { test } from 'node:test';
import { factsOf } from '../../src/commands/judge.ts';
import { composeMail, replySubject } from '../../src/mail/compose.ts';
import { parseMessage } from '../../src/mail/parse.ts';

// Where mail programs put an answer: by its References, the first and the last of them, and by an unchanged subject.

async function answerTo(header: string): Promise<{ references: string; inReplyTo: string; subject: string }> {
  const mail = `From: john@example.com\nSubject: Re: [app] Grüße\n${header}\n\nls\n`;
  const answers = [mail, mail.replaceAll('\n', '\r\n')].map(async (raw) => {
    const { messageId, references, subject } = factsOf(await parseMessage(Buffer.from(raw)));
    const answer = await parseMessage(
      await composeMail({
        from: { name: 'Threadbox', address: 'bot@example.com' },
        to: { name: '', address: 'john@example.com' },
        subject: replySubject(subject),
        inReplyTo: messageId,
        references,
        messageId: '<answer@example.com>',
        date: new Date('2026-11-22T10:00:00Z'),
        text: 'Exit code 0\n',
        html: '<p>Exit code 0</p>\n',
      }),
    );
    return {
      references: answer.references.join(' '),
      inReplyTo: answer.inReplyTo ?? '',
      subject: answer.subject,
    };
  });
  const [one, other] = await Promise.all(answers);
  assert.deepEqual(one, other);
  assert.ok(one);
  return one;
}

const many = Array.from({ length: 60 }, (_, at) => `<m${at}@example.com>`);
const TABLE: readonly [what: string, header: string, references: string, inReplyTo: string][] = [
  ['a first mail', 'Message-ID: <a@x>', '<a@x>', '<a@x>'],
  [
    'an answer',
    'Message-ID: <c@x>\nIn-Reply-To: <b@x>\nReferences: <a@x> <b@x>',
    '<a@x> <b@x> <c@x>',
    '<c@x>',
  ],
  // RFC 5322, 3.6.4. Some phones, and programs that write mail, leave References out.
  ['an answer without References', 'Message-ID: <c@x>\nIn-Reply-To: <b@x>', '<b@x> <c@x>', '<c@x>'],
  [
    'an answer deep in a conversation',
    `Message-ID: <c@x>\nIn-Reply-To: <m59@example.com>\nReferences: ${many.join('\n ')}`,
    ['<m0@example.com>', ...many.slice(-19), '<c@x>'].join(' '),
    '<c@x>',
  ],
  ['a mail without a Message-ID', 'In-Reply-To: <b@x>', '<b@x>', ''],
];
for (const [what, header, references, inReplyTo] of TABLE) {
  test(`${what} is answered in its conversation, under its own subject`, async () => {
    assert.deepEqual(await answerTo(header), { references, inReplyTo, subject: 'Re: [app] Grüße' });
  });
}
