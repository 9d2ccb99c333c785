import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startApp, type App, type Overrides } from '../../src/app.ts';
import { askBot, sendToBot, type Correspondent } from '../../src/cli/write-to-bot.ts';
import { loadConfig } from '../../src/config.ts';
import { removeInstallation } from '../../src/containers/remove-installation.ts';
import { awaitAnswer } from '../../src/mail/inbox/await-answer.ts';
import { parseMessage } from '../../src/mail/parse.ts';
import { composeUserMail } from '../../src/mail/user-mail.ts';
import { addRepository } from '../../src/store/repositories.ts';
import { ALICE } from '../support/app.ts';
import { collectedLog, type LogLine } from '../support/collected-log.ts';
import { startDovecot, type Dovecot } from '../support/dovecot.ts';
import { engine, engineHost } from '../support/engine.ts';
import { startGitUpstream, type GitUpstream } from '../support/git-upstream.ts';
import { readMails } from '../support/mailbox.ts';
import { AUTHSERV_ID, startPostfix, type Postfix } from '../support/postfix.ts';
import { ranWith } from '../support/ran-with.ts';
import { startTokenServer, type TokenServer } from '../support/token-server.ts';
import { LONGEST_WAIT_MS, until } from '../support/until.ts';

// The mail servers of a small company: Postfix in front of Dovecot, logins and TLS everywhere.

const BOT = 'bot@threadbox.test';
const SKIP = '?insecure-skip-verify=yes';

let dir: string;
let dovecot: Dovecot;
let postfix: Postfix;
let tokenServer: TokenServer;
let upstream: GitUpstream;
let installation: string | null = null;
let alice: Correspondent;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'threadbox-real-'));
  tokenServer = await startTokenServer(BOT);
  dovecot = await startDovecot({ introspectionUrl: tokenServer.introspectionUrl });
  postfix = await startPostfix(dovecot, ['threadbox.test', 'example.com'], { largestMailBytes: 250_000 });
  upstream = await startGitUpstream();
  const smtp = { ...dovecot.account(ALICE), port: postfix.port };
  alice = {
    address: ALICE,
    imap: { server: dovecot.account(ALICE), password: dovecot.password },
    smtp: { server: smtp, password: dovecot.password },
  };
});
after(async () => {
  if (installation !== null) await removeInstallation(engine, installation);
  await upstream.close();
  await postfix.close();
  await dovecot.close();
  await tokenServer.close();
  await rm(dir, { recursive: true, force: true });
});

/** @param imap scheme, and options of the URL */
async function startBot(
  imap: { scheme: 'imap' | 'imaps'; options: string },
  smtpOptions: string,
  { env = {}, overrides = {} }: { env?: Readonly<Record<string, string>>; overrides?: Overrides } = {},
): Promise<{ app: App; lines: LogLine[] }> {
  const password = imap.options.includes('xoauth2') ? '' : `:${encodeURIComponent(dovecot.password)}`;
  const login = `${encodeURIComponent(BOT)}${password}@127.0.0.1`;
  const imapPort = imap.scheme === 'imaps' ? dovecot.imapsPort : dovecot.imapPort;
  const { config, secrets } = loadConfig({
    IMAP_URL: `${imap.scheme}://${login}:${imapPort}${imap.options}`,
    SMTP_URL: `smtp://${login}:${postfix.port}${smtpOptions}`,
    BOT_ADDRESS: BOT,
    SENDER_AUTH: 'authentication-results',
    TRUSTED_AUTHSERV_IDS: AUTHSERV_ID,
    DOCKER_HOST: engineHost,
    CONTAINER_IMAGE: process.env['CONTAINER_IMAGE'],
    ALLOWED_SENDERS: '*@example.com, *@elsewhere.test',
    DATA_DIR: join(dir, 'data'),
    HTTP_LISTEN: 'off',
    ...env,
  });
  const { log, lines } = collectedLog();
  const app = await startApp({ config, secrets, log, overrides, signal: new AbortController().signal });
  installation = app.installation;
  await addRepository(app.db, { name: 'sample', url: upstream.url, branch: null, threadBy: null });
  return { app, lines };
}

const complaints = (lines: readonly LogLine[]) => lines.filter(({ level }) => level >= 40);

const whyDown = (lines: readonly LogLine[], part: string): unknown =>
  lines.find((line) => line['part'] === part && line.msg.includes('does not answer'))?.['reason'];

test('a certificate that nobody vouches for is refused, by IMAP and SMTP, until the URL says to take it; no mail is lost', async () => {
  const sent = await sendToBot(alice, {
    to: BOT,
    subject: '[sample] Patience',
    body: 'echo $((6*7)) at last',
  });

  const strict = await startBot({ scheme: 'imaps', options: '' }, '');
  assert.match(String(await until(() => whyDown(strict.lines, 'IMAP'))), /certificate/i);
  await strict.app.close();

  const reading = await startBot({ scheme: 'imaps', options: SKIP }, '');
  assert.match(String(await until(() => whyDown(reading.lines, 'SMTP'))), /certificate/i);
  assert.equal(whyDown(reading.lines, 'IMAP'), undefined);
  await reading.app.close();

  const trusting = await startBot({ scheme: 'imaps', options: SKIP }, SKIP);
  const raw = await awaitAnswer({ ...alice.imap, inReplyTo: sent, timeoutMs: LONGEST_WAIT_MS });
  ranWith((await parseMessage(raw)).text, '42 at last');
  await trusting.app.close();
});

test('with STARTTLS and logins through Postfix and Dovecot a conversation goes on, by plus-address too', async (t) => {
  const { app, lines } = await startBot({ scheme: 'imap', options: SKIP }, SKIP);
  t.after(() => app.close());
  const patience = { timeoutMs: LONGEST_WAIT_MS, signal: new AbortController().signal };
  const first = {
    to: 'bot+sample@threadbox.test',
    subject: 'No tag',
    body: 'echo kept > file.txt\necho $((6*7)) übermäßig',
  };
  const { answer } = await askBot(alice, first, patience);
  ranWith(answer.text, '42 übermäßig');
  const reply = { to: BOT, subject: answer.subject, body: 'cat file.txt', inReplyTo: answer };
  ranWith((await askBot(alice, reply, patience)).answer.text, 'kept');
  assert.deepEqual(complaints(lines), []);
});

test('what Postfix sends back is recorded and told; what is too large for it comes without its attachment', async (t) => {
  const { app } = await startBot({ scheme: 'imap', options: SKIP }, SKIP);
  t.after(() => app.close());
  // Nothing goes there from here.
  const fromElsewhere = (body: string) =>
    `Authentication-Results: ${AUTHSERV_ID}; dmarc=pass header.from=elsewhere.test\nDate: ${new Date().toUTCString()}\nFrom: Carol <carol@elsewhere.test>\nTo: ${BOT}\nSubject: [sample] Hello\nMessage-ID: <${body.length}@elsewhere.test>\n\n${body}\n`;
  await dovecot.deliver(BOT, fromElsewhere('echo hello'));
  const bounced = await until(() => app.db('outbox').where({ state: 'bounced' }).first());
  assert.equal(bounced.status_code, '5.7.1');
  assert.match(bounced.last_error as string, /Access denied/);
  await dovecot.deliver(BOT, fromElsewhere('status'));
  const status = await until(() => app.db('messages').where({ direction: 'in', reason: 'status' }).first());
  const { raw } = await app.db('messages').where({ in_reply_to_message: status.id }).first('raw');
  assert.match(
    (await parseMessage(raw as Buffer)).text,
    /\n {2}Not delivered +my mail of (?:\w{3} \d+ \w{3}, )?\d\d:\d\d UTC: [^\n]*5\.7\.1 [^\n]*Access denied[^\n]*\n/,
  );

  const large = {
    to: BOT,
    subject: '[sample] Large',
    body: 'head -c 300000 /dev/urandom | base64; echo the end',
  };
  const patience = { timeoutMs: LONGEST_WAIT_MS, signal: new AbortController().signal };
  const { answer } = await askBot(alice, large, patience);
  assert.match(
    answer.text,
    /^Exit code 0 [^\n]*\n\noutput\.log\.gz \([\d.]+ KB\) is not attached: [^]*\nthe end\n/,
  );
  const refused = await app.db('outbox').whereNotNull('replaced_by').first();
  assert.match(refused.last_error as string, /larger than allowed 250000/);
});

test('a Postfix that is full, killed, or frozen while answers go out is waited for; each comes once, under the Message-ID it had before', async (t) => {
  const smtpLimits = { connectTimeoutMs: 2_000, sendTimeoutMs: 2_000, lastWordTimeoutMs: 60_000 };
  const { app, lines } = await startBot({ scheme: 'imap', options: SKIP }, SKIP, {
    overrides: { smtpLimits },
  });
  t.after(() => app.close());
  const sent: string[] = [];
  const send = async (number: number): Promise<void> => {
    const subject = `[sample#${number % 2}] Frozen ${number}`;
    // Postfix is frozen, so the mails come by the way that it would bring them.
    const { raw, messageId } = await composeUserMail({
      from: ALICE,
      to: BOT,
      subject,
      body: `echo ${number} is through`,
    });
    const results = `Authentication-Results: ${AUTHSERV_ID}; dmarc=pass header.from=example.com\r\n`;
    await dovecot.deliver(BOT, Buffer.concat([Buffer.from(results), raw]));
    sent.push(messageId);
  };
  const stored = async (): Promise<string[]> => {
    const rows = await app
      .db('messages as answer')
      .join('messages as asked', 'asked.id', 'answer.in_reply_to_message')
      .whereIn('asked.message_id', sent)
      .orderBy('asked.id')
      .select<{ id: string }[]>({ id: 'answer.message_id' });
    return rows.map(({ id }) => id);
  };
  /** One of the answers from that one on. */
  const triedInVain = async (first: number): Promise<unknown> =>
    app
      .db('outbox')
      .join('messages', 'messages.id', 'outbox.message_id')
      .whereIn('messages.message_id', (await stored()).slice(first))
      .where({ 'outbox.state': 'waiting' })
      .where('outbox.attempts', '>', 0)
      .first();
  const downFor = (words: RegExp) => () => words.test(String(whyDown(lines, 'SMTP')));
  await postfix.setFull(true);
  await send(0);
  await until(downFor(/4\.3\.1 Insufficient system storage/));
  await postfix.setFull(false);
  await postfix.stop('KILL');
  await send(1);
  await until(async () => (await stored()).length > 1);
  await postfix.start();
  const isAllSent = async () => !(await app.db('outbox').where({ state: 'waiting' }).first());
  // The pauses between tries have grown by now.
  await until(isAllSent);
  // The others meet a server that takes connections and says nothing.
  await postfix.signal('STOP');
  try {
    await send(2);
    await send(3);
    await until(async () => (await stored()).length === sent.length);
    await until(() => triedInVain(2));
  } finally {
    await postfix.signal('CONT');
  }
  for (const inReplyTo of sent) await awaitAnswer({ ...alice.imap, inReplyTo, timeoutMs: LONGEST_WAIT_MS });
  await until(isAllSent);
  const mails = await readMails(alice);
  const copies = sent.map((id) =>
    mails.filter(({ inReplyTo }) => inReplyTo === id).map(({ messageId }) => messageId),
  );
  assert.deepEqual(
    copies.map((ids) => [...new Set(ids)].join()),
    await stored(),
  );
  // Of one that was frozen between its last byte and the server's word there may be two, known as the same mail.
  assert.deepEqual(
    copies.slice(2).map(({ length }) => length),
    [1, 1],
  );
  assert.ok(copies.every(({ length }) => length <= 2));
});

test('with access tokens instead of a password a command is taken and answered, through Dovecot and Postfix', async (t) => {
  const oauth = `${SKIP}&auth=xoauth2`;
  const { app, lines } = await startBot({ scheme: 'imaps', options: oauth }, oauth, {
    env: { OAUTH_TOKEN_URL: tokenServer.tokenUrl, OAUTH_CLIENT_ID: 'app', OAUTH_REFRESH_TOKEN: 'refresh' },
  });
  t.after(() => app.close());
  const patience = { timeoutMs: LONGEST_WAIT_MS, signal: new AbortController().signal };
  const mail = { to: BOT, subject: '[sample] Tokens', body: 'echo $((6*7)) by token' };
  ranWith((await askBot(alice, mail, patience)).answer.text, '42 by token');
  assert.deepEqual(tokenServer.given, ['token-1']);
  assert.deepEqual(complaints(lines), []);
});
