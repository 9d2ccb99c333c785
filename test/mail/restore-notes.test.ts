import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expiredNote, restoredNote } from '../../src/mail/lifecycle-notices.ts';
import { at, now } from './lifecycle-samples.ts';

const yesterday = new Date('2026-11-22T09:05:00Z');

test('the first answer after a restore says in one line from when, and how many files', () => {
  assert.equal(
    restoredNote(yesterday, 12, 'idle', now),
    'Your work of Sun 22 Nov, 09:05 UTC was restored: 12 files.',
  );
  assert.equal(
    restoredNote(at('09:05:00'), 1, 'stopped', now),
    'Your work of 09:05 UTC was restored: 1 file.',
  );
  assert.match(restoredNote(yesterday, 2, 'evicted', now), /: 2 files\. Its container had made room/);
  assert.match(restoredNote(yesterday, 2, 'lost', now), /what happened after that time is not in it\.$/);
  assert.match(
    restoredNote(yesterday, 2, 'missing', now),
    /Its directory was not there any more; what happened after that time is not in it\. Everything else in \/workspace is as it was\.$/,
  );
  assert.match(restoredNote(yesterday, 0, 'idle', now), /was restored: no files were changed in it\.$/);
});

test('after the end of a saved state, it is said that it has expired', () => {
  assert.equal(
    expiredNote(new Date('2025-11-10T14:32:00Z'), now),
    'The saved state of Mon 10 Nov 2025, 14:32 UTC has expired after 7 days; this started from the repository.',
  );
  assert.match(expiredNote(yesterday, now, 1), /after 1 day;/);
});
