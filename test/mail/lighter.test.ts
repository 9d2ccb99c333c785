import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderAnswer } from '../../src/mail/answer.ts';
import { composeMail } from '../../src/mail/compose.ts';
import { lighterMail } from '../../src/mail/lighter.ts';
import { readMime } from '../../src/mail/mime.ts';
import { renderLifecycleNotice } from '../../src/mail/lifecycle-notices.ts';
import { outboxFiles } from '../../src/mail/outbox-files.ts';
import { parseMessage } from '../../src/mail/parse.ts';
import { renderSqlNotice } from '../../src/mail/sql-notices.ts';
import { samples } from './lifecycle-samples.ts';

const written = Buffer.from(Array.from({ length: 5000 }, (_, at) => `line ${at} überall\n`).join(''));

async function answer(
  output: Buffer,
  files: { fileName: string; contentType: string; content: Buffer }[] = [],
  notes: string[] = [],
): Promise<Buffer> {
  const content = renderAnswer({
    command: 'seq 5000',
    result: 'exited',
    exitCode: 0,
    durationMs: 1200,
    branch: 'main',
    changes: { files: [], isComplete: true },
    output: { head: output, tail: Buffer.alloc(0), totalBytes: output.length, omittedBytes: 0, log: null },
    threadId: 'john@example.com-app',
    repositoryName: 'app',
    containerName: 'ai-dev-app',
    backgroundProcesses: 0,
    backgroundNames: [],
    droppedProcesses: 0,
    droppedNames: [],
    shortages: null,
    timeAllowed: { timeoutMs: 1_800_000, mostMs: 14_400_000, keepsBackground: true },
    notes,
    files,
  });
  return composed(content);
}

function composed(
  content: Pick<Parameters<typeof composeMail>[0], 'text' | 'html' | 'attachments'>,
): Promise<Buffer> {
  return composeMail({
    ...content,
    from: { name: 'Threadbox', address: 'bot@example.com' },
    to: { name: 'Jörg "J" Doe', address: 'john@example.com' },
    replyTo: { name: 'Threadbox', address: `bot+t-${'a'.repeat(24)}@example.com` },
    copyTo: ['ann@example.com', 'bob@example.com'],
    subject: 'Re: [app] Prüfen',
    inReplyTo: '<question@example.com>',
    references: ['<root@example.com>'],
    messageId: '<first@example.com>',
    date: new Date('2026-11-23T14:27:00Z'),
    headers: { 'X-Threadbox': 'answer' },
  });
}

test('without its attachment a mail is the same in its conversation, and says what is missing', async () => {
  const raw = await answer(written);
  const lighter = await lighterMail(raw, '<second@example.com>');
  assert.ok(lighter && lighter.length < raw.length);
  const [before, after] = [await parseMessage(raw), await parseMessage(lighter)];
  assert.equal(before.attachments.length, 1);
  assert.deepEqual(after.attachments, []);
  assert.equal(after.messageId, '<second@example.com>');
  for (const field of ['inReplyTo', 'references', 'sender', 'recipients', 'subject', 'date'] as const)
    assert.deepEqual(after[field], before[field], field);
  for (const name of ['x-threadbox', 'auto-submitted', 'to', 'from', 'reply-to', 'cc'])
    assert.deepEqual(after.headers.get(name), before.headers.get(name), name);
  const note =
    /^output\.log\.gz \([\d.]+ KB\) is not attached: with it, a mail server refused this mail for its size\./m;
  assert.match(after.text, note);
  assert.equal(after.text.split('\n')[0], 'Exit code 0 after 1.2 s');
  const gap = '; all of the output is attached as output.log.gz';
  assert.equal(after.text.replace(/output\.log\.gz \([^\n]*\n\n/, ''), before.text.replace(gap, ''));
  assert.match((await readMime(lighter)).html, /<tr><td [^>]*>output\.log\.gz [^<]* is not attached/);
});

test('what is said of the missing fits what it was: files of a command still lie in its container', async () => {
  const file = (fileName: string) => ({ fileName, contentType: 'application/pdf', content: written });
  const note = async (raw: Buffer): Promise<string> =>
    (await parseMessage((await lighterMail(raw, '<second@example.com>')) as Buffer)).text.split('\n')[2] ??
    '';
  const one = await note(await answer(Buffer.from('short\n'), [file('report.pdf')]));
  assert.match(one, /^report\.pdf \([\d.]+ KB\) is not attached: with it, /);
  assert.match(
    one,
    /still lies in its container, below \/workspace\/\.outbox: your next command can pack it/,
  );
  assert.doesNotMatch(one, /tail -n/);
  const both = await note(await answer(written, [file('a.pdf')]));
  assert.match(both, /^output\.log\.gz \([^)]*\), a\.pdf \([^)]*\) are not attached: with them, /);
  assert.match(both, /tail -n 200[^]*\/workspace\/\.outbox/);
  assert.doesNotMatch(await note(await answer(written)), /outbox/);
});

test('nothing in it says any more that something is attached, but for what a command printed', async () => {
  const file = { fileName: 'report.pdf', contentType: 'application/pdf', content: Buffer.alloc(1000, 'x') };
  const { notes } = outboxFiles({
    files: [{ name: file.fileName, content: file.content }],
    left: [],
    oddCount: 0,
    isWhole: true,
    path: '/workspace/.outbox/1',
  });
  const output = Buffer.concat([Buffer.from('Attached: my soul.\n'), written]);
  const binary = Buffer.from(Array.from({ length: 9000 }, (_, at) => (at * 37) % 256));
  const parts = [await answer(output, [file], notes), await answer(binary, [file], notes)];
  for (const [at, raw] of parts.entries()) {
    const before = await readMime(raw);
    assert.match(before.text, /\nAttached: report\.pdf \(1000 bytes\)\.\n/);
    assert.match(before.text, at === 0 ? /all of the output is attached as/ : /all of it attached as/);
    const after = await readMime((await lighterMail(raw, '<second@example.com>')) as Buffer);
    for (const content of [after.text, after.html]) {
      assert.match(content, /Not attached: report\.pdf \(1000 bytes\)\./);
      assert.doesNotMatch(content, /is attached as|it attached as|\bAttached: report/);
      assert.equal(content.includes('Attached: my soul.'), at === 0);
    }
    assert.match(after.text, at === 0 ? /KB left out here \.\.\.\]/ : /KB of binary data[;:]/);
  }
});

test('nor in the answer to diff', async () => {
  for (const isCut of [false, true]) {
    const { attachments = [], ...content } = renderLifecycleNotice({ ...samples.diff, isCut });
    const raw = await composed({ ...content, attachments });
    const after = await readMime((await lighterMail(raw, '<second@example.com>')) as Buffer);
    for (const words of [after.text, after.html]) {
      assert.match(words, /The patch is too large for a mail\./);
      assert.doesNotMatch(words, /The patch is attached|has only the beginning/);
    }
  }
});

test('nor in the answer to queries, which says what to ask instead of a file that no container has', async () => {
  const csv = (name: string) => ({ name, sizeBytes: 3000, isAttached: true });
  const rows = { kind: 'rows', query: 'SELECT n', durationMs: 4, cut: null } as const;
  const columns = [{ name: 'n', typeId: 23 }];
  const many = Array.from({ length: 60 }, (_, at) => [`${at}`]);
  const content = renderSqlNotice({
    kind: 'sql-answer',
    results: [
      { ...rows, columns, rows: many, name: null, csv: csv('result-1.csv') },
      { ...rows, columns, rows: [['1']], name: 'one', csv: csv('one-2.csv') },
    ],
    trustedUntil: new Date('2026-11-23T20:00:00Z'),
    limits: { rows: 50_000, bytes: 8 << 20 },
    now: new Date('2026-11-23T12:00:00Z'),
  });
  const file = (fileName: string) => ({
    fileName,
    contentType: 'text/csv',
    content: Buffer.alloc(3000, 'x'),
  });
  const raw = await composed({ ...content, attachments: [file('result-1.csv'), file('one-2.csv')] });
  const after = await readMime((await lighterMail(raw, '<second@example.com>')) as Buffer);
  for (const said of [after.text, after.html]) {
    assert.match(said, /are not attached: with them, a mail server refused this mail for its size\. Ask for/);
    assert.match(
      said,
      /Ask for fewer columns or rows, or ask it on the machine: npx threadbox sql --format csv/,
    );
    assert.match(said, /first 50 of 60 rows\. result-1\.csv is not attached\./);
    assert.match(said, /one-2\.csv is not attached\./);
    assert.doesNotMatch(said, /OUTBOX|has them all|has the same/);
  }
});

test('a mail without an attachment cannot be made lighter', async () => {
  assert.equal(await lighterMail(await answer(Buffer.from('short\n')), '<second@example.com>'), null);
});
