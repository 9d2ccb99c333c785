import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tokenNote } from '../../src/mail/token-note.ts';
import { nameFault } from '../../src/secrets/rules.ts';
import { tokensIn, withoutTokens } from '../../src/secrets/well-known.ts';

const of = (length: number): string => 'a1B2c3D4'.repeat(40).slice(0, length);
// Put together here, so that nobody takes this file for a leak.
const tokens: [name: string, value: string][] = [
  ['GitHub token', `ghp_${of(36)}`],
  ['GitHub token', `ghs_${of(36)}`],
  ['GitHub token', `github_pat_${of(22)}_${of(59)}`],
  ['GitLab token', `glpat-${of(20)}`],
  ['npm token', `npm_${of(36)}`],
  ['Slack token', `xoxb-${'1'.repeat(12)}-${of(24)}`],
  ['AWS access key', `AKIA${'ABCD2345'.repeat(2)}`],
  ['Google API key', `AIza${of(35)}`],
  ['Stripe key', `sk_live_${of(24)}`],
  [
    'private key',
    `-----BEGIN OPENSSH PRIVATE KEY-----\n${of(70)}\n${of(70)}\n-----END OPENSSH PRIVATE KEY-----`,
  ],
  ['JSON web token', `eyJ${of(20)}.eyJ${of(40)}.${of(43)}`],
];

test('well-known tokens are found, and shown by their kind alone', () => {
  for (const [name, value] of tokens) {
    const text = `curl -H "Authorization: Bearer ${value}" https://x.example; echo done`;
    assert.deepEqual(tokensIn(text), [{ name, value }], name);
    assert.equal(
      withoutTokens(text),
      `curl -H "Authorization: Bearer [${name}]" https://x.example; echo done`,
    );
  }
  const aws = `AWS_SECRET_ACCESS_KEY=${of(40)}`;
  assert.equal(withoutTokens(`export ${aws} X=1`), 'export AWS_SECRET_ACCESS_KEY=[AWS secret key] X=1');
});

test('what only resembles one is left alone', () => {
  for (const text of [
    'ghp_short',
    'npm_config_registry=https://registry.example',
    'git show 4b825dc642cb6eb9a060e54bf8d69288fbee4904',
    'echo $GITHUB_TOKEN; eyJhbGci.x.y',
    'xoxo-hugs',
    '-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----',
  ]) {
    assert.deepEqual(tokensIn(text), [], text);
  }
});

test('the hint says what, why and what to do, and does not repeat it', () => {
  const [, value] = tokens[0] as [string, string];
  const note = tokenNote(`echo ${value}\nexport AWS_SECRET_ACCESS_KEY=${of(40)}`, 'sample') ?? '';
  assert.match(
    note,
    /^Your mail carries what looks like a GitHub token and an AWS secret key\. Mails stay in/,
  );
  assert.match(note, /Replace it where it was issued\. .*threadbox secret set sample GITHUB_TOKEN$/);
  assert.ok(!note.includes(value));
  assert.equal(tokenNote('npm test', 'sample'), null);
  for (const [name, token] of tokens) {
    const suggested = / (\w+)$/.exec(tokenNote(token, 'x') ?? '')?.[1] ?? '';
    assert.equal(nameFault(suggested), null, name);
  }
});

test('hostile text takes no longer than other text', () => {
  const startedMs = process.cpuUsage().user / 1000;
  for (const piece of [
    '-----BEGIN PRIVATE KEY-----',
    'eyJaaaaaaaaaaaa.',
    'ghp_',
    'xoxb-',
    'aws_secret_access_key= ',
  ]) {
    tokensIn(piece.repeat(Math.ceil(1_000_000 / piece.length)));
  }
  const usedMs = process.cpuUsage().user / 1000 - startedMs;
  assert.ok(usedMs < 5_000, `${usedMs} ms`);
});
