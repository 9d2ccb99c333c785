import assert from 'node:assert/strict';
import { test } from 'node:test';
import { revokeToken } from '../../src/store/api-tokens.ts';
import type { Stage } from '../lifecycle/stage.ts';
import { BOB } from '../support/app.ts';
import { until } from '../support/until.ts';
import type { Client, Json } from './client.ts';

/** What strangers and clumsy programs send, to a bot that runs already. */
export function hostileTests(
  open: () => Client & { stage: Stage },
  threadOf: (label: string) => string,
): void {
  test('lists go on where the cursor says, and find what is looked for; whatever is sent, nothing breaks', async () => {
    const { ask, base, admin } = open();
    const all = (await ask('GET', '/api/v1/commands?limit=200')).body as { items: { id: number }[] };
    const seen: number[] = [];
    for (let next: string | null = ''; next !== null;) {
      const query: string = next === '' ? '' : `&cursor=${next}`;
      const { body } = await ask('GET', `/api/v1/commands?limit=1${query}`);
      const { items, nextCursor } = body as { items: { id: number }[]; nextCursor: string | null };
      seen.push(...items.map(({ id }) => id));
      next = nextCursor;
    }
    assert.deepEqual(
      seen,
      all.items.map(({ id }) => id),
    );
    const found = (await ask('GET', '/api/v1/threads?q=%23care')).body as { items: Json[] };
    assert.deepEqual(
      found.items.map(({ id }) => id),
      [threadOf('care')],
    );
    assert.deepEqual(((await ask('GET', '/api/v1/threads?q=%25')).body as { items: Json[] }).items, []);
    const mails = (await ask('GET', '/api/v1/messages?direction=in&outcome=command&limit=1')).body as {
      items: Json[];
    };
    assert.equal(mails.items[0]?.['outcome'], 'command');
    assert.equal((await ask('GET', '/api/v1/messages?refused=true')).status, 200);

    // A name is its thread's, and so the next container's, too: what is sent again would meet that.
    const ended = (await ask('GET', '/api/v1/containers/sessions?active=false&limit=1')).body as typeof mails;
    const { containerId, containerName } = ended.items[0] as Record<string, string>;
    assert.equal((await ask('POST', `/api/v1/containers/${containerId}/extend`)).status, 409);
    assert.equal((await ask('POST', `/api/v1/containers/${containerName}/extend`)).status, 404);

    for (const [path, status] of [
      ['/api/v1/commands?limit=0', 400],
      ['/api/v1/commands?limit=1&limit=2', 400],
      ['/api/v1/commands?cursor=AAAA', 400],
      ['/api/v1/commands?nonsense=1', 400],
      ['/api/v1/threads?q=%00', 400],
      ['/api/v1/commands/999999', 404],
      ['/api/v1/commands/1;drop%20table%20commands', 404],
      ['/api/v1/commands/99999999999999999999999', 404],
      ['/api/v1/commands/%00', 404],
      ['/api/v1/threads/..%2F..%2Fetc/commands', 404],
      ['/api/v1/threads/%00/commands', 404],
      ['/api/v1/threads/%ff/commands', 404],
      ['/api/v1/containers/%27%20or%201=1/usage', 404],
      ['/api/v1/containers/%00/usage', 404],
      ['/api/v1/nothing', 404],
      ['/%2e%2e/package.json', 404],
    ] as const) {
      assert.equal((await ask('GET', path)).status, status, path);
    }
    for (const [body, headers, status] of [
      ['{}', { 'Content-Type': 'text/plain' }, 400],
      ['[1]', { 'Content-Type': 'application/json' }, 400],
      ['{"minutes":', { 'Content-Type': 'application/json' }, 400],
      ['{"minutes":"1"}', { 'Content-Type': 'application/json' }, 400],
      ['{"minutes":1,"more":1}', { 'Content-Type': 'application/json' }, 400],
      [`"${'x'.repeat(20_000)}"`, { 'Content-Type': 'application/json' }, 413],
    ] as const) {
      const response = await fetch(`${base}/api/v1/containers/abc/extend`, {
        method: 'POST',
        body,
        headers: { ...headers, Authorization: `Bearer ${admin}` },
      });
      assert.equal(response.status, status, body.slice(0, 40));
      assert.equal(response.headers.get('content-type'), 'application/problem+json');
    }
  });

  test('who asks for the head alone holds no place among those who watch, and no log', async () => {
    const { ask, base, reader } = open();
    const { body } = await ask('GET', '/api/v1/commands?q=seq%2030000');
    const [{ id } = assert.fail()] = (body as { items: { id: number }[] }).items;
    for (const path of ['/api/v1/events', `/api/v1/commands/${id}/log`]) {
      const asking = { method: 'HEAD', headers: { Authorization: `Bearer ${reader}` } };
      const all = Array.from({ length: 6 }, async () => (await fetch(`${base}${path}`, asking)).status);
      for (const status of await Promise.all(all))
        assert.ok([200, 429].includes(status), `${path} ${status}`);
    }
    assert.equal((await ask('GET', `/api/v1/commands/${id}/log`)).status, 200);
    await until(async () => /^threadbox_watchers 0$/m.test((await ask('GET', '/metrics')).body));
  });

  test('a page logs in with a token; its cookie changes nothing without the page, and goes with the token', async () => {
    const { ask, base, admin, makeToken, stage } = open();
    const temporary = await makeToken('temporary', 'admin');
    const login = await ask('POST', '/api/v1/login', { token: null, body: { token: temporary } });
    const setCookie = login.headers.get('set-cookie') ?? '';
    assert.match(
      setCookie,
      /^threadbox_session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200$/,
    );
    const Cookie = setCookie.split(';')[0] as string;
    const csrf = (login.body as Json)['csrfToken'] as string;
    const asPage = (headers: Record<string, string>) =>
      ask('POST', '/api/v1/resume', { token: null, headers: { Cookie, ...headers } });
    assert.equal(
      ((await ask('GET', '/api/v1/session', { token: null, headers: { Cookie } })).body as Json)['name'],
      'temporary',
    );
    assert.equal((await asPage({})).status, 403);
    assert.equal((await asPage({ 'X-CSRF-Token': 'x'.repeat(43) })).status, 403);
    assert.equal((await asPage({ 'X-CSRF-Token': csrf, Origin: 'https://evil.example' })).status, 403);
    assert.equal((await asPage({ 'X-CSRF-Token': csrf, 'Sec-Fetch-Site': 'cross-site' })).status, 403);
    assert.equal((await asPage({ 'X-CSRF-Token': csrf, Origin: base })).status, 200);
    const fromElsewhere = { 'Sec-Fetch-Site': 'cross-site' };
    assert.equal(
      (
        await ask('POST', '/api/v1/login', {
          token: null,
          body: { token: temporary },
          headers: fromElsewhere,
        })
      ).status,
      403,
    );
    await revokeToken(stage.bot.app.db, 'Temporary');
    assert.equal((await asPage({ 'X-CSRF-Token': csrf })).status, 401);
    assert.equal((await ask('GET', '/api/v1/session', { token: temporary })).status, 401);
    const second = await ask('POST', '/api/v1/login', { token: null, body: { token: admin } });
    const own = { Cookie: (second.headers.get('set-cookie') ?? '').split(';')[0] as string };
    const ownCsrf = (second.body as Json)['csrfToken'] as string;
    assert.equal(
      (await ask('POST', '/api/v1/logout', { token: null, headers: { ...own, 'X-CSRF-Token': ownCsrf } }))
        .status,
      200,
    );
    assert.equal((await ask('GET', '/api/v1/session', { token: null, headers: own })).status, 401);
  });

  test('an admin who mails [login] gets a link, good once, whose button makes a session; no line of the log has it', async () => {
    const { ask, base, stage } = open();
    const mail = await stage.ask('', { from: BOB, subject: '[login]' });
    const [, secret = ''] = /^http:\/\/127\.0\.0\.1:0\/#\/login\/([\w-]{43})$/m.exec(mail.text) ?? [];
    assert.equal(secret.length, 43);
    const press = (headers: Record<string, string>) =>
      ask('POST', '/api/v1/login/link', { token: null, body: { secret }, headers });
    assert.equal((await press({ 'Sec-Fetch-Site': 'cross-site' })).status, 403);
    const done = await press({ 'X-Forwarded-Proto': 'https' });
    assert.match(done.headers.get('set-cookie') ?? '', /; HttpOnly; SameSite=Strict; Max-Age=43200; Secure$/);
    const Cookie = (done.headers.get('set-cookie') ?? '').split(';')[0] as string;
    const csrf = (done.body as Json)['csrfToken'] as string;
    const headers = { Cookie, 'X-CSRF-Token': csrf, Origin: base };
    assert.equal((await ask('POST', '/api/v1/resume', { token: null, headers })).status, 200);
    assert.ok(stage.bot.lines.some((line) => line.msg.endsWith('asked for resume') && line['by'] === BOB));
    const again = await press({});
    assert.equal(again.status, 401);
    assert.match(
      (again.body as Json)['detail'] as string,
      /^A link is good once, and for ten minutes\. Mail the bot/,
    );
    const withSecret = stage.bot.lines.filter((line) => JSON.stringify(line).includes(secret));
    assert.deepEqual(withSecret, []);
  });

  test('wrong tokens are slowed down, and the right one still is let in', async () => {
    const { ask, admin } = open();
    const wrong = `tbx_1_${'A'.repeat(43)}`;
    for (const token of ['', 'x', wrong, `${admin}x`, admin.replace(/^tbx_\d+/, 'tbx_99')]) {
      assert.ok([401, 429].includes((await ask('GET', '/api/v1/session', { token })).status), token);
    }
    const refused = await until(async () => {
      const answer = await ask('GET', '/api/v1/session', { token: wrong });
      return answer.status === 429 && answer;
    });
    assert.match(refused.headers.get('retry-after') ?? '', /^[1-9]$/);
    assert.equal((await ask('GET', '/api/v1/session')).status, 200);
  });
}
