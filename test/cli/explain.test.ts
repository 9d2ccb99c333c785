import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CliError } from '../../src/cli/command.ts';
import { databaseTrouble } from '../../src/cli/database.ts';
import { explain } from '../../src/cli/explain.ts';
import { ConfigError } from '../../src/config.ts';

const withCode = (message: string, code: string): Error => Object.assign(new Error(message), { code });
const fileError = (code: string): Error =>
  Object.assign(new Error(`${code}: mkdir '/srv/x'`), { code, path: '/srv/x', syscall: 'mkdir' });

test('what a person did wrong is told in one line, with its exit code', () => {
  assert.deepEqual(explain(new CliError('no such thing', 2), false), {
    text: 'threadbox: no such thing\n',
    exitCode: 2,
  });
});

test('every wrong setting has a line of its own', () => {
  const { text, exitCode } = explain(new ConfigError(['A: expected 1', 'B: expected 2']), false);
  assert.match(text, /^threadbox: 2 settings are wrong, .*\.env.*:\n {2}A: expected 1\n {2}B: expected 2\n$/);
  assert.equal(exitCode, 2);
});

test('a path that cannot be used is named, with the reason', () => {
  assert.match(
    explain(fileError('EACCES'), false).text,
    /^threadbox: \/srv\/x cannot be used: this user may not/,
  );
  assert.match(explain(fileError('ENOSPC'), false).text, /the disk is full/);
});

test('an error with a code speaks for itself; its causes are told once', () => {
  const cause = new Error('flock is missing');
  const error = Object.assign(new Error('Expected a lock', { cause }), { code: 'LOCK' });
  assert.equal(explain(error, false).text, 'threadbox: Expected a lock\n  because: flock is missing\n');
});

test('the place in the code is shown to those who ask for it alone', () => {
  const error = new Error('something odd');
  assert.equal(
    explain(error, false).text,
    'threadbox: something odd\nLOG_LEVEL=debug shows where in the code this happened.\n',
  );
  assert.match(explain(error, true).text, /^threadbox: something odd\nError: something odd\n {4}at /);
});

test('an error without a message is told by what it consists of', () => {
  const error = new AggregateError([new Error('connect ::1'), new Error('connect 127.0.0.1')], '');
  assert.match(explain(error, false).text, /^threadbox: connect ::1; connect 127\.0\.0\.1\n/);
});

const troubles: [error: Error, isAway: boolean, told: RegExp | null][] = [
  [
    withCode('connect ECONNREFUSED', 'ECONNREFUSED'),
    true,
    /^DB does not answer: connect ECONNREFUSED\.\n.*runs/,
  ],
  [withCode('password authentication failed', '28P01'), false, /^DB does not let us in: password/],
  [withCode('database "x" does not exist', '3D000'), false, /^DB is not there: .*\nCreate it/],
  [withCode('permission denied for schema public', '42501'), false, /needs CREATE in the schema public/],
  [new Error('The migration directory is corrupt, files are missing'), false, /made by a newer Threadbox/],
  [
    Object.assign(new Error('0099-later is unknown'), { code: 'SCHEMA_TOO_NEW' }),
    false,
    /was made by a newer Threadbox than this one\. Update this one, or restore a backup made before\.$/,
  ],
  [new Error('The server does not support SSL connections'), false, /^DB cannot be used: .*SSL/],
  [new Error('something else'), false, null],
];
for (const [error, isAway, told] of troubles) {
  test(`database trouble "${error.message}" is told in plain words`, () => {
    const words = databaseTrouble(error, 'DB', isAway);
    if (told === null) assert.equal(words, null);
    else assert.match(words ?? '', told);
  });
}
