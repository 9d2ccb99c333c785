import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { durationInWords, sizeInWords } from '../../src/mail/amounts.ts';
import { renderAnswer, type AnswerFacts, type OutputFacts } from '../../src/mail/answer.ts';
import { REPLY_MARKER, readTyped } from '../../src/mail/reply-text.ts';

const written = (content: string | Buffer): OutputFacts => {
  const head = Buffer.from(content);
  return { head, tail: Buffer.alloc(0), totalBytes: head.length, omittedBytes: 0, log: null };
};
const ordinary: AnswerFacts = {
  command: 'npm test\n',
  result: 'exited',
  exitCode: 0,
  durationMs: 1234,
  branch: 'main',
  changes: { files: [{ path: 'src/app.ts', added: 3, removed: 1 }], isComplete: true },
  output: written('\x1b[32mall good\x1b[0m\n'),
  threadId: 'john@example.com-my-react-app',
  repositoryName: 'my-react-app',
  containerName: 'ai-dev-john-3f9c1a',
  backgroundProcesses: 0,
  backgroundNames: [],
  droppedProcesses: 0,
  droppedNames: [],
  shortages: null,
  timeAllowed: { timeoutMs: 1_800_000, mostMs: 14_400_000, keepsBackground: true },
  notes: [],
};
const answer = (values: Partial<AnswerFacts> = {}) => renderAnswer({ ...ordinary, ...values });

test('an answer says in this order what came of it, what was written, what changed, how to go on', () => {
  const { text, attachments } = answer();
  assert.equal(
    text,
    [
      'Exit code 0 after 1.2 s',
      '',
      '$ npm test',
      '',
      'all good',
      '',
      '1 file changed, +3 -1',
      '  src/app.ts  +3 -1',
      '',
      'Branch:    main',
      'Thread:    john@example.com-my-react-app',
      'Container: ai-dev-john-3f9c1a',
      '',
      'Reply with your next command. It runs in the same container, where this one left off.',
      '',
      REPLY_MARKER,
      '',
    ].join('\n'),
  );
  assert.deepEqual(attachments, []);
});

test('processes that go on, or were ended, are named', () => {
  const backgroundNames = ['node server.js (pid 42)', 'sleep 9 (pid 43)'];
  const of = (values: Partial<AnswerFacts>) => answer(values).text;
  assert.match(
    of({ backgroundProcesses: 4, backgroundNames }),
    /\n4 processes go on in the background: node server\.js \(pid 42\), sleep 9 \(pid 43\), and 2 more\.\n/,
  );
  assert.match(of({ backgroundProcesses: 1 }), /\n1 process goes on in the background\.\n/);
  assert.match(
    of({ droppedProcesses: 1, droppedNames: ['sleep 9 (pid 43)'] }),
    /\n1 process it left in the background was ended with it, as this Threadbox is set: sleep 9 \(pid 43\)\.\n/,
  );
});

test('a command stopped at its time limit says what that was, and how the next one gets more', () => {
  const timeAllowed = ordinary.timeAllowed;
  const next = (more: Partial<AnswerFacts['timeAllowed']>) =>
    answer({ result: 'timed_out', exitCode: null, timeAllowed: { ...timeAllowed, ...more } }).text;
  assert.match(
    next({}),
    /It was given 30 min\. A mail that begins with the line "timeout 1h" gives its command more, up to 4 h\. Work that takes longer can go on in the background: /,
  );
  assert.match(next({ timeoutMs: 9_000_000 }), /It was given 2 h 30 min\. [^]*"timeout 4h"/);
  const most = next({ timeoutMs: 14_400_000, keepsBackground: false });
  assert.match(most, /It was given 4 h\. That is the most a command is given here\.\n/);
});

test('the HTML says the same, loads nothing and runs nothing', () => {
  const { html } = answer();
  for (const part of [
    'Exit code 0',
    'after 1.2 s',
    'npm test',
    'all good',
    'src/<wbr>app.ts',
    '+3',
    REPLY_MARKER,
  ]) {
    assert.ok(html.includes(part), part);
  }
  assert.ok(html.includes('<span style="color:#4cc764">all good</span>'));
  assert.match(html, /prefers-color-scheme: dark/);
  assert.doesNotMatch(html, /<(?:script|img|link|iframe|form|object)\b|url\(|@import|src=/i);
});

test('the list view of a mail client shows the outcome and the last line', () => {
  assert.match(answer().html, /<div style="display:none[^>]*>Exit code 0 after 1\.2 s · all good[<&]/);
});

test('each ending has its own first line', () => {
  const table: [values: Partial<AnswerFacts>, first: string][] = [
    [{ exitCode: 3, durationMs: 41 }, 'Exit code 3 after 0.04 s'],
    [{ exitCode: 127 }, 'Exit code 127 (command not found) after 1.2 s'],
    [{ exitCode: 137 }, 'Exit code 137 (killed, perhaps for want of memory) after 1.2 s'],
    [
      { result: 'timed_out', exitCode: null, durationMs: 1_800_000 },
      'Stopped at the time limit after 30 min',
    ],
    [{ result: 'cancelled', exitCode: null, durationMs: 61_000 }, 'Cancelled after 1 min 1 s'],
    [{ result: 'not_begun', exitCode: null, error: 'Nothing was run.' }, 'Cancelled before it began'],
    [{ result: 'interrupted', exitCode: null, durationMs: 61_000 }, 'Interrupted after 1 min 1 s'],
    [{ result: 'failed', exitCode: null, error: 'no such branch' }, 'Could not run this command'],
  ];
  for (const [values, first] of table) {
    const { text, html } = answer(values);
    assert.equal(text.split('\n')[0], first);
    assert.ok(html.includes(`<title>${first}</title>`));
  }
  assert.match(
    answer({ result: 'failed', error: 'fatal: no such branch' }).text,
    /\nfatal: no such branch\n/,
  );
  assert.match(
    answer({ result: 'interrupted' }).text,
    /^Interrupted after [^\n]*\n\nThe command was cut off[^]*It was not run again[^]*all good/,
  );
});

test('what could be markup is text, wherever it comes from', () => {
  const evil = '</pre></div><script>alert(1)</script>"\'';
  const { html } = answer({
    command: evil,
    branch: evil,
    threadId: evil,
    repositoryName: evil,
    containerName: evil,
    notes: [evil],
    error: evil,
    changes: { files: [{ path: evil, added: 1, removed: 0 }], isComplete: false, reason: evil },
    output: written(evil),
  });
  assert.ok(!html.includes('<script'));
  assert.equal(html.match(/<\/pre>/g)?.length, 1);
});

test('file names cannot break lines or turn the text around', () => {
  const files = [
    { path: Buffer.from('new\nline\x1b[31m'), added: 1, removed: 0 },
    { path: Buffer.from([0x66, 0xff, 0x66]), added: null, removed: null },
    { path: 'new.ts', oldPath: 'old\u202e.ts', added: 0, removed: 0 },
  ];
  const { text } = answer({ changes: { files, isComplete: true } });
  assert.match(
    text,
    /\n3 files changed, \+1 -0\n {2}new␊line␛\[31m {2}\+1 -0\n {2}f\ufffdf {2}binary\n {2}old\[U\+202E\]\.ts → new\.ts {2}\+0 -0\n/,
  );
});

test('of many changed files the first twenty are named', () => {
  const files = Array.from({ length: 33 }, (_, at) => ({ path: `file-${at}.ts`, added: 1, removed: 2 }));
  const { text } = answer({ changes: { files, isComplete: true } });
  assert.match(text, /33 files changed, \+33 -66\n/);
  assert.equal(text.match(/ {2}file-\d+\.ts/g)?.length, 20);
  assert.match(text, /\n {2}and 13 more\n/);
});

test('changes that are not known are not called none', () => {
  const { text } = answer({ changes: { files: [], isComplete: false, reason: 'the repository is gone' } });
  assert.match(text, /\nWhat changed is not known: the repository is gone\n/);
  assert.match(answer({ changes: { files: [], isComplete: true } }).text, /\nNo files changed\n/);
});

test('output that is cut comes whole as an attachment', () => {
  const all = Buffer.from('word '.repeat(1_000_000));
  const log = { gzip: gzipSync(all), isComplete: true };
  const long = {
    head: all.subarray(0, 24_576),
    tail: all.subarray(-24_576),
    totalBytes: all.length,
    omittedBytes: all.length - 49_152,
    log,
  };
  const { attachments, text } = answer({ output: long });
  assert.deepEqual(attachments, [
    { fileName: 'output.log.gz', contentType: 'application/gzip', content: log.gzip },
  ]);
  assert.match(text, /4\.8 MB left out here; all of the output is attached as output\.log\.gz/);
  const partly = answer({ output: { ...long, log: { ...log, isComplete: false } } });
  assert.match(partly.text, /output\.log\.gz has the beginning of it/);
  assert.doesNotMatch(partly.text, /all of the output is attached/);
  const without = answer({ output: { ...long, log: null } });
  assert.deepEqual(without.attachments, []);
  assert.match(without.text, /4\.8 MB left out here \.\.\.\]/);
});

test('binary output that was not long is attached as well', () => {
  const bytes = Buffer.from(Array.from({ length: 500 }, (_, at) => (at * 37) % 256));
  const [attachment] = answer({ output: written(bytes) }).attachments;
  assert.deepEqual(gunzipSync(attachment?.content ?? ''), bytes);
});

test('a long script is shown by its first lines', () => {
  const { text } = answer({ command: 'one\n\ttwo\nthree\nfour\nfive\nsix\nseven\n' });
  assert.match(text, /\n\$ one\n {4}two\n {2}three\n {2}four\n {2}five\n {2}… \(2 more lines\)\n/);
});

test('what is quoted of an answer is not taken for a command', () => {
  const output = written('On Monday, John wrote:\nrm -rf /\n--\n\n> quoted\n');
  const { text } = answer({ output });
  const quoted = text
    .trimEnd()
    .split('\n')
    .map((line) => `> ${line}`.trimEnd());
  const reply = [
    'git status',
    '',
    'On Mon, 5 Jan 2026 at 10:00, Threadbox <bot@example.com> wrote:',
    '',
    ...quoted,
    '',
  ];
  for (const newline of ['\n', '\r\n']) assert.equal(readTyped(reply.join(newline)).text, 'git status');
});

test('a small answer is rendered in a few milliseconds', () => {
  const times = Array.from({ length: 40 }, () => {
    const startedAt = performance.now();
    answer({ output: written('\x1b[32mok\x1b[0m one two three\n'.repeat(40)) });
    return performance.now() - startedAt;
  });
  // The quickest: the others were slowed down by what else the machine does.
  const quickest = Math.min(...times);
  assert.ok(quickest < 5, `${quickest} ms`);
});

test('durations and sizes read as a person would say them', () => {
  const durations = [0, 41, 994, 1234, 59_940, 59_960, 125_000, 3_599_400, 3_600_000, 3_780_000, 90_000_000];
  assert.deepEqual(durations.map(durationInWords), [
    '0.00 s',
    '0.04 s',
    '0.99 s',
    '1.2 s',
    '59.9 s',
    '1 min',
    '2 min 5 s',
    '59 min 59 s',
    '1 h',
    '1 h 3 min',
    '25 h',
  ]);
  assert.deepEqual([0, 1, 1023, 1024, 1536, 24_576, 1_048_575, 3_250_586, 5e10].map(sizeInWords), [
    '0 bytes',
    '1 byte',
    '1023 bytes',
    '1 KB',
    '1.5 KB',
    '24 KB',
    '1 MB',
    '3.1 MB',
    '47 GB',
  ]);
});
