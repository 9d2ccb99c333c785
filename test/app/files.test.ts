import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { simpleParser, type ParsedMail } from 'mailparser';
import MailComposer from 'nodemailer/lib/mail-composer';
import { newMessageId } from '../../src/mail/compose.ts';
import { awaitAnswer } from '../../src/mail/inbox/await-answer.ts';
import { connectSmtp } from '../../src/mail/transport.ts';
import { denyRepository } from '../../src/store/permissions.ts';
import { registerUser } from '../../src/store/users.ts';
import { ALICE, BOB, startTestApp, type TestApp } from '../support/app.ts';
import { inContainer } from '../support/engine.ts';
import { readMails } from '../support/mailbox.ts';
import { ranWith } from '../support/ran-with.ts';
import { LONGEST_WAIT_MS, until } from '../support/until.ts';

const DENIED = 'carol@example.com';

let bot: TestApp;
before(async () => {
  bot = await startTestApp({
    env: { REPLY_ALL: 'yes', INBOX_FILE_MAX_BYTES: '200000', OUTBOX_FILE_MAX_BYTES: '200000' },
  });
});
after(() => bot.close());

type Mail = ConstructorParameters<typeof MailComposer>[0];

/** Sends a mail of Alice's, however it is made. @returns its Message-ID */
async function send(mail: Mail, raw?: Buffer): Promise<string> {
  const messageId = newMessageId(ALICE);
  const { smtp } = bot.userAt(ALICE);
  const transport = connectSmtp(smtp.server, smtp.password);
  const made = { from: ALICE, to: bot.botAddress, subject: '[sample] Files', messageId, ...mail };
  const bytes = raw
    ? Buffer.concat([
        Buffer.from(`From: ${ALICE}\r\nTo: ${bot.botAddress}\r\nMessage-ID: ${messageId}\r\n`),
        raw,
      ])
    : await new MailComposer(made).compile().build();
  try {
    await transport.send({ raw: bytes, from: ALICE, to: [bot.botAddress] });
  } finally {
    await transport.close();
  }
  return messageId;
}

async function answer(inReplyTo: string, to = ALICE): Promise<ParsedMail & { text: string }> {
  const { imap } = bot.userAt(to);
  const parsed = await simpleParser(await awaitAnswer({ ...imap, inReplyTo, timeoutMs: LONGEST_WAIT_MS }));
  return { ...parsed, text: parsed.text ?? '' };
}

const ask = async (mail: Mail, raw?: Buffer) => answer(await send(mail, raw));

const PATCH = `From 0000000000000000000000000000000000000001 Mon Sep 17 00:00:00 2001
From: Ada Lovelace <ada@example.com>
Date: Sun, 22 Nov 2026 10:00:00 +0000
Subject: [PATCH] Add a note

---
 note.txt | 1 +
 1 file changed, 1 insertion(+)
 create mode 100644 note.txt

diff --git a/note.txt b/note.txt
new file mode 100644
index 0000000..f2e41ee
--- /dev/null
+++ b/note.txt
@@ -0,0 +1 @@
+a note
-- 
2.39.5
`;

test('attached files are there for the command, what it leaves comes back, and what is too large is named', async () => {
  const reply = await ask({
    text: 'cd "$THREADBOX_INBOX" && ls && cat hello.txt\ntr a-z A-Z < hello.txt > "$THREADBOX_OUTBOX/loud.txt"\nhead -c 300000 /dev/zero > "$THREADBOX_OUTBOX/big.bin"\ncd /workspace/sample',
    attachments: [
      { filename: '../hello.txt', content: 'hello\n' },
      { filename: 'large.bin', content: Buffer.alloc(250_000) },
      {
        filename: 'old mail.eml',
        contentType: 'message/rfc822',
        content: 'From: x@y.z\nSubject: s\n\nrm -rf /\n',
      },
    ],
  });
  ranWith(reply.text, 'hello.txt\nold mail.eml\nhello');
  assert.match(
    reply.text,
    /^2 files of your mail are in \/workspace\/\.inbox\/\d+: hello\.txt, old mail\.eml\.$/m,
  );
  assert.match(reply.text, /^Left out of the files attached to your mail: large\.bin \(244 KB\)\./m);
  assert.match(reply.text, /^Attached: loud\.txt \(6 bytes\)\.$/m);
  assert.match(
    reply.text,
    /^Too much to be mailed: big\.bin \(293 KB\)\. It is still in \/workspace\/\.outbox\/\d+\.$/m,
  );
  assert.deepEqual(
    reply.attachments.map(({ filename, content }) => [filename, content.toString()]),
    [['loud.txt', 'HELLO\n']],
  );
  assert.match(reply.text, /^No files changed$/m);

  const next = await ask({
    text: 'echo "[$THREADBOX_INBOX]"; ls -A "$THREADBOX_OUTBOX"; ls /workspace/.outbox/*',
  });
  ranWith(next.text, /^\[\]\n(?:.*:\n)?[^]*big\.bin/m);
  assert.deepEqual(next.attachments, []);
});

test('a patch is applied as a command is run, once; without one, or where it does not fit, that is told', async () => {
  const applied = await ask({
    subject: '[sample#patch] Note',
    text: 'apply',
    attachments: [{ filename: '0001-Add-a-note.patch', content: PATCH }],
  });
  assert.match(applied.text, /^Exit code 0 /);
  assert.match(applied.text, /^\$ apply$/m);
  ranWith(applied.text, /Ada Lovelace: Add a note/);
  assert.match(applied.text, /^1 file changed, \+1 -0$/m);
  const diff = PATCH.slice(PATCH.indexOf('diff --git'), PATCH.indexOf('-- \n')).replace('+a note', '+other');
  const again = await ask({
    subject: '[sample#patch] Note',
    text: 'Apply.',
    attachments: [{ filename: 'a.diff', content: diff }],
  });
  assert.match(again.text, /^Exit code [1-9]/);
  assert.match(again.text, /Nothing was changed\./);
  assert.match(
    (await ask({ subject: '[sample#patch] Note', text: 'apply' })).text,
    /^There is no patch in this mail\n/,
  );
});

test('files left by a command that runs on while the bot restarts come with its answer', async () => {
  const messageId = await send({
    subject: '[sample#restart] Slow',
    text: 'until [ -e /workspace/go ]; do sleep 0.1; done; cat "$THREADBOX_INBOX/in.txt" > "$THREADBOX_OUTBOX/out.txt"',
    attachments: [{ filename: 'in.txt', content: 'through\n' }],
  });
  await until(async () => bot.app.db('commands').first().where({ state: 'running' }));
  await bot.restart();
  const [session] = await bot.app
    .db('container_sessions')
    .where({ is_active: true, thread_id: `${ALICE}-sample#restart` });
  await inContainer((session as { container_id: string }).container_id, 'touch /workspace/go');
  const reply = await answer(messageId);
  assert.match(reply.text, /^1 file of your mail is in /m);
  assert.deepEqual(
    reply.attachments.map(({ filename, content }) => [filename, content.toString()]),
    [['out.txt', 'through\n']],
  );
});

test('half a command is not run, and mail that cannot be read is answered', async () => {
  const between = await ask({
    subject: '[sample#doubt] Inline',
    text: 'On Sun, 22 Nov 2026 at 10:00, Bot <bot@example.com> wrote:\n> first\ntouch /workspace/a\n> second\ntouch /workspace/b\n',
  });
  assert.match(between.text, /^Which part of this mail is the command\?\n/);
  assert.match(between.text, /touch \/workspace\/a\n\s*touch \/workspace\/b/);
  const fenced = await ask({ subject: '[sample#doubt] Inline', text: '```\nls /workspace\n```\n' });
  ranWith(fenced.text, /^sample$/m);
  assert.doesNotMatch(fenced.text, /^[ab]$/m);

  const encrypted = await ask(
    {},
    Buffer.from(
      'Subject: [sample] x\r\nContent-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary=b\r\n\r\n--b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n--b--\r\n',
    ),
  );
  assert.match(encrypted.text, /^This mail is encrypted\n/);
  const parts = '--b\r\nContent-Type: text/plain\r\n\r\nls\r\n'.repeat(2000);
  const many = await ask(
    {},
    Buffer.from(`Subject: [sample] x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n${parts}--b--\r\n`),
  );
  assert.match(many.text, /^This mail has too many parts\n/);
});

test('those on Cc who may use the repository get what a command came to, and no other mail', async () => {
  const { db } = bot.app;
  await registerUser(db, DENIED, '');
  assert.equal(await denyRepository(db, DENIED, 'sample'), 'changed');
  const messageId = await send({
    subject: '[sample] Copies',
    text: 'echo $((6*7)) for all',
    cc: [BOB, DENIED, 'stranger@elsewhere.test'],
  });
  const own = await answer(messageId);
  const copy = await answer(messageId, BOB);
  assert.equal(copy.messageId, own.messageId);
  ranWith(copy.text, '42 for all');
  assert.equal(own.replyTo, undefined);
  const status = await ask({ subject: '[sample] Copies', text: 'status', cc: [BOB] });
  assert.equal(status.cc, undefined);
  assert.match(status.replyTo?.text ?? '', /\+t-/);
  for (const address of [DENIED, 'stranger@elsewhere.test'])
    assert.deepEqual(await readMails(bot.userAt(address)), []);
  assert.equal((await readMails(bot.userAt(BOB))).length, 1);
});
