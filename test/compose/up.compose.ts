import assert from 'node:assert/strict';
import { copyFile, mkdir, rename, rm } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { createTransport } from 'nodemailer';
import { askBot, sendToBot, type Correspondent } from '../../src/cli/write-to-bot.ts';
import { removeInstallation } from '../../src/containers/remove-installation.ts';
import { ranWith } from '../support/ran-with.ts';
import { until } from '../support/until.ts';
import { openComposition, passwords, type Composition } from './composition.ts';

// docker-compose.yml as it is, from the first start to the end. It builds six images, so it is no part of npm test.

const BOT = 'bot@example.com';
const patience = { timeoutMs: 120_000, signal: new AbortController().signal };

let composition: Composition;
before(async () => {
  composition = await openComposition();
});
after(() => composition.close());

/** Where the bot's user can write, and the bot can clone from. */
async function makeUpstream(): Promise<string> {
  const { compose, dataDir } = composition;
  const script = `umask 022; export HOME=/tmp; git init -q -b main "$0"; cd "$0"; echo hello >greeting.txt; git add .
    git -c user.name=Dev -c user.email=dev@example.com commit -qm First`;
  const asBot = ['setpriv', '--reuid', 'threadbox', '--regid', 'threadbox', '--clear-groups'];
  await compose('exec', '-T', 'bot', ...asBot, 'sh', '-c', script, `${dataDir}/upstream`);
  return `${dataDir}/upstream`;
}

/** What became of the mails with that subject. */
async function outcomesOf(subject: string): Promise<{ outcome: string | null; reason: string | null }[]> {
  const rows = JSON.parse(await composition.threadbox('inbox', '--json')) as {
    subject: string;
    outcome: string | null;
    reason: string | null;
  }[];
  return rows.filter((row) => row.subject === subject).map(({ outcome, reason }) => ({ outcome, reason }));
}

/** Sent by somebody who has logged in as themselves. */
async function sendAs(who: Correspondent, envelopeFrom: string, raw: string): Promise<void> {
  const { host, port, user } = who.smtp.server;
  const transport = createTransport({
    host,
    port,
    requireTLS: true,
    tls: { rejectUnauthorized: false },
    auth: { user, pass: who.smtp.password },
  });
  try {
    await transport.sendMail({ envelope: { from: envelopeFrom, to: [BOT] }, raw });
  } finally {
    transport.close();
  }
}

test('the composition starts, and each of its containers is well, limited and without a password to look at', async () => {
  const { compose, machine, untilHealthy, idOf } = composition;
  await compose('--profile', 'mail', 'up', '-d', '--build');
  await untilHealthy();
  const containers = await machine.docker.listContainers({ all: true });
  assert.deepEqual(containers.flatMap(({ Names }) => Names).toSorted(), [
    '/threadbox_bot_1',
    '/threadbox_dovecot_1',
    '/threadbox_postfix_1',
    '/threadbox_postgres_1',
    '/threadbox_redis_1',
  ]);
  for (const { Id, Names } of containers) {
    const seen = await machine.docker.getContainer(Id).inspect();
    const { Memory, PidsLimit, LogConfig, SecurityOpt, RestartPolicy } = seen.HostConfig;
    assert.ok((Memory ?? 0) > 0 && (PidsLimit ?? 0) > 0, `${Names.join()} has limits`);
    assert.equal(LogConfig?.Config['max-size'], '10m');
    assert.deepEqual(SecurityOpt, ['no-new-privileges:true']);
    assert.equal(RestartPolicy?.Name, 'unless-stopped');
    const text = JSON.stringify(seen);
    for (const password of [...Object.values(passwords), encodeURIComponent(passwords.bot)])
      assert.ok(!text.includes(password), `${Names.join()} shows a password`);
  }
  // The bot has given root up: whoever breaks out of it is nobody, but for the Docker socket.
  const { Titles, Processes } = await machine.docker.getContainer(await idOf('bot')).top();
  const [, ...ofBot] = Processes.map((line: string[]) => line[Titles.indexOf('UID')]);
  assert.ok(ofBot.length > 0 && ofBot.every((uid: string) => uid === '10001'), JSON.stringify(Processes));
});

test('a mail is answered, also after a restart of the bot, in the same container', async () => {
  const { compose, threadbox, untilHealthy, person } = composition;
  await threadbox('repo', 'add', 'sample', await makeUpstream());
  await threadbox('user', 'add', 'alice@example.com');
  assert.match(await threadbox('doctor'), /^ok +network guard +set by a helper container/m);
  const body = 'cat greeting.txt; echo kept >work.txt; ls /run/secrets /var/run/docker.sock 2>&1 | wc -l';
  const { answer } = await askBot(person('alice'), { to: BOT, subject: '[sample] Hello', body }, patience);
  ranWith(answer.text, 'hello\n2');
  await compose('restart', 'bot');
  await untilHealthy();
  const again = { to: BOT, subject: answer.subject, body: 'cat work.txt', inReplyTo: answer };
  ranWith((await askBot(person('alice'), again, patience)).answer.text, 'kept');
});

test('who has a mailbox can be nobody else: not to Postfix, and not in the From that Threadbox reads', async () => {
  const mallory = composition.person('mallory');
  const mail = (subject: string, more = '') =>
    `${more}From: alice@example.com\r\nTo: ${BOT}\r\nSubject: ${subject}\r\nMessage-ID: <${subject.length}@example.com>\r\nDate: ${new Date().toUTCString()}\r\n\r\necho forged\r\n`;
  await assert.rejects(
    sendAs(mallory, 'alice@example.com', mail('[sample] Envelope')),
    /553.* not owned by user/,
  );
  await sendAs(mallory, 'mallory@example.com', mail('[sample] Header'));
  const claim = 'Authentication-Results: threadbox-mail; dmarc=pass header.from=example.com\r\n';
  await sendAs(mallory, 'mallory@example.com', mail('[sample] Header and claim', claim));
  for (const subject of ['[sample] Header', '[sample] Header and claim']) {
    const [{ outcome, reason } = assert.fail('no mail')] = await until(async () => {
      const found = await outcomesOf(subject);
      return found.some(({ outcome }) => outcome !== null) && found;
    }, 60_000);
    assert.equal(outcome, 'dropped', `${subject}: ${reason}`);
  }
  // She is verified as herself, and has no say.
  const own = await sendToBot(mallory, { to: BOT, subject: '[sample] Own', body: 'echo hello' });
  assert.ok(own);
  await until(
    async () =>
      (await outcomesOf('[sample] Own')).some(({ reason }) =>
        /not allowed|not registered/.test(reason ?? ''),
      ),
    60_000,
  );
});

test('down -v leaves nothing of the composition; a backup brings it back onto new volumes, with the work', async () => {
  const { compose, machine, threadbox, dataDir, untilHealthy, person } = composition;
  await until(async () => /\bsample\b/.test(await threadbox('saves', 'list')), 60_000);
  const backup = `${dataDir}/backup.tar.gz`;
  await threadbox('backup', backup);
  await takeDown();

  await rename(dataDir, `${dataDir}.old`);
  await mkdir(dataDir);
  await rename(`${dataDir}.old/upstream`, `${dataDir}/upstream`);
  await copyFile(`${dataDir}.old/backup.tar.gz`, backup);
  await rm(`${dataDir}.old`, { recursive: true });
  await compose('up', '-d', 'postgres', 'redis');
  await compose('run', '--rm', '-T', 'bot', 'restore', backup);
  await compose('--profile', 'mail', 'up', '-d');
  await untilHealthy();
  await threadbox('resume');
  const mail = { to: BOT, subject: '[sample] Again', body: 'cat work.txt' };
  ranWith((await askBot(person('alice'), mail, patience)).answer.text, 'kept');

  await takeDown();
  assert.deepEqual((await machine.docker.listVolumes()).Volumes, []);
  const networks = await machine.docker.listNetworks();
  assert.deepEqual(networks.map(({ Name }) => Name).toSorted(), ['bridge', 'host', 'none']);
});

/** The composition, and then the workspaces that the bot has made. */
async function takeDown(): Promise<void> {
  const { docker } = composition.machine;
  await composition.compose('--profile', 'mail', 'down', '-v');
  const left = await docker.listContainers({ all: true });
  const [installation, ...others] = new Set(left.map(({ Labels }) => Labels['threadbox.instance']));
  assert.ok(installation && others.length === 0, JSON.stringify(left));
  await removeInstallation(docker, installation, 'threadbox:latest');
  // The helper of the guard goes by itself.
  await until(async () => (await docker.listContainers({ all: true })).length === 0);
}
