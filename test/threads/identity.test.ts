import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  bodyRepositoryLine,
  plusAddressName,
  repositoryTag,
  subjectKey,
  subjectSlug,
  threadId,
} from '../../src/threads/identity.ts';
import { stripReplyPrefixes } from '../../src/mail/reply-prefixes.ts';

const SAME_CONVERSATION = [
  'Add login',
  'Re: Add login',
  'RE: add LOGIN',
  're:Add login',
  'Re: Re: Add login',
  'Re[2]: Add login',
  'Re(3): Add login',
  'Re^2: Add login',
  'AW: Add login',
  'Antw: Add login',
  'SV: Add login',
  'VS: Add login',
  'Odp: Add login',
  'YNT: Add login',
  'R: Add login',
  'RES: Add login',
  'Отв: Add login',
  '回复：Add login',
  '回复: Add login',
  '답장: Add login'.replace('답장', '회신'),
  'Fwd: Add login',
  'FW: Add login',
  'WG: Add login',
  'TR : Add login',
  'Fwd: AW: Re: Add login',
  '  Add   login ',
  'Add\tlogin',
];
test('all answers and forwards of a subject are one conversation', () => {
  for (const subject of SAME_CONVERSATION) assert.equal(subjectKey(subject), 'add login', subject);
});

test('a plain word with a colon is part of the subject', () => {
  for (const subject of [
    'fix: add login',
    'feat(ui): login',
    'Note: Re: x',
    'Regarding: x',
    'Reply: x',
    'React: x',
  ]) {
    assert.equal(stripReplyPrefixes(subject), subject);
  }
});

test('a subject of nothing but prefixes has an empty key, and a long one a bounded key', () => {
  assert.equal(subjectKey('Re: AW:'), '');
  assert.equal(subjectKey(''), '');
  assert.equal(subjectKey('ä'.repeat(5_000)).length, 400);
  assert.equal(subjectKey('Cafe\u{301}'), subjectKey('CAFÉ'));
});

const TAGS: [string, string | null, string, string][] = [
  ['[my-app] Add login', 'my-app', '', 'Add login'],
  ['Re: [my-app] Add login', 'my-app', '', 'Add login'],
  ['[my-app] Re: Add login', 'my-app', '', 'Add login'],
  ['[ My.App_2 ]', 'My.App_2', '', ''],
  ['[my-app#Two] x', 'my-app', 'two', 'x'],
  ['[my-app#] x', 'my-app', '', 'x'],
  ['[my-app]x', 'my-app', '', 'x'],
  ['[EXTERNAL] [my-app] x', 'my-app', '', 'x'],
  ['AW: [Ext] Re: [my-app] x', 'my-app', '', 'x'],
  ['[external] x', 'external', '', 'x'],
  ['[two words] [my-app] x', 'my-app', '', 'x'],
  ['Add [my-app] later', null, '', ''],
  ['[two words] x', null, '', ''],
  ['[../etc] x', null, '', ''],
  ['[-x] x', null, '', ''],
  ['[] x', null, '', ''],
  ['[open x', null, '', ''],
  ['', null, '', ''],
];
for (const [subject, name, label, rest] of TAGS) {
  test(`the tag of "${subject}" is ${name ?? 'none'}`, () =>
    assert.deepEqual(repositoryTag(subject), name === null ? null : { name, label, rest }));
}

test('the repository in a plus-address is that of the bot, of whatever case', () => {
  const bot = 'bot@example.com';
  assert.equal(plusAddressName(['john@example.com', 'Bot+My-App@Example.com'], bot), 'My-App'.toLowerCase());
  assert.equal(plusAddressName(['bot@example.com', 'bot+@example.com'], bot), null);
  assert.equal(plusAddressName(['bot+app@elsewhere.com', 'robot+app@example.com'], bot), null);
  assert.equal(plusAddressName(['bot+a/b@example.com', 'bot+app@example.com'], bot), 'app');
  assert.equal(plusAddressName([], bot), null);
});

test('a first line names the repository, only when it has nothing else', () => {
  for (const newline of ['\n', '\r\n']) {
    const body = ['', 'repo: my-app#Two ', 'ls', '', '  pwd'].join(newline);
    assert.deepEqual(bodyRepositoryLine(body), {
      name: 'my-app',
      label: 'two',
      rest: ['ls', '', '  pwd'].join(newline),
    });
    assert.equal(bodyRepositoryLine(['ls', 'repo: my-app'].join(newline)), null);
  }
  assert.deepEqual(bodyRepositoryLine('Repo:app'), { name: 'app', label: '', rest: '' });
  for (const body of ['', 'repo:', 'repo: two words', 'repo: ../etc', 'repository: app']) {
    assert.equal(bodyRepositoryLine(body), null, body);
  }
});

test('thread ids are as the guide shows them', () => {
  assert.equal(threadId('john@example.com', 'my-react-app', ''), 'john@example.com-my-react-app');
  assert.equal(threadId('john@example.com', 'my-react-app', 'two'), 'john@example.com-my-react-app#two');
});

test('a subject becomes a readable part of an id, another subject another one', () => {
  assert.equal(subjectSlug('Re: [my-app] Add login, please!'), 'add-login-please');
  assert.equal(subjectSlug('[my-app] Grüße an 東京'), 'grüße-an-東京');
  assert.equal(subjectSlug('Re:'), 'no-subject');
  assert.match(subjectSlug('🎉🎉'), /^[0-9a-f]{6}$/);
  assert.notEqual(subjectSlug('c++ build'), subjectSlug('c# build'));
  const long = 'word '.repeat(40);
  assert.ok(subjectSlug(long).length <= 48 + 7);
  assert.notEqual(subjectSlug(`${long}one`), subjectSlug(`${long}two`));
  assert.equal(subjectSlug(`AW: ${long}`), subjectSlug(long));
});
