import assert from 'node:assert/strict';
import { copyFile, mkdir, rename, rm } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { createTransport } from 'nodemailer';
import { askBot, sendToBot, type Correspondent } from '../../src/cli/write-to-bot.ts';
import { removeInstallation } from '../../src/containers/remove-installation.ts';
import { ranWith } from '../support/ran-with.ts';
import { until } from '../support/until.ts';
import { openComposition, passwords, PROJECT, type Compose, type Composition } from './composition.ts';
import { shapesOf } from './shape.ts';

// docker-compose.yml as it is, from the first start to the end: by docker-compose 1.29, then by Compose v2, which takes over
// what is there. It builds nine images, so it is no part of npm test.

const BOT = 'bot@example.com';
const patience = { timeoutMs: 120_000, signal: new AbortController().signal };

let composition: Composition;
/** The containers as docker-compose 1.29 made them. */
let shapes: Awaited<ReturnType<typeof shapesOf>>;
before(async () => {
  composition = await openComposition();
});
after(() => composition?.close());

/** Where the bot's user can write, and the bot can clone from. */
async function makeUpstream(): Promise<string> {
  const { first, dataDir } = composition;
  const script = `umask 022; export HOME=/tmp; git init -q -b main "$0"; cd "$0"; echo hello >greeting.txt; git add .
    git -c user.name=Dev -c user.email=dev@example.com commit -qm First`;
  const asBot = ['setpriv', '--reuid', 'threadbox', '--regid', 'threadbox', '--clear-groups'];
  await first.compose('exec', '-T', 'bot', ...asBot, 'sh', '-c', script, `${dataDir}/upstream`);
  return `${dataDir}/upstream`;
}

/** What became of the mails with that subject. */
async function outcomesOf(subject: string): Promise<{ outcome: string | null; reason: string | null }[]> {
  const rows = JSON.parse(await composition.first.threadbox('inbox', '--json')) as {
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

test('docker-compose 1.29 starts it, and each container is well, limited and without a password to look at', async () => {
  const { first, machine, untilHealthy } = composition;
  assert.match(await first.compose('version', '--short'), /^1\.29\./);
  await first.compose('up', '-d', '--build');
  await untilHealthy();
  assert.deepEqual(await containerNames(), namesWith('_'));
  shapes = await shapesOf(machine.docker, PROJECT);
  for (const [service, { limits, rights, restarts, log }] of Object.entries(shapes)) {
    const { Memory, PidsLimit } = limits;
    assert.ok((Memory ?? 0) > 0 && (PidsLimit ?? 0) > 0, `${service} has limits`);
    assert.equal(log?.Config['max-size'], '10m');
    assert.deepEqual(rights.SecurityOpt, ['no-new-privileges:true']);
    assert.equal(restarts, 'unless-stopped');
  }
  await keepsItsSecrets();
});

test('a mail is answered, also after a restart of the bot, in the same container', async () => {
  const { first, untilHealthy, person } = composition;
  await first.threadbox('repo', 'add', 'sample', await makeUpstream());
  await first.threadbox('user', 'add', 'alice@example.com');
  assert.match(await first.threadbox('doctor'), /^ok +network guard +set by a helper container/m);
  const body = 'cat greeting.txt; echo kept >work.txt; ls /run/secrets /var/run/docker.sock 2>&1 | wc -l';
  const { answer } = await askBot(person('alice'), { to: BOT, subject: '[sample] Hello', body }, patience);
  ranWith(answer.text, 'hello\n2');
  await first.compose('restart', 'bot');
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
  await until(async () => /\bsample\b/.test(await composition.first.threadbox('saves', 'list')));
  await leavesAndComesBack(composition.first);
});

test('Compose v2 takes over what docker-compose has started: the same containers, with their data', async () => {
  const { machine, second, untilHealthy } = composition;
  assert.match(await second.compose('version', '--short'), /^2\./);
  await second.compose('up', '-d', '--build');
  await untilHealthy();
  assert.deepEqual(await containerNames(), namesWith('-'));
  assert.deepEqual(await shapesOf(machine.docker, PROJECT), shapes);
  await keepsItsSecrets();
  await keptItsWork('[sample] Taken over');
});

test('Compose v2 does the rest as well: doctor, restart, backup, down, restore, and the start of it all anew', async () => {
  const { machine, second, untilHealthy } = composition;
  assert.match(await second.threadbox('doctor'), /^ok +network guard +set by a helper container/m);
  await second.compose('restart', 'bot');
  await untilHealthy();
  await keptItsWork('[sample] Restarted');
  await leavesAndComesBack(second);
  assert.deepEqual(await shapesOf(machine.docker, PROJECT), shapes);
  await takeDown(second);
  assert.deepEqual(second.warnings, []);
});

async function containerNames(): Promise<string[]> {
  const containers = await composition.machine.docker.listContainers({ all: true });
  const ofProject = containers.filter(({ Labels }) => Labels['com.docker.compose.project'] === PROJECT);
  return ofProject.flatMap(({ Names }) => Names).toSorted();
}

function namesWith(separator: '_' | '-'): string[] {
  const services = ['bot', 'dovecot', 'postfix', 'postgres', 'redis'];
  return services.map((service) => ['/threadbox', service, '1'].join(separator));
}

/** Nobody sees a password who looks at the containers; and the bot has given root up: its user is nobody. */
async function keepsItsSecrets(): Promise<void> {
  const { docker } = composition.machine;
  for (const name of await containerNames()) {
    const container = docker.getContainer(name.slice(1));
    const text = JSON.stringify(await container.inspect());
    for (const password of [...Object.values(passwords), encodeURIComponent(passwords.bot)])
      assert.ok(!text.includes(password), `${name} shows a password`);
    if (!name.includes('bot')) continue;
    const { Titles, Processes } = await container.top();
    const [, ...users] = Processes.map((line: string[]) => line[Titles.indexOf('UID')]);
    assert.ok(users.length > 0 && users.every((uid: string) => uid === '10001'), JSON.stringify(Processes));
  }
}

/** A fresh mail finds what an earlier one has left in the thread. */
async function keptItsWork(subject: string): Promise<void> {
  const mail = { to: BOT, subject, body: 'cat work.txt' };
  ranWith((await askBot(composition.person('alice'), mail, patience)).answer.text, 'kept');
}

async function leavesAndComesBack(by: Compose): Promise<void> {
  const { dataDir, untilHealthy } = composition;
  const backup = `${dataDir}/backup.tar.gz`;
  await by.threadbox('backup', backup);
  await takeDown(by);

  await rename(dataDir, `${dataDir}.old`);
  await mkdir(dataDir);
  await rename(`${dataDir}.old/upstream`, `${dataDir}/upstream`);
  await copyFile(`${dataDir}.old/backup.tar.gz`, backup);
  await rm(`${dataDir}.old`, { recursive: true });
  await by.compose('up', '-d', 'postgres', 'redis');
  await by.compose('run', '--rm', '-T', 'bot', 'restore', backup);
  await rm(backup);
  await by.compose('up', '-d');
  await untilHealthy();
  await by.threadbox('resume');
  await keptItsWork('[sample] Again');
}

/** The composition, and then the workspaces that the bot has made; there is nothing else. */
async function takeDown(by: Compose): Promise<void> {
  const { docker } = composition.machine;
  await by.compose('down', '-v');
  const left = await docker.listContainers({ all: true });
  const [installation, ...others] = new Set(left.map(({ Labels }) => Labels['threadbox.instance']));
  assert.ok(installation && others.length === 0, JSON.stringify(left));
  await removeInstallation(docker, installation, 'threadbox:latest');
  // The helper of the guard goes by itself.
  await until(async () => (await docker.listContainers({ all: true })).length === 0);
  assert.deepEqual((await docker.listVolumes()).Volumes, []);
  const networks = await docker.listNetworks();
  assert.deepEqual(networks.map(({ Name }) => Name).toSorted(), ['bridge', 'host', 'none']);
}
