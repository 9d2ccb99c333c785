import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderLifecycleNotice, type LifecycleNotice } from '../../src/mail/lifecycle-notices.ts';
import { samples } from './lifecycle-samples.ts';

const wordings: [notice: LifecycleNotice, ...says: RegExp[]][] = [
  [
    samples['still-running'],
    /^Still running after 5 min\n\nIts answer comes when it has ended: at 14:52 UTC at the latest, by the time limit of 30 min\.\n/,
    /\n {2}\$ npm test -- --coverage …\n\n {2}✓ adds a login form/,
    /To end it now, reply with this one word:\n\n {4}cancel\n/,
    /reply: status\n/,
  ],
  [
    { ...samples['still-running'], isLast: true, ranMs: 1_620_000, lastLines: '' },
    /^Still running after 27 min; it will be stopped at 14:52 UTC\n\nThen the time limit of 30 min is reached/,
    /A mail that begins with the line "timeout 1h" gives its command more, up to 4 h\./,
    /\(no output yet\)/,
  ],
  [
    { ...samples['still-running'], ranMs: 1512, lastLines: null },
    /^Still running after 1\.5 s\n/,
    /\(its output cannot be looked at now\)/,
  ],
  [
    samples.cancelled,
    /^Cancelled: the running command and 2 waiting commands\n/,
    /Its answer follows within seconds[^]*\n {2}\$ npm test\n/,
    /These waited and will not run:\n\n {2}\* npm run build\n {2}\* git status …\n/,
    /Still to be done: save\./,
  ],
  [
    { ...samples.cancelled, isRepeated: true, dropped: [], waiting: ['make'], controls: [] },
    /^Cancelled: the running command\n/,
    /It is being ended since your first word on it\. Its answer/,
    /This one runs next:\n\n {2}\* make\n\nTo cancel all that waits, reply with:\n\n {4}cancel all\n/,
  ],
  [
    { ...samples.cancelled, running: null, dropped: ['make'], controls: [] },
    /^Cancelled: 1 waiting command; nothing of it was run\n\nThis one waited and will not run:/,
  ],
  [
    { ...samples.cancelled, running: null, dropped: [], controls: [] },
    /^Nothing is running\n\nSo there was nothing to cancel\. Reply with your next command\./,
  ],
];
for (const [notice, ...says] of wordings) {
  const { text, html } = renderLifecycleNotice(notice);
  const [title = ''] = text.split('\n');
  test(`${notice.kind}: ${title}`, () => {
    for (const pattern of says) assert.match(text, pattern);
    assert.ok(html.includes(`<title>${title.replaceAll('"', '&quot;')}</title>`));
  });
}

test('of a long output the last twenty lines are shown, in their colours; the list view has the last one', () => {
  const lines = Array.from({ length: 60 }, (_, at) => `\x1b[32mline ${at + 1}\x1b[0m\n`).join('');
  const { text, html } = renderLifecycleNotice({ ...samples['still-running'], lastLines: lines });
  assert.match(text, /\n\n {2}line 41\n/);
  assert.doesNotMatch(text, /line 40\n/);
  assert.match(html, /<span style="color:#4cc764">line 60<\/span>/);
  assert.match(html, /display:none[^>]*>Still running after 5 min · line 60[<&]/);
});

test('the list view of a mail client shows the outcome of a control word, and the first words', () => {
  assert.match(renderLifecycleNotice(samples.extended).html, /display:none[^>]*>Kept until 16:27 UTC · /);
});

test('a very long list of commands shows the first of them', () => {
  const one = samples.log.commands[0];
  assert.ok(one);
  const commands = Array.from({ length: 50 }, (_, index) => ({ ...one, number: 50 - index }));
  const { text } = renderLifecycleNotice({ kind: 'log', commands, now: samples.log.now });
  assert.match(text, /^The last 30 commands\n/);
  assert.match(text, /\n {2}and 20 more\n/);
});

test('a word to Threadbox has no exit code among the last commands', () => {
  const { now } = samples.log;
  const command = { number: 2, command: 'save', state: 'finished', exitCode: null };
  const { text } = renderLifecycleNotice({
    kind: 'log',
    commands: [{ ...command, startedAt: null, durationMs: null }],
    now,
  });
  assert.match(text, /^The only command so far\n\n {2}#2 {2}save\n {6}answered\n/);
});

test('work that is back is not counted where no file of it is changed', () => {
  const { text } = renderLifecycleNotice({ ...samples.restored, filesRestored: 0 });
  assert.match(text, /^Your work of [^:\n]+:\d\d UTC is back\n\n/);
});
