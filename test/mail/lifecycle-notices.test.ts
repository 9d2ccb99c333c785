import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderLifecycleNotice, type LifecycleNotice } from '../../src/mail/lifecycle-notices.ts';
import { REPLY_MARKER } from '../../src/mail/reply-text.ts';
import { at, now, samples } from './lifecycle-samples.ts';

const yesterday = new Date('2026-11-22T09:05:00Z');
const { status } = samples;

const wordings: [notice: LifecycleNotice, ...says: RegExp[]][] = [
  [
    samples['idle-warning'],
    /^Your container goes at 14:32 UTC, in 5 minutes\n/,
    /Nothing has run in my-react-app for a while\. Your work is saved first: 3 files changed, 2 commits not pushed\.\n/,
    /reply with this one word:\n\n {4}extend\n/,
    /\nFor two hours: extend 2h\n/,
    /Nothing is lost: your next command, within 7 days, finds all your files again\. Programs that still run in the background are ended\.\n/,
    /\nThread john@example\.com-my-react-app\n/,
  ],
  [
    { ...samples['idle-warning'], filesModified: 0, unpushedCommits: 0, minutesRemaining: 1, keptDays: 1 },
    /, in 1 minute\n/,
    /Nothing in it is changed, and everything is pushed\./,
    /within 1 day,/,
  ],
  [{ ...samples['idle-warning'], filesModified: 1, unpushedCommits: 0 }, /saved first: 1 file changed\.\n/],
  [
    { ...samples['idle-warning'], filesModified: 0, unpushedCommits: 1 },
    /saved first: 1 commit not pushed\.\n/,
  ],
  [{ ...samples['idle-warning'], filesModified: null }, /All your work in it is saved first\.\n/],
  [
    { ...samples['idle-warning'], goesAt: new Date('2026-11-24T00:02:00Z') },
    /^Your container goes on Tue 24 Nov, 00:02 UTC, in/,
  ],
  [
    { ...samples['idle-warning'], leftOut: ['dump.sql (700 MB)'] },
    /Too large for the saved state, and so only in the workspace itself[^]*dump\.sql \(700 MB\)[^]*finds the rest again/,
  ],
  [
    { ...samples['idle-warning'], isRepositoryRemoved: true },
    /^Your container goes at 14:32 UTC, in 5 minutes\n/,
    /^An admin has removed my-react-app from Threadbox, so nothing can run in it, nor can it be kept\. Your work is saved first: 3 files/m,
    /^It stays for 7 days\. If my-react-app is added again within that time, your next command goes on from there; an admin can also get/m,
  ],
  [
    { ...samples.expiring, isRepositoryRemoved: true },
    /It is of .*: 3 files changed\. An admin has removed my-react-app from Threadbox, so it cannot be kept by a reply\.\n/,
    /ask an admin before then to add the repository again, or to get the work out\.\n/,
  ],
  [
    samples.lost,
    /^The container and the workspace of my-react-app were gone\n/,
    /Your work of .* is saved, and comes back with your next command; what happened after that is gone\./,
  ],
  [{ ...samples.lost, savedAt: null }, /not been saved yet\. Your next command starts from the repository\./],
  [
    samples['operator-removes'],
    /^An operator is removing the container of my-react-app\n/,
    /So "extend" was not done\. Your work is saved before the container goes\. Your next command brings all of it back/,
  ],
  [
    samples['operator-removed'],
    /^An operator has removed the container of my-react-app\n/,
    /Your work of 14:26 UTC is saved\.\n\nYour next command, until .*, gets a new container and finds everything as you left it\.\n/,
  ],
  [
    { ...samples['operator-removed'], leftOut: ['dump.sql (700 MB)'] },
    /so only in the workspace itself[^]*dump\.sql \(700 MB\)[^]*finds the rest as you left it\./,
  ],
  [
    { ...samples['operator-removed'], savedAt: null },
    /\n\nNothing was changed in it\. Your next command gets a new one\./,
  ],
  [
    samples['would-lose'],
    /^Something would be lost: is that meant\?\n/,
    /Nothing was done yet\./,
    /dump\.sql \(700 MB\)/,
    /\n {4}fresh\n/,
  ],
  [
    samples['at-limit'],
    /^It stays until 16:27 UTC, and cannot be kept longer\n/,
    /kept for 12 h after the last command/,
  ],
  [
    samples['not-done'],
    /^"fresh" could not be done\n/,
    /Nothing is lost\.[^]*volume is in use[^]*Everything is as it was\./,
  ],
  [
    { ...samples['not-done'], isUnderWay: true },
    /^"fresh" could not be done to its end\n/,
    /finished by itself[^]*no need to send the word again/,
  ],
  [
    { ...samples.restored, isSwapped: false },
    /is back: \d+ files?\n\nReply with your next command, which goes on from here\.\n/,
  ],
  [
    samples.expiring,
    /^Your saved work in my-react-app expires on Tue 24 Nov, 14:32 UTC\n/,
    /It is of Tue 17 Nov, 14:32 UTC: 3 files changed\./,
    /\n {4}keep\n/,
    /A later command starts from the repository\./,
  ],
  [
    samples['save-failed'],
    /^Your work in my-react-app could not be saved yet\n/,
    /Nothing is lost: the container is kept, with everything in it\./,
    /tried again at 14:37 UTC/,
    / {2}git says: fatal: .*No space left on device\n/,
  ],
  [
    { ...samples['save-failed'], forWhom: 'admin' },
    /^A save failed in my-react-app\n/,
    /thread john@example\.com-my-react-app could not be saved\./,
    /Its container is kept/,
    /tried again at 14:37 UTC/,
  ],
  [
    samples['no-room'],
    /^Your command is waiting for room\n/,
    /You can have 5 containers at the same time, and all of them are at work\./,
    /It is not lost\. It runs by itself/,
  ],
  [
    { kind: 'no-room', limit: 'host', maximum: 1 },
    /This machine can have 1 container .* and it is at work\./,
  ],
  [samples['disk-short'], /^Commands wait, [^]* 100 MB are left:\n[^]* started below 256 MB\./],
  [samples.extended, /^Kept until 16:27 UTC\n/, /Reply with your next command/],
  [
    { ...samples.extended, isCapped: true, until: new Date('2026-11-24T02:20:00Z') },
    /^Kept until Tue 24 Nov, 02:20 UTC\n/,
    /Longer is not possible: 12 h after the last command\./,
  ],
  [{ ...samples.extended, isCapped: true, capHours: 1.5 }, /1 h 30 min after the last command/],
  [
    { ...samples.extended, wasRestored: { savedAt: yesterday } },
    /^Restored, and kept until 16:27 UTC\n/,
    /The container had gone already\. A new one has your work of Sun 22 Nov, 09:05 UTC\./,
  ],
  [
    samples.saved,
    /^Saved: 3 files changed, 2 commits not pushed\n/,
    /the state of 14:27 UTC, kept outside of the container\. .* HEAD is 1a2b3c4d5e\.\n/,
  ],
  [
    { ...samples.saved, filesModified: 0, unpushedCommits: 0, commit: null, leftOut: ['big.iso: 3 GB'] },
    /^Saved; nothing is changed, everything is pushed\n/,
    /The workspace stays as it is\.\n/,
    /Too large for the saved state, and so only in the container:\n\n {2}\* big\.iso: 3 GB\n/,
  ],
  [
    samples.stopped,
    /^Stopped, and your work is saved\n/,
    /3 changed files are kept, in the commit 1a2b3c4d5e\./,
    /the container is removed/,
    / {2}\* node_modules: 412 MB/,
    /Your next command, until Mon 30 Nov, 14:27 UTC, .* finds the rest as you left it\./,
  ],
  [
    { ...samples.stopped, filesModified: 1, hasCommitted: false, leftOut: [] },
    /1 changed file is kept\. /,
    /finds everything as you left it\./,
  ],
  [{ ...samples.stopped, filesModified: 0 }, /No files were changed since the last commit\./],
  [
    samples.fresh,
    /^Your next command starts from the repository\n/,
    /What you had at 14:27 UTC is put aside for 7 days\./,
    /\n {4}restore\n/,
  ],
  [{ ...samples.fresh, savedAt: null }, /There was nothing to be put aside\./],
  [
    samples.restored,
    /^Your work of Sun 22 Nov, 09:05 UTC is back: 12 files\n/,
    /What was there until now is put aside/,
    /\n {4}restore\n/,
  ],
  [
    samples.help,
    /Subject: \[my-react-app\]/,
    /extend 2h for two hours/,
    /\$THREADBOX_OUTBOX comes back attached/,
    /After 45 minutes without a command the container is saved and removed; a mail warns you before\./,
    ...['status', 'diff', 'log', 'extend', 'save', 'stop', 'fresh', 'restore', 'keep', 'help'].map(
      (word) => new RegExp(`^  ${word.padEnd(7)}  \\S`, 'm'),
    ),
  ],
  [{ ...samples.help, repositoryName: null }, /Subject: \[my-app\]/],
  [samples.keep, /^Kept until Mon 30 Nov, 14:27 UTC\n/],
  [samples.later, /^Understood: stop, /, /A command of this thread comes first\./, /Another mail/],
  [{ ...samples.later, ahead: 3 }, /3 commands of this thread come first\./],
  [
    samples['nothing-there'],
    /^There is no container now for my-react-app\n/,
    /nothing to be done for "stop"/,
  ],
  [{ ...samples['nothing-there'], word: 'restore' }, /^Nothing is put aside for my-react-app\n/],
  [{ ...samples['nothing-there'], word: 'keep' }, /^No saved work is about to expire for my-react-app\n/],
  [samples['not-understood'], /Nothing was done, and nothing was run\.\n/, /"extend banana" names no length/],
  [
    status,
    /^A command has been running for 3 min 5 s, since 14:23 UTC\n/,
    / {2}\$ npm test\n\n {2}✓ adds a login form \(12 ms\)\n {2}✓ keeps the session/,
    / {2}Container {5}in use\n/,
    / {2}Waiting {7}npm run build\n {16}git status …\n/,
    / {2}Last command {2}npm ci · exit code 0, 14:20 UTC\n/,
    / {2}Saved {9}14:20 UTC, 3 files changed\n/,
  ],
  [
    { ...status, running: { command: 'sleep 9', since: now, lastLines: '' }, queued: [] },
    /\$ sleep 9\n\n {2}\(no output yet\)\n/,
  ],
  [
    { ...status, running: null, goesAt: at('14:32:00'), saved: null },
    /^2 commands waiting, none running\n/,
    /kept until 14:32 UTC: \d+ min(?: \d+ s)? from now, and longer if a command runs\n/,
    /Saved {9}nothing yet\n/,
    /the one word extend/,
  ],
  [
    {
      ...status,
      running: null,
      queued: [],
      container: 'none',
      lastCommand: { command: 'make\nmake test', endedAt: yesterday, exitCode: null, state: 'interrupted' },
      saved: { savedAt: yesterday, filesModified: 0, expiresAt: at('16:00:00') },
    },
    /^Nothing is running\n/,
    /none; your next command gets one, with your saved work\n/,
    /make … · interrupted, Sun 22 Nov, 09:05 UTC\n/,
    /Sun 22 Nov, 09:05 UTC, no files changed; kept until 16:00 UTC\n/,
  ],
  [
    { ...status, running: null, queued: [], container: 'stopped', lastCommand: null, saved: null },
    /stopped; your next command starts it\n/,
  ],
  [
    { ...status, queued: Array.from({ length: 9 }, (_, index) => `job ${index}`) },
    / {2}job 3\n {16}and 5 more\n/,
  ],
  [
    samples.diff,
    /^4 files changed, \+91 -3\n/,
    / {2}src\/app\.tsx {2}\+6 -2\n {2}public\/logo\.png {2}binary\n/,
    / {2}src\/auth\/session-storage\.ts → src\/session\.ts {2}\+1 -1\n/,
    /git apply changes\.patch/,
  ],
  [{ ...samples.diff, isCut: true }, /too large for a mail: changes\.patch has only the beginning of it/],
  [{ ...samples.diff, patch: null, isCut: true }, /The patch is too large for a mail\.\n/],
  [
    { kind: 'diff', files: [], patch: null, isCut: true },
    /^What changed is not known\n\nThere is too much of it, or it takes too long, to be told here\. A command .*\sgit diff --stat\n/,
  ],
  [
    { ...samples.diff, patch: null, withheld: ['[secret A]', '[secret B]'] },
    /The patch is not attached, as secrets stand in it: \[secret A\], \[secret B\]\.\n/,
  ],
  [
    { kind: 'diff', files: [], patch: null, isCut: false },
    /^No files changed\n\nCompared with the repository as it was fetched, committed or not, at the last save\.\n/,
  ],
  [
    { ...samples.diff, files: Array.from({ length: 25 }, () => ({ path: 'a', added: 1, removed: 0 })) },
    /^25 files changed, \+25 -0\n/,
    /\n {2}and 5 more\n/,
  ],
  [
    samples.log,
    /^The last 4 commands\n/,
    / {2}#14 {2}npm run build\n {6}running · 14:26 UTC\n/,
    /\n {6}exit code 1 · 14:20 UTC · 41\.3 s\n/,
    / {2}#12 {2}git pull …\n {6}exit code 0 · Sun 22 Nov, 09:05 UTC · 8\.2 s\n/,
    /stopped at the time limit · .* · 30 min\n/,
  ],
  [{ kind: 'log', commands: [], now }, /^No command has run in this thread yet\n/],
];
for (const [at, [notice, ...says]] of wordings.entries()) {
  test(`the notice ${notice.kind} says what is so and what to do next (${at})`, () => {
    const { text, html } = renderLifecycleNotice(notice);
    for (const words of says) assert.match(text, words);
    assert.ok(text.endsWith(`\n\n${REPLY_MARKER}\n`));
    assert.doesNotMatch(text, /\n{3}|undefined|null|NaN|Invalid|\[object| \n/);
    assert.ok(html.includes(REPLY_MARKER));
    assert.doesNotMatch(html, /undefined|NaN|Invalid|\[object/);
  });
}

test('the patch is attached as a file', () => {
  const { attachments } = renderLifecycleNotice(samples.diff);
  assert.deepEqual(attachments, [
    { fileName: 'changes.patch', contentType: 'text/x-patch', content: samples.diff.patch },
  ]);
  assert.equal(renderLifecycleNotice({ ...samples.diff, patch: null }).attachments, undefined);
});
