import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearestName } from '../../src/mail/nearest-name.ts';
import { renderNotice, type Notice } from '../../src/mail/notices.ts';
import { REPLY_MARKER } from '../../src/mail/reply-text.ts';

const names = ['api-server', 'my-react-app', 'website'];
const notices: [notice: Notice, ...says: RegExp[]][] = [
  [
    { kind: 'unknown-repository', name: 'my-recat-app', candidates: names },
    /^There is no repository called my-recat-app\n/,
    /Did you mean my-react-app\?/,
    /Subject: \[my-react-app\]/,
    / {2}\* api-server\n {2}\* my-react-app\n {2}\* website\n/,
  ],
  [
    { kind: 'unknown-repository', name: 'zzz', candidates: names },
    /Name one of yours/,
    /Subject: \[api-server\]/,
  ],
  [{ kind: 'unknown-repository', name: 'zzz', candidates: [] }, /No repository is registered for you yet/],
  [
    { kind: 'which-repository', candidates: names },
    /^Which repository/,
    /Subject: \[api-server\]/,
    /\* website/,
  ],
  [{ kind: 'no-repository', candidates: [] }, /npx threadbox repo add/],
  [
    { kind: 'empty-mail', repositoryName: 'website' },
    /^There was no command/,
    /Subject: \[website\]/,
    / {4}git pull\n {4}npm test\n/,
  ],
  [
    { kind: 'unsure', understood: 'npm ci', doubt: 'around-a-quote', repositoryName: 'website' },
    /^Which part of this mail is the command\?\n/,
    /Nothing was run\. There is text above the quoted mail and below it/,
    /what was understood:\n\n {2}npm ci\n/,
    /Subject: \[website\]/,
    / {4}```\n {4}git pull\n {4}npm test\n {4}```\n/,
    /new mail/,
  ],
  [
    { kind: 'unsure', understood: '', doubt: 'no-beginning', repositoryName: '' },
    /nothing shows where that begins/,
  ],
  [
    { kind: 'unsure', understood: 'echo \u{fffd}', doubt: 'broken-characters', repositoryName: '' },
    /arrived broken/,
  ],
  [
    { kind: 'delayed', command: `echo ghp_${'a1B2'.repeat(9)}`, reason: 'Docker is away' },
    /^Your command is waiting\n\n {2}echo \[GitHub token\]\n/,
  ],
  [
    { kind: 'unsure', understood: 'one\ntwo', doubt: 'broken-lines', repositoryName: '' },
    /one command may have become two\. Switch that off, or end such a line with a backslash\.\n/,
    /what was understood:\n\n {2}one\n {2}two\n/,
  ],
  [
    { kind: 'timeout-line', line: 'timeout 9h', isTooLong: true, mostMs: 14_400_000 },
    /^This command may not take so long\n\nNothing was run\. A command can be given 4 h at the most/,
    /begins with:\n\n {2}timeout 9h\n/,
    /\n {4}timeout 4h\n {4}npm test\n/,
  ],
  [
    { kind: 'timeout-line', line: 'timeout 90', isTooLong: false, mostMs: 5_400_000 },
    /^For how long may this command run\?\n\nNothing was run\./,
    /names no length of time:\n\n {2}timeout 90\n/,
    /\n {4}timeout 90m\n {4}npm test\n\nThe most is 1 h 30 min\./,
  ],
  [
    { kind: 'no-patch' },
    /^There is no patch in this mail\n/,
    /Nothing was changed/,
    /this one word:\n\n {4}apply\n/,
    /git format-patch/,
  ],
  [
    { kind: 'unreadable', obstacle: 'encrypted' },
    /^This mail is encrypted\n/,
    /Nothing was run\. Threadbox has no key/,
    /Send it without encryption/,
  ],
  [
    { kind: 'unreadable', obstacle: 'odd-encoding' },
    /^The characters of this mail cannot be read\n/,
    /Nothing was run\. Its text is in an encoding .* UTF-7/,
    /Send it as UTF-8\./,
  ],
  [{ kind: 'unreadable', obstacle: 'too-many-parts' }, /up to 1,000 parts/, /packed into one/],
  [{ kind: 'unreadable', obstacle: 'headers-too-large' }, /up to 1 MB/, /as a new mail/],
  [{ kind: 'unreadable', obstacle: 'text-too-long' }, /up to 4 MB of text/, /attached/],
  [{ kind: 'unreadable', obstacle: 'too-slow' }, /could not be read in time/, /plain mail/],
  [
    { kind: 'mail-too-large', sizeBytes: 31e6, limitBytes: 20 << 20 },
    /^This mail is too large: 30 MB/,
    /up to 20 MB/,
  ],
  [{ kind: 'command-too-large', limitBytes: 1 << 20 }, /up to 1 MB/],
  [
    {
      kind: 'too-old',
      mails: [{ subject: '', receivedAt: new Date('2026-11-15T14:32:00Z') }],
      maxMailAgeMs: 86_400_000,
      now: new Date('2026-11-22T10:00:00Z'),
    },
    /^Your mail was too old to be run\n/,
    /longer than 24 h/,
    /\* \(no subject\) \(Sun 15 Nov, 14:32 UTC\)\n/,
    /To run it, send it again\./,
  ],
  ...(['sender', 'thread', 'all'] as const).map((limit): [Notice, ...RegExp[]] => [
    { kind: 'too-many', limit, maximum: 200, againAt: new Date(1_920_000), now: new Date(0) },
    /^(You have sent|This thread has had|Threadbox has had) too many commands in the last hour\n/,
    /^Nothing was run\. Threadbox takes 200 mails an hour (from one sender|for one thread|in all), as/m,
    /There is room again at 00:32 UTC\./,
    /no other mail tells you so\. After that, send it again/,
  ]),
  [
    { kind: 'looks-automatic', command: './deploy now\n' },
    /^Not run again: it looked like an automatic answer\n/,
    /Nothing was run\. This is the very text that failed a moment ago/,
    /\n {2}\.\/deploy now\n/,
    /a line that says # again is enough/,
    /for an hour no other mail tells you so/,
  ],
  [
    { kind: 'deadly', messageNumber: 42 },
    /^Threadbox stopped each time it read this mail\n\nNothing was run\./,
    /again in other words, as a new, plain mail/,
    /whoever runs this Threadbox: it is message 42 in its log/,
  ],
  [{ kind: 'fault', messageNumber: 42 }, /^A fault of Threadbox/, /Nothing was run/, /under message 42/],
  [
    { kind: 'paused', command: './deploy.sh', reason: 'we move', since: new Date(0), now: new Date(60_000) },
    /^Threadbox is paused, and your command is waiting\n/,
    /\.\/deploy\.sh/,
    /paused it at 00:00 UTC, for this reason:\n\n {2}we move\n/,
    /no need to send anything again/,
  ],
  [
    { kind: 'paused', command: 'ls', reason: '', since: new Date(0), now: new Date(9 * 86_400_000) },
    /paused it on Thu 1 Jan, 00:00 UTC\.\n/,
  ],
  [
    { kind: 'delayed', command: './deploy.sh', reason: 'Docker does not answer\nline two' },
    /^Your command is waiting/,
    /\.\/deploy\.sh/,
    / {2}Docker does not answer\n {2}line two\n/,
    /no need to send it again/,
  ],
];
for (const [notice, ...says] of notices) {
  test(`the notice ${notice.kind} says what happened and what to do next`, () => {
    const { text, html } = renderNotice(notice);
    for (const words of says) assert.match(text, words);
    assert.ok(text.endsWith(`\n\n${REPLY_MARKER}\n`));
    assert.doesNotMatch(text, /\n{3}|undefined|null|\[object/);
    assert.ok(html.includes(REPLY_MARKER));
    assert.doesNotMatch(html, /undefined|\[object/);
  });
}

test('a name from a subject is harmless in the notice about it', () => {
  const name = `<img src=x>\u202e\n${'x'.repeat(500)}`;
  const { text, html } = renderNotice({ kind: 'unknown-repository', name, candidates: names });
  assert.ok(!html.includes('<img'));
  assert.ok(!text.includes('\u202e'));
  assert.ok((text.split('\n')[0]?.length ?? 0) < 130);
});

test('of very many repositories some are named', () => {
  const many = Array.from({ length: 100 }, (_, at) => `repo-${at}`);
  const { text } = renderNotice({ kind: 'which-repository', candidates: many });
  assert.equal(text.match(/ {2}\* /g)?.length, 30);
  assert.match(text, / {2}and 70 more\n/);
});

test('the nearest name is one that was probably meant, or none', () => {
  const table: [written: string, nearest: string | null][] = [
    ['MY-REACT-APP', 'my-react-app'],
    ['react', 'my-react-app'],
    ['my-react-app-2', 'my-react-app'],
    ['api-sevrer', 'api-server'],
    ['webiste', 'website'],
    ['backend', null],
    ['x', null],
    ['', null],
  ];
  for (const [written, nearest] of table) assert.equal(nearestName(written, names), nearest, written);
});
