import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { SMTPServer } from 'smtp-server';
import { openMailbox } from '../../src/mail/inbox/connect.ts';
import { keepRefreshToken } from '../../src/mail/kept-refresh-token.ts';
import { createTokenSource, type TokenSource } from '../../src/mail/oauth.ts';
import { connectSmtp } from '../../src/mail/transport.ts';
import { collectedLog } from '../support/collected-log.ts';
import { startDovecot } from '../support/dovecot.ts';
import { startTokenServer, type TokenServer } from '../support/token-server.ts';

const BOT = 'bot@example.com';

async function start(t: TestContext) {
  const dir = await mkdtemp(join(tmpdir(), 'threadbox-tokens-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const file = join(dir, 'refresh-token.json');
  const server = await startTokenServer(BOT);
  t.after(() => server.close());
  const { log, lines } = collectedLog();
  let nowMs = Date.parse('2026-11-23T14:00:00Z');
  const settings = { tokenUrl: server.tokenUrl, clientId: 'app', clientSecret: 's3cret', scope: 'mail' };
  const source = (refreshToken: string) =>
    createTokenSource(
      { ...settings, refreshToken },
      { now: () => new Date(nowMs), log, kept: keepRefreshToken(file, refreshToken) },
    );
  return {
    server,
    file,
    source,
    tokens: source('refresh-1'),
    lines,
    forward: (minutes: number) => void (nowMs += minutes * 60_000),
  };
}

test('a token is asked for once, kept until shortly before its end, and then renewed', async (t) => {
  const { server, file, source, tokens, forward } = await start(t);
  const both = await Promise.all([tokens.accessToken(), tokens.accessToken()]);
  assert.deepEqual(both, ['token-1', 'token-1']);
  assert.deepEqual(Object.fromEntries(server.asked[0] ?? []), {
    grant_type: 'refresh_token',
    refresh_token: 'refresh-1',
    client_id: 'app',
    client_secret: 's3cret',
    scope: 'mail',
  });
  forward(54);
  assert.equal(await tokens.accessToken(), 'token-1');
  forward(2);
  assert.equal(await tokens.accessToken(), 'token-2');
  assert.equal(await tokens.accessToken('token-1'), 'token-2');
  assert.equal(await tokens.accessToken('token-2'), 'token-3');
  // Microsoft gives a new refresh token with each.
  server.answerWith({ status: 200, body: { access_token: 'x', refresh_token: 'refresh-2', expires_in: 60 } });
  assert.equal(await tokens.accessToken('token-3'), 'x');
  forward(1);
  await tokens.accessToken();
  assert.equal(server.asked.at(-1)?.get('refresh_token'), 'refresh-2');
  // After a restart, too; until another one is set.
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  await source('refresh-1').accessToken();
  assert.equal(server.asked.at(-1)?.get('refresh_token'), 'refresh-2');
  await source('set-anew').accessToken();
  assert.equal(server.asked.at(-1)?.get('refresh_token'), 'set-anew');
});

test('a refused refresh token is an alert in words, once, and is not tried again at once', async (t) => {
  const { server, tokens, lines, forward } = await start(t);
  const body = { error: 'invalid_grant', error_description: 'Token has been expired or revoked.' };
  server.answerWith({ status: 400, body });
  const refusal = {
    code: 'OAUTH_REFUSED',
    message:
      /^the token server 127\.0\.0\.1:\d+ refuses OAUTH_REFRESH_TOKEN or OAUTH_CLIENT_ID \(invalid_grant: Token has been expired or revoked\.\)\. Log in once more, set the new refresh token, and start Threadbox again$/,
  };
  await assert.rejects(tokens.accessToken(), refusal);
  await assert.rejects(tokens.accessToken(), refusal);
  assert.equal(server.asked.length, 1);
  forward(2);
  await assert.rejects(tokens.accessToken(), refusal);
  assert.equal(server.asked.length, 2);
  assert.equal(lines.filter(({ level }) => level === 50).length, 1);
  assert.doesNotMatch(JSON.stringify(lines), /refresh-1|s3cret/);
  server.answerWith(null);
  forward(2);
  assert.equal(await tokens.accessToken(), 'token-1');
});

test('a token server that is unwell is asked again, and says so without a secret', async (t) => {
  const { server, tokens, lines } = await start(t);
  for (const [status, body] of [
    [503, { error: 'temporarily_unavailable' }],
    [500, {}],
  ] as const) {
    server.answerWith({ status, body });
    const said =
      /^the token server 127\.0\.0\.1:\d+ could not be used: (?:temporarily_unavailable|HTTP 500)$/;
    await assert.rejects(tokens.accessToken(), { code: 'OAUTH_UNAVAILABLE', message: said });
  }
  assert.deepEqual(lines, []);
  server.answerWith(null);
  assert.equal(await tokens.accessToken(), 'token-1');
});

test('Dovecot lets us in with a token; one that was taken back is replaced with the next login', async (t) => {
  const { server, tokens } = await start(t);
  const dovecot = await startDovecot({ introspectionUrl: server.introspectionUrl });
  t.after(() => dovecot.close());
  const open = async () => (await openMailbox(dovecot.account(BOT), tokens, 'INBOX')).close();
  await open();
  assert.deepEqual(server.given, ['token-1']);
  server.takeBack();
  await assert.rejects(open(), { code: 'IMAP_LOGIN_REFUSED' });
  await open();
  assert.deepEqual(server.given, ['token-1', 'token-2']);
});

test('an SMTP server lets us in with a token, and gets a new one when it does not take it', async (t) => {
  const { server, tokens } = await start(t);
  const { port, takes, seen } = await startOauthSmtp(t, server);
  const smtp = { host: '127.0.0.1', port, user: BOT, tls: 'offered', verifyCertificate: false } as const;
  const send = (with_: TokenSource) => {
    const transport = connectSmtp(smtp, with_);
    t.after(() => transport.close());
    return transport.send({
      raw: Buffer.from('Subject: x\r\n\r\nx\r\n'),
      from: BOT,
      to: ['john@example.com'],
    });
  };
  await send(tokens);
  takes.only = 'token-2';
  await send(tokens);
  assert.deepEqual(seen, ['token-1', 'token-1', 'token-2']);
  takes.only = 'none';
  server.answerWith({ status: 503, body: { error: 'temporarily_unavailable' } });
  // That passes: it is asked again soon.
  await assert.rejects(send(tokens), { fault: 'server', message: /the token server .* could not be used/ });
  server.answerWith({ status: 400, body: { error: 'invalid_grant' } });
  await assert.rejects(send(tokens), {
    code: 'SEND',
    fault: 'login',
    message: /refuses OAUTH_REFRESH_TOKEN/,
  });
});

async function startOauthSmtp(t: TestContext, tokens: TokenServer) {
  const seen: string[] = [];
  const takes: { only: string | null } = { only: null };
  const smtp = new SMTPServer({
    disabledCommands: ['STARTTLS'],
    authMethods: ['XOAUTH2'],
    allowInsecureAuth: true,
    disableReverseLookup: true,
    closeTimeout: 100,
    onAuth({ username, accessToken = '' }, _session, callback) {
      seen.push(accessToken);
      const isTaken = tokens.given.includes(accessToken) && (takes.only ?? accessToken) === accessToken;
      if (username === BOT && isTaken) callback(null, { user: username });
      else callback(null, { data: { status: '401', schemes: 'bearer', scope: 'mail' } });
    },
  });
  smtp.on('error', () => {});
  smtp.listen(0, '127.0.0.1');
  await once(smtp.server, 'listening');
  t.after(() => new Promise<void>((resolve) => smtp.close(() => resolve())));
  return { port: (smtp.server.address() as AddressInfo).port, takes, seen };
}
