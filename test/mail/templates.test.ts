import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { renderAnswer } from '../../src/mail/answer.ts';
import { renderLifecycleNotice } from '../../src/mail/lifecycle-notices.ts';
import { renderNotice } from '../../src/mail/notices.ts';
import { REPLY_MARKER } from '../../src/mail/reply-text.ts';
import { at, samples } from './lifecycle-samples.ts';

const output = {
  head: Buffer.from('said\n'),
  tail: Buffer.alloc(0),
  totalBytes: 5,
  omittedBytes: 0,
  log: null,
};
const answer = {
  command: 'npm test',
  result: 'exited',
  exitCode: 0,
  durationMs: 1200,
  branch: 'main',
  changes: { files: [{ path: 'src/a/b.ts', added: 1, removed: 0 }], isComplete: true },
  output,
  threadId: 'john@example.com-app',
  repositoryName: 'app',
  containerName: 'ai-dev-app',
  backgroundProcesses: 0,
  backgroundNames: [],
  droppedProcesses: 0,
  droppedNames: [],
  shortages: null,
  timeAllowed: { timeoutMs: 1_800_000, mostMs: 14_400_000, keepsBackground: true },
  notes: [],
} as const;

type Rendered = { text: string; html: string };
const kinds: [kind: string, sign: string, tone: string, title: RegExp, mail: Rendered][] = [
  ['answer', '✓', 'good', /^Exit code 0 after/, renderAnswer(answer)],
  ['answer', '✕', 'bad', /^Exit code 1 after/, renderAnswer({ ...answer, exitCode: 1 })],
  ['answer', '■', 'calm', /^Cancelled after/, renderAnswer({ ...answer, result: 'cancelled' })],
  ['interrupted', '?', 'unsure', /^Interrupted after/, renderAnswer({ ...answer, result: 'interrupted' })],
  ['still-running', '…', 'calm', /^Still running/, renderLifecycleNotice(samples['still-running'])],
  ['idle-warning', '!', 'unsure', /^Your container goes/, renderLifecycleNotice(samples['idle-warning'])],
  ['restored', '✓', 'good', /^Your work of .* is back/, renderLifecycleNotice(samples.restored)],
  [
    'restored',
    '✓',
    'good',
    /^Restored, and kept until/,
    renderLifecycleNotice({ ...samples.extended, wasRestored: { savedAt: at('09:00:00') } }),
  ],
  ['refused', '!', 'unsure', /^There is no patch/, renderNotice({ kind: 'no-patch' })],
  ['help', '?', 'calm', /^What you can mail/, renderLifecycleNotice(samples.help)],
  ['error', '!', 'bad', /^A fault of Threadbox/, renderNotice({ kind: 'fault', messageNumber: 42 })],
  ['error', '!', 'bad', /^Your work in .* could not/, renderLifecycleNotice(samples['save-failed'])],
  ['done', '✓', 'good', /^Stopped/, renderLifecycleNotice(samples.stopped)],
  ['notice', 'i', 'calm', /^A command has been running/, renderLifecycleNotice(samples.status)],
  [
    'notice',
    'i',
    'calm',
    /^Your command is waiting/,
    renderNotice({ kind: 'delayed', command: 'ls', reason: 'x' }),
  ],
];

test('each kind of mail has its mark, its title first, and our marker last', () => {
  for (const [kind, sign, tone, title, { text, html }] of kinds) {
    assert.match(text, title, kind);
    assert.ok(text.endsWith(`\n\n${REPLY_MARKER}\n`), kind);
    assert.doesNotMatch(text, /\n{3}|undefined|\[object|[<>]%/, kind);
    const mark = /<div aria-hidden="true" class="(\w+)-mark"[^>]*>(.)<\/div>/u.exec(html);
    assert.deepEqual(mark?.slice(1), [tone, sign], kind);
    assert.equal(html.split('<!--note-->').length, 2, `${kind} has one place for a note`);
    assert.equal(html.match(/<table\b/g)?.length, html.match(/<\/table>/g)?.length, kind);
    assert.doesNotMatch(html, /undefined|\[object|<%|%>|\b(?:src|background)=|url\(/, kind);
  }
});

test('output scrolls for itself: its lines are not broken, and do not make the mail as wide', () => {
  for (const { html } of [
    renderAnswer(answer),
    renderLifecycleNotice(samples['still-running']),
    renderLifecycleNotice(samples.status),
  ]) {
    assert.match(
      html,
      /table-layout:fixed;">[^]*<div style="overflow-x:auto;">\s*<pre [^>]*white-space:pre;/,
    );
  }
});

test('what the end of a command means comes first where its end is not known', () => {
  const { html } = renderAnswer({ ...answer, result: 'interrupted', error: 'The machine was restarted.' });
  const places = ['It was not run again', '<pre ', 'The machine was restarted.', 'src/<wbr>a/<wbr>b.ts'];
  const order = places.map((words) => html.indexOf(words));
  assert.deepEqual(
    order,
    order.toSorted((one, other) => one - other),
  );
  assert.ok(!order.includes(-1));
});

test('every template there is belongs to a kind of mail that is rendered here, and has both formats', () => {
  const names = (path: string): string[] =>
    readdirSync(new URL(`../../templates/${path}`, import.meta.url)).filter((name) => name.endsWith('.eta'));
  const expected = ['layout', ...new Set(kinds.map(([kind]) => kind))];
  const both = (all: readonly string[]) =>
    all.flatMap((name) => [`${name}.html.eta`, `${name}.txt.eta`]).toSorted();
  assert.deepEqual(names('.').toSorted(), both(expected));
  const parts = new Set(names('parts').map((name) => name.split('.')[0] ?? ''));
  assert.deepEqual(names('parts').toSorted(), both([...parts]));
});
