import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Door } from '../../src/http/door.ts';
import type { Intake } from '../../src/commands/judge.ts';
import { readMime } from '../../src/mail/mime.ts';
import { addRepository, removeRepository } from '../../src/store/repositories.ts';
import { registerUser, setUser } from '../../src/store/users.ts';
import { collectedLog } from '../support/collected-log.ts';
import { ADMIN, HOUR_MS, OTHER, send, stage } from './sql-stage.ts';

const LINK = /^https:\/\/box\.example\.com\/#\/login\/([\w-]{43})$/m;

/** The way of an admin from a mail to the page, as far as the database decides it. */
export function loginTests(): void {
  const withConfig = async (change: Partial<Intake['config']>, work: () => Promise<void>) => {
    const before = stage.intake;
    stage.intake = { ...before, config: { ...before.config, ...change } };
    try {
      await work();
    } finally {
      stage.intake = before;
    }
  };
  const asPublic = (work: () => Promise<void>) => withConfig({ publicUrl: 'https://box.example.com' }, work);
  const { log, lines } = collectedLog();
  const newDoor = () => {
    const { db, config, now } = stage.intake;
    return new Door({ db, config, now, log });
  };

  test('[login] of an admin is answered with a link, good once and for ten minutes, of which a hash is kept', async () => {
    await asPublic(async () => {
      const { db } = stage.database;
      const { taken, answer } = await send('[login]', '');
      assert.deepEqual(taken, { kind: 'answered', reason: 'login-link' });
      const { text, raw } = await answer();
      const { html } = await readMime(raw);
      assert.match(
        text,
        /^Your link to the Container Monitor\n\nIt is good once, until .* UTC\. Open it, and/,
      );
      const [, secret = ''] = LINK.exec(text) ?? [];
      assert.ok(html.includes(`href="https://box.example.com/#/login/${secret}"`));
      assert.doesNotMatch(text, /ssh -L/);
      const rows = await db.raw<{ rows: { row: string }[] }>('select l::text as row from login_links l');
      assert.ok(!JSON.stringify(rows.rows).includes(secret));

      const door = newDoor();
      const wrong = await door.logInByLink(`x${secret.slice(1)}`, '192.0.2.7');
      assert.deepEqual('problem' in wrong && wrong.problem.name, 'spent-link');
      const done = await door.logInByLink(secret, '192.0.2.7');
      assert.ok('caller' in done);
      assert.deepEqual([done.caller.by, done.caller.role], [ADMIN, 'admin']);
      assert.ok('problem' in (await door.logInByLink(secret, '192.0.2.7')));
      const used = await db('login_links').first('used_from', 'address').whereNotNull('used_at');
      assert.deepEqual(used, { used_from: '192.0.2.7', address: ADMIN });
      const said = new Set(lines.map(({ msg }) => msg));
      assert.ok(said.has('an admin has logged in by a link'));
      assert.ok(said.has('a link to log in by was not taken'));

      const late = LINK.exec((await (await send('Re: [login]', 'thanks')).answer()).text)?.[1] ?? '';
      stage.aheadMs = 600_001;
      assert.ok('problem' in (await newDoor().logInByLink(late, '192.0.2.7')));
    });
  });

  test('who is no admin is answered as if there was no such thing, and who is none any more is let out', async () => {
    await asPublic(async () => {
      for (const from of ['nobody@example.com', `x-${ADMIN}`]) {
        const { taken, answer } = await send('[login] please', 'let me in', { from });
        assert.deepEqual(taken, { kind: 'answered', reason: 'unknown-repository' });
        const { text } = await answer();
        assert.match(text, /no repository called login/i);
        assert.doesNotMatch(text, /monitor|admin|#\//i);
      }
      const { db } = stage.database;
      await registerUser(db, OTHER, '');
      const role = (name: 'admin' | 'user') => setUser(db, OTHER, { role: name });
      await role('admin');
      const link = async () =>
        LINK.exec(
          (await (await send('hello', '', { from: OTHER, to: 'bot+login@threadbox.test' })).answer()).text,
        )?.[1] ?? '';
      const [first, second] = [await link(), await link()];
      const door = newDoor();
      const done = await door.logInByLink(first, '::1');
      assert.ok('caller' in done);
      const headers = new Headers({ cookie: `threadbox_session=${done.cookie}` });
      assert.equal(await door.isStillLetIn(done.caller, headers), true);
      await role('user');
      assert.equal(await door.isStillLetIn(done.caller, headers), false);
      assert.ok('problem' in (await door.callerFrom({ headers, address: '::1', changes: false })));
      assert.ok('problem' in (await door.logInByLink(second, '::1')));
    });
  });

  test('there are five links an hour, none where nobody is verified or the page is nowhere, and a way told to it', async () => {
    const textOf = async (subject = '[login]') => (await (await send(subject, '')).answer()).text;
    stage.aheadMs = 2 * HOUR_MS;
    const local = await textOf();
    assert.match(local, /^http:\/\/127\.0\.0\.1:8330\/#\/login\/[\w-]{43}$/m);
    assert.match(local, /\n {2}ssh -L 8330:127\.0\.0\.1:8330 HOST\n[^]*PUBLIC_URL has to say so/);
    await withConfig({ http: null }, async () => {
      assert.match(await textOf(), /^The Container Monitor cannot be opened by a link\n[^]*HTTP_LISTEN=off/);
    });
    await withConfig({ http: { host: '0.0.0.0', port: 8330 } }, async () => {
      assert.match(await textOf(), /does not know under which address[^]*\n {2}PUBLIC_URL=https:/);
    });
    await withConfig({ imap: {} as never, senderAuth: 'none' }, async () => {
      assert.match(await textOf(), /^No login by mail while nobody is verified\n/);
    });
    for (let made = 1; made < 5; made += 1) assert.match(await textOf(), /^Your link/);
    assert.match(
      await textOf(),
      /^No more links this hour\n\nYou have had 5 links in the last hour\. There is another one at /,
    );
    stage.aheadMs = 3 * HOUR_MS + 1000;
    assert.match(await textOf(), /^Your link/);
  });

  test('LOGIN_BY_MAIL=off: no such thing for admins either, and a link from before lets nobody in', async () => {
    stage.aheadMs = 5 * HOUR_MS;
    const [, secret = ''] =
      /\/#\/login\/([\w-]{43})$/m.exec((await (await send('[login]', '')).answer()).text) ?? [];
    await withConfig({ loginByMail: false }, async () => {
      const { taken, answer } = await send('[login]', '');
      assert.deepEqual(taken, { kind: 'answered', reason: 'unknown-repository' });
      const { text } = await answer();
      assert.match(text, /^There is no repository called login\n/);
      assert.doesNotMatch(text, /monitor|#\//i);
      const refused = await newDoor().logInByLink(secret, '::1');
      assert.deepEqual('problem' in refused && refused.problem.name, 'no-token');
    });
    assert.ok('caller' in (await newDoor().logInByLink(secret, '::1')));
  });

  test('a repository that is called login from before stays one', async () => {
    const { db } = stage.database;
    await addRepository(db, {
      name: 'Login',
      url: 'https://git.example.com/l.git',
      branch: null,
      threadBy: null,
    });
    assert.equal((await send('[login]', 'npm test')).taken.kind, 'command');
    await removeRepository(db, 'Login');
  });
}
