import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { plusAddressName, replyToken } from '../../src/threads/identity.ts';
import { isTokenForm, matchToken, mintToken } from '../../src/threads/reply-token.ts';

const KEY = randomBytes(32);
const NOW = new Date('2026-11-20T23:59:00Z');
const ALICE = 'alice@example.com';
const THREADS = [`${ALICE}-one`, `${ALICE}-two`];
const later = (days: number) => new Date(NOW.getTime() + days * 86_400_000);

test('a token is good for its sender and names their thread, for thirty days', () => {
  const token = mintToken(KEY, { sender: ALICE, threadId: `${ALICE}-two` }, NOW);
  assert.match(token, /^t-[a-z2-7]{24}$/);
  const match = (now: Date) => matchToken(KEY, token, { sender: ALICE, threadIds: THREADS }, now);
  assert.deepEqual(match(NOW), { kind: 'good', threadId: `${ALICE}-two` });
  assert.deepEqual(match(later(30)), { kind: 'good', threadId: `${ALICE}-two` });
  assert.deepEqual(match(later(31)), { kind: 'expired' });
  const ofNone = mintToken(KEY, { sender: ALICE, threadId: '' }, NOW);
  assert.deepEqual(matchToken(KEY, ofNone, { sender: ALICE, threadIds: [] }, NOW), {
    kind: 'good',
    threadId: '',
  });
});

test('nobody else’s token, key or thread will do, nor one with a single letter changed', () => {
  const token = mintToken(KEY, { sender: ALICE, threadId: `${ALICE}-two` }, NOW);
  const foreign = { kind: 'foreign' };
  assert.deepEqual(matchToken(KEY, token, { sender: 'bob@example.com', threadIds: THREADS }, NOW), foreign);
  assert.deepEqual(matchToken(KEY, token, { sender: ALICE, threadIds: [`${ALICE}-one`] }, NOW), foreign);
  assert.deepEqual(matchToken(randomBytes(32), token, { sender: ALICE, threadIds: THREADS }, NOW), foreign);
  for (let at = 2; at < token.length; at += 1) {
    const letter = token.charAt(at) === 'a' ? 'b' : 'a';
    const changed = token.slice(0, at) + letter + token.slice(at + 1);
    assert.deepEqual(matchToken(KEY, changed, { sender: ALICE, threadIds: THREADS }, NOW), foreign, changed);
  }
  for (const odd of ['', 't-', 'my-app', token.slice(0, -1), `${token}a`, token.toUpperCase()]) {
    assert.deepEqual(matchToken(KEY, odd, { sender: ALICE, threadIds: THREADS }, NOW), foreign, odd);
  }
});

test('a token is no repository, and a repository no token', () => {
  const token = mintToken(KEY, { sender: ALICE, threadId: '' }, NOW);
  const bot = 'bot@threadbox.test';
  const to = [
    `Bot+${token.toUpperCase()}@Threadbox.test`,
    'bot+my-app@threadbox.test',
    `other+${token}@threadbox.test`,
  ];
  assert.equal(replyToken(to, bot), token);
  assert.equal(plusAddressName(to, bot), 'my-app');
  assert.equal(plusAddressName(to.slice(0, 1), bot), null);
  assert.equal(replyToken(to.slice(1), bot), null);
  assert.equal(isTokenForm('t-shirt-shop'), false);
});
