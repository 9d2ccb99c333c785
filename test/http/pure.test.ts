import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Activity } from '../../src/activity.ts';
import { isSecret, newSecret, readToken, tokenText } from '../../src/api-token.ts';
import { usageFrom } from '../../src/containers/usage.ts';
import { readRange } from '../../src/http/byte-range.ts';
import { cursorOf, readCursorText } from '../../src/http/cursor.ts';
import { eventText } from '../../src/http/events.ts';
import { loadConfig } from '../../src/config.ts';
import { isLocal } from '../../src/http/headers.ts';
import { reasonKey } from '../../src/http/metrics.ts';
import { RateLimit, take } from '../../src/http/rate-limit.ts';
import { cookieIn, IDLE_MS, isFromThePage, isOverTls, WebSessions } from '../../src/http/web-sessions.ts';
import { isLoopbackHost, LOGGED_IN_MS, pageAddress } from '../../src/page-address.ts';
import { PartBook } from '../../src/part-book.ts';
import { clockReport, diskReport, imapReport, smtpReport } from '../../src/readiness.ts';
import { histogramOf } from '../../src/store/metric-figures.ts';
import { containing } from '../../src/store/pages.ts';

const NOON = new Date('2026-11-23T12:00:00Z');
const later = (ms: number) => new Date(NOON.getTime() + ms);

test('a token is found by its number and judged by its secret, of which only a hash is kept', () => {
  const { secret, hash } = newSecret();
  assert.equal(Buffer.from(secret, 'base64url').length, 32);
  assert.equal(hash.length, 32);
  const text = tokenText(7, secret);
  assert.deepEqual(readToken(text), { id: 7, secret });
  assert.equal(isSecret(secret, hash), true);
  assert.equal(isSecret(newSecret().secret, hash), false);
  for (const odd of [
    '',
    'tbx_7_',
    `${text}x`,
    `x${text}`,
    `tbx_-7_${secret}`,
    `tbx_7_${secret.slice(1)}`,
    `${text}\n`,
  ]) {
    assert.equal(readToken(odd), null, odd);
  }
});

test('an allowance is spent one by one, and grows back with time and not beyond its bounds', () => {
  const rate = { burst: 2, perSecond: 0.5 };
  const first = take(undefined, rate, 0);
  const second = take(first.after, rate, 0);
  assert.deepEqual([first.waitSeconds, second.waitSeconds], [0, 0]);
  assert.equal(take(second.after, rate, 0).waitSeconds, 2);
  assert.equal(take(second.after, rate, 2000).waitSeconds, 0);
  assert.equal(take(second.after, rate, 3_600_000).after.left, 1);
  // A clock that is set back gives nothing, and takes nothing.
  assert.equal(take(second.after, rate, -5000).waitSeconds, 2);
  const limit = new RateLimit(rate);
  const of = (address: string) => limit.take(address, 0);
  assert.deepEqual([of('a'), of('a'), of('a'), of('b')], [0, 0, 2, 0]);
});

test('a Range is read as RFC 9110 says', () => {
  const cases: [string | undefined, number, ReturnType<typeof readRange>][] = [
    [undefined, 10, 'whole'],
    ['bytes=0-3', 10, { first: 0, last: 3 }],
    ['bytes=5-', 10, { first: 5, last: 9 }],
    ['bytes=-3', 10, { first: 7, last: 9 }],
    ['bytes=-30', 10, { first: 0, last: 9 }],
    ['bytes=8-100', 10, { first: 8, last: 9 }],
    ['bytes=10-', 10, 'unsatisfiable'],
    ['bytes=-0', 10, 'unsatisfiable'],
    ['bytes=0-', 0, 'unsatisfiable'],
    ['bytes=3-1', 10, 'whole'],
    ['bytes=0-1,4-5', 10, 'whole'],
    ['lines=0-1', 10, 'whole'],
    ['bytes=-', 10, 'whole'],
  ];
  for (const [header, size, expected] of cases) assert.deepEqual(readRange(header, size), expected, header);
});

test('a cursor is taken back as it was given out, and nothing else is', () => {
  assert.equal(cursorOf(null), null);
  assert.equal(readCursorText(cursorOf(42) ?? ''), 42);
  for (const odd of ['', '42', 'AAAA', Buffer.from('before:-1').toString('base64url')]) {
    assert.equal(readCursorText(odd), null, odd);
  }
  assert.equal(containing('50%_\\'), String.raw`%50\%\_\\%`);
});

const LET_IN = { kind: 'token', id: 1 } as const;

test('a cookie is for TLS alone where the page is reached so', () => {
  const at = (publicUrl: string | null, headers: Record<string, string>) =>
    isOverTls(new Headers(headers), { publicUrl });
  assert.equal(at(null, { host: 'box.example.com' }), false);
  assert.equal(at(null, { host: 'box.example.com', 'x-forwarded-proto': 'https' }), true);
  assert.equal(at('https://box.example.com', { host: 'box.example.com' }), true);
  // Through ssh, past the proxy.
  assert.equal(at('https://box.example.com', { host: '127.0.0.1:8330' }), false);
  assert.equal(at('http://box.example.com', { host: 'box.example.com' }), false);
});

test('a link leads to PUBLIC_URL, else to where the page is served; no link leads to all addresses of a machine', () => {
  const http = (host: string) => ({ http: { host, port: 8330 }, publicUrl: null });
  assert.deepEqual(pageAddress({ http: null, publicUrl: 'https://box.example.com' }), { kind: 'off' });
  for (const [config, origin, isHereOnly] of [
    [{ ...http('0.0.0.0'), publicUrl: 'https://box.example.com' }, 'https://box.example.com', false],
    [http('127.0.0.1'), 'http://127.0.0.1:8330', true],
    [http('::1'), 'http://[::1]:8330', true],
    [http('192.0.2.1'), 'http://192.0.2.1:8330', false],
  ] as const) {
    assert.deepEqual(pageAddress(config), { kind: 'at', origin, isHereOnly });
  }
  for (const host of ['0.0.0.0', '::']) assert.deepEqual(pageAddress(http(host)), { kind: 'unknown' });
});

test('the address of the page has nothing behind it', () => {
  const of = (written: string) => loadConfig({ PUBLIC_URL: written }).config.publicUrl;
  assert.equal(of(''), null);
  assert.equal(of('https://Box.example.com/'), 'https://box.example.com');
  assert.equal(of('http://[::1]:8330'), 'http://[::1]:8330');
  for (const odd of [
    'box.example.com',
    'ftp://box',
    'https://box/threadbox',
    'https://me:pw@box',
    'https://',
  ])
    assert.throws(() => of(odd), /PUBLIC_URL: expected the address of the page/, odd);
});

test('who is let in by a cookie is so for an hour at rest and twelve in all', () => {
  const sessions = new WebSessions();
  const { cookie, session } = sessions.open(LET_IN, 0);
  assert.equal(cookieIn(`a=b; threadbox_session=${cookie}`, 'threadbox_session'), cookie);
  assert.equal(cookieIn('xthreadbox_session=1', 'threadbox_session'), null);
  assert.equal(sessions.find(cookie, IDLE_MS), session);
  assert.equal(sessions.find(cookie, 2 * IDLE_MS), session);
  assert.equal(sessions.find(cookie, 3 * IDLE_MS + 1), null);
  const other = sessions.open(LET_IN, 0).cookie;
  for (let at = 0; at <= LOGGED_IN_MS; at += IDLE_MS) assert.ok(sessions.find(other, at));
  assert.equal(sessions.find(other, LOGGED_IN_MS + 1), null);
  const third = sessions.open(LET_IN, 0).cookie;
  sessions.close(third);
  assert.equal(sessions.find(third, 0), null);
});

test('only the page itself changes something by a cookie', () => {
  const session = { csrfToken: 'token' };
  const asked = { given: 'token', origin: 'https://bot.example', host: 'bot.example', site: 'same-origin' };
  assert.equal(isFromThePage(session, asked), true);
  assert.equal(isFromThePage(session, { ...asked, origin: undefined, site: undefined }), true);
  for (const forged of [
    { given: undefined },
    { given: 'tokem' },
    { given: '' },
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { site: 'same-site' },
    { site: 'cross-site' },
    { site: 'none' },
  ]) {
    assert.equal(isFromThePage(session, { ...asked, ...forged }), false, JSON.stringify(forged));
  }
});

test('this machine is told from a proxy on it, and from a name that leads here', () => {
  const headers = (more: Record<string, string>) => new Headers({ host: '127.0.0.1:8330', ...more });
  assert.equal(isLocal('127.0.0.1', headers({})), true);
  assert.equal(isLocal('::ffff:127.0.0.1', headers({ host: 'localhost:8330' })), true);
  assert.equal(isLocal('127.0.0.1', headers({ host: 'evil.example:8330' })), false);
  assert.equal(isLocal('127.0.0.1', headers({ 'x-forwarded-for': '203.0.113.1' })), false);
  assert.equal(isLocal('192.0.2.1', headers({})), false);
  assert.deepEqual(['127.0.0.1', '::1', 'localhost', '0.0.0.0', '::', '192.0.2.1'].map(isLoopbackHost), [
    true,
    true,
    true,
    false,
    false,
    false,
  ]);
});

test('whoever comes back hears what they missed, or that it is not known any more', () => {
  const activity = new Activity('e');
  const heard: string[] = [];
  const end = activity.listen(({ event }) => heard.push(event));
  activity.tell('one', {});
  const { lastId } = activity;
  activity.tell('two', {});
  end();
  activity.tell('three', {});
  assert.deepEqual(heard, ['one', 'two']);
  assert.deepEqual(
    activity.since(lastId)?.map(({ event }) => event),
    ['two', 'three'],
  );
  assert.deepEqual(activity.since(activity.lastId), []);
  assert.equal(activity.since('other-1'), null);
  assert.equal(activity.since('e-99'), null);
  assert.equal(activity.since('nonsense'), null);
  for (let index = 0; index < 3000; index += 1) activity.tell('more', {});
  assert.equal(activity.since(lastId), null);
  const data = { text: 'a\n\nevent: forged\r\ndata: {}' };
  assert.equal(eventText({ id: 'e-1', event: 'x', data }).split('\n').length, 5);
});

test('an IMAP listener that has heard nothing for two renewals is not ready, whatever its state', () => {
  const heard = { state: 'up', heardAt: NOON, reason: null, losses: 0 } as const;
  assert.equal(imapReport(heard, later(120_000)).isReady, true);
  const silent = imapReport(heard, later(151_000));
  assert.deepEqual([silent.isReady, silent.detail], [false, 'nothing was heard for 151 s']);
  assert.equal(imapReport({ ...heard, heardAt: null, state: 'unknown' }, NOON).isReady, false);
  const down = imapReport({ ...heard, state: 'down', reason: 'login refused' }, NOON);
  assert.deepEqual([down.isReady, down.detail], [false, 'login refused']);
  assert.equal(smtpReport({ ...heard, heardAt: null, state: 'unknown' }).isReady, true);
  assert.equal(smtpReport({ ...heard, state: 'down' }).isReady, false);
  assert.equal(diskReport(255 << 20, NOON).isReady, false);
  assert.equal(diskReport(256 << 20, NOON).isReady, true);
  assert.equal(clockReport(later(60_000), NOON).isReady, true);
  assert.match(clockReport(later(-61_000), NOON).detail, /^61 s apart.*synchronise/);
});

test('a part is lost once for each time it goes', () => {
  let now = NOON;
  const book = new PartBook<'imap'>(() => now);
  book.heard('imap');
  now = later(1000);
  book.lost('imap', new Error('gone'));
  book.lost('imap', new Error('still gone'));
  assert.deepEqual(book.of('imap'), { state: 'down', heardAt: NOON, reason: 'still gone', losses: 1 });
  book.heard('imap');
  book.lost('imap', new Error('again'));
  assert.equal(book.of('imap').losses, 2);
});

test('a reason becomes a label of which there are few', () => {
  assert.equal(reasonKey('sender not verified: dkim=fail of evil.example'), 'sender_not_verified');
  assert.equal(reasonKey('the sender is not allowed'), 'the_sender_is_not_allowed');
  assert.equal(reasonKey(''), 'unknown');
});

test("a container's share of a CPU is what it spent between two looks", () => {
  const stats = {
    memory_stats: { usage: 300, stats: { inactive_file: 100 } },
    cpu_stats: { cpu_usage: { total_usage: 2e9 } },
    pids_stats: { current: 3 },
  };
  const at = { cpuNs: 2e9, atMs: 2000 };
  const allowed = { Memory: 1000, NanoCpus: 5e8, PidsLimit: 64 };
  assert.deepEqual(usageFrom(stats, allowed, at, null), {
    memoryBytes: 200,
    memoryLimitBytes: 1000,
    cpus: null,
    cpuLimit: 0.5,
    processes: 3,
    processLimit: 64,
  });
  assert.equal(usageFrom(stats, allowed, at, { cpuNs: 1.5e9, atMs: 1000 })?.cpus, 0.5);
  assert.equal(usageFrom({}, allowed, at, null), null);
});

test('a histogram counts what lies at or below each bound', () => {
  const buckets = [
    { bucket: 3, count: 1, sum: 90 },
    { bucket: 0, count: 2, sum: 0.1 },
    { bucket: 2, count: 4, sum: 6 },
  ];
  assert.deepEqual(histogramOf(buckets, 3), { counts: [2, 2, 6], total: 7, sumSeconds: 96.1 });
  assert.deepEqual(histogramOf([], 2), { counts: [0, 0], total: 0, sumSeconds: 0 });
});
