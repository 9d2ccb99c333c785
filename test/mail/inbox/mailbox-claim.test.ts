import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mailboxClaim, ownerOf, type Claim, type ClaimParts } from '../../../src/mail/inbox/mailbox-claim.ts';
import { DEADLINES } from '../../../src/mail/inbox/connect.ts';
import { startDovecot, type Dovecot } from '../../support/dovecot.ts';
import { listen, mail, newUser } from '../../support/listening.ts';
import { until } from '../../support/until.ts';

test('a mailbox belongs to who claimed it first, or took it over from that one', () => {
  const claims = (...said: readonly string[]): Claim[] =>
    said.map((words, index) => {
      const [installation = '', insteadOf = null, mailbox = 'INBOX'] = words.split(' ');
      return { uid: index + 1, installation, mailbox, insteadOf: insteadOf || null, arrivedAt: new Date(0) };
    });
  const table: [said: readonly string[], owner: string | undefined][] = [
    [[], undefined],
    [['a'], 'a'],
    [['a', 'b'], 'a'],
    [['a', 'b', 'a'], 'a'],
    [['a', 'b a'], 'b'],
    [['a', 'b a', 'c a'], 'b'],
    [['a', 'b a', 'c b'], 'c'],
    [['a', 'b a', 'a b'], 'a'],
    [['b  Other', 'a'], 'a'],
    [['b a'], 'b'],
  ];
  for (const [said, owner] of table)
    assert.equal(ownerOf(claims(...said), 'INBOX')?.installation, owner, said.join(', '));
});

let dovecot: Dovecot;
before(async () => {
  dovecot = await startDovecot({ prefix: 'INBOX/' });
});
after(() => dovecot.close());

const claimOf = (installation: string, more: Partial<ClaimParts> = {}) =>
  mailboxClaim({
    installation,
    mailbox: 'INBOX',
    folder: 'Threadbox',
    takesOver: false,
    botAddress: 'bot@example.com',
    deadlines: DEADLINES,
    ...more,
  });

/** The first time they look every 50 ms, and come again at once. */
const QUICK = { lookEveryMs: 50, pauses: { firstMs: 50, longestMs: 50 } };
const WAITS = "the mailbox is another Threadbox's: this one reads nothing until that has changed";

test('of two installations on one mailbox one reads, and the other waits, says so once, and reads when told that the first is gone', async (context) => {
  const user = newUser();
  await dovecot.deliver(user, mail('before'));
  const one = listen(dovecot, context, user, { timings: QUICK, claim: claimOf('one') });
  await one.listening(2);
  const two = listen(dovecot, context, user, { timings: QUICK, claim: claimOf('two') });
  await until(() => two.states.filter((state) => state === 'away').length > 2);
  await dovecot.deliver(user, mail('for one'));
  await one.count(2);
  assert.deepEqual(two.subjects(), []);
  const { msg, reason } = two.warning();
  assert.equal(msg, WAITS);
  assert.match(
    String(reason),
    /^the Threadbox installation one, which has another database, has claimed INBOX since 20\d\d-.* UTC\. If it is gone for good: npx threadbox start --take-mailbox$/,
  );
  assert.equal(two.lines.filter((line) => line.msg === WAITS).length, 1);
  const { ['INBOX/Threadbox']: claims = [] } = await dovecot.listed(user);
  assert.deepEqual(
    claims.map(({ subject }) => subject),
    ['Threadbox one reads INBOX'],
  );
  await two.close();

  // Times of arrival are whole seconds.
  const second = Math.floor(Date.now() / 1000);
  await until(() => Math.floor(Date.now() / 1000) > second);
  const taking = listen(dovecot, context, user, {
    timings: QUICK,
    claim: claimOf('two', { takesOver: true }),
  });
  await taking.listening();
  await until(() => one.warning().msg === WAITS);
  await dovecot.deliver(user, mail('for two'));
  await taking.count(1);
  assert.deepEqual(taking.subjects(), ['for two']);
  assert.deepEqual(one.subjects(), ['before', 'for one']);
  await taking.close();

  // Its operator starts it as ever after that.
  const again = listen(dovecot, context, user, { timings: QUICK, claim: claimOf('two') }, taking.store);
  await again.listening();
  await dovecot.deliver(user, mail('again'));
  await again.count(2);
});

test('who reads stops within one look of another taking over, though mail comes oftener, and never takes back', async (context) => {
  const user = newUser();
  const timings = { lookEveryMs: 1_500, pauses: { firstMs: 50, longestMs: 50 } };
  const told = { takesOver: true };
  const before = listen(dovecot, context, user, { timings, claim: claimOf('one') });
  await before.listening();
  await before.close();
  // As with a word that was left in the unit of a service: it is the owner that starts with it.
  const one = listen(dovecot, context, user, { timings, claim: claimOf('one', told) });
  await one.listening();
  const two = listen(dovecot, context, user, { timings: QUICK, claim: claimOf('two', told) });
  await until(() => two.states.includes('listening'));
  // For as long as it takes: mail comes oftener than it looks.
  await until(async () => {
    await dovecot.deliver(user, mail('busy'));
    return one.lines.some(({ msg }) => msg === WAITS);
  });
  await until(() => one.states.filter((state) => state === 'away').length > 2);
  const { ['INBOX/Threadbox']: claims = [] } = await dovecot.listed(user);
  assert.equal(claims.length, 2);
  assert.equal(two.states.at(-1), 'listening');
});

test('two that start together on a mailbox that nobody has claimed agree on one of them', async (context) => {
  const user = newUser();
  const both = ['one', 'two'].map((name) =>
    listen(dovecot, context, user, { timings: QUICK, claim: claimOf(name) }),
  );
  await until(() => both.every(({ states }) => states.length > 0));
  await dovecot.deliver(user, mail('once'));
  await until(() => both.flatMap((bot) => bot.subjects()).length > 0);
  await until(() => both.every(({ states }) => states.length > 2));
  assert.deepEqual(
    both.flatMap((bot) => bot.subjects()),
    ['once'],
  );
});

test('the claim is found in a folder that holds many other mails; what cannot be put there is told with what to set', async (context) => {
  const user = newUser();
  const one = listen(dovecot, context, user, { timings: QUICK, claim: claimOf('one') });
  await one.listening();
  await one.close();
  const path = 'INBOX/Threadbox';
  await dovecot.withImap(user, async (client) => {
    for (let index = 0; index < 4; index += 1) await client.append(path, Buffer.from(mail('labelled')));
  });
  const lines: unknown[] = [];
  await dovecot.withImap(user, async (client) => {
    const fetchAll = client.fetchAll.bind(client);
    client.fetchAll = (range, ...rest) => {
      lines.push(range);
      return fetchAll(range, ...rest);
    };
    await claimOf('one', { mostRead: 3 }).check(client);
    await assert.rejects(claimOf('two', { mostRead: 3 }).check(client), { code: 'MAILBOX_CLAIMED' });
    assert.deepEqual(lines, ['1', '1']);
    await assert.rejects(
      claimOf('one', { mostRead: 0 }).check(client),
      /INBOX\/Threadbox holds more than 0 claims\. CLAIM_MAILBOX names another one, or says no$/,
    );

    client.append = () =>
      Promise.reject(Object.assign(new Error('Command failed'), { responseText: 'Quota exceeded' }));
    const full = claimOf('two', { takesOver: true }).check(client);
    await assert.rejects(full, {
      code: 'CLAIM_REFUSED',
      message:
        'It cannot be kept in a mailbox who reads this account: no mail can be put into INBOX/Threadbox (The IMAP server refuses: Quota exceeded). CLAIM_MAILBOX names another one, or says no',
    });
  });
});

test('another mailbox of the account is another matter; a server that keeps no claims is told', async (context) => {
  const user = newUser();
  const one = listen(dovecot, context, user, { timings: QUICK, claim: claimOf('one') });
  await one.listening();
  const mailbox = 'INBOX/Threadbox';
  const two = listen(dovecot, context, user, { timings: QUICK, mailbox, claim: claimOf('two', { mailbox }) });
  await two.listening();

  const folder = 'x'.repeat(300);
  const refused = listen(dovecot, context, newUser(), { timings: QUICK, claim: claimOf('one', { folder }) });
  await until(() => refused.warning().msg?.startsWith('IMAP '));
  assert.match(
    String(refused.warning().reason),
    /cannot be kept .* cannot be made: .* CLAIM_MAILBOX names another one, or says no$/,
  );
});
