import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import {
  clockFindings,
  helperFinding,
  isolationFindings,
  limitFindings,
  proxyFinding,
  silentEngine,
  type EngineInfo,
} from '../../src/cli/doctor-engine.ts';
import type { Finding } from '../../src/cli/doctor-findings.ts';
import { diskFinding, gitFinding } from '../../src/cli/doctor-host.ts';
import { inotifyFindings } from '../../src/cli/doctor-inotify.ts';
import { senderFinding, surveyFindings } from '../../src/cli/doctor-mail-servers.ts';
import { schemaFinding, versionFinding } from '../../src/cli/doctor-store.ts';
import { GMAIL, WRITTEN } from '../mail/sender-auth/provider-mails.ts';
import { startDovecot, type Dovecot } from '../support/dovecot.ts';
import { privateDir, threadbox } from './threadbox.ts';

let dovecot: Dovecot;
before(async () => {
  dovecot = await startDovecot();
});
after(() => dovecot.close());

const BOT = 'bot@threadbox.test';
/** As it is before anything is known of the mailbox: without SENDER_AUTH. */
const settings = (): Record<string, string> => {
  const login = `${encodeURIComponent(BOT)}:${dovecot.password}@127.0.0.1`;
  return {
    IMAP_URL: `imap://${login}:${dovecot.imapPort}?insecure-skip-verify=yes`,
    SMTP_URL: `smtp://${login}:1`,
    BOT_ADDRESS: BOT,
  };
};
const doctor = (...words: string[]) => threadbox(['doctor', '--mail', ...words], { env: settings() });

test('the doctor says that it cannot tell, then proposes lines that the bot starts with', async () => {
  await dovecot.append(BOT, [WRITTEN]);
  const few = await doctor();
  assert.equal(few.code, 1, few.err);
  assert.match(few.out, /^The newest 1 mail in INBOX of bot@threadbox\.test at 127\.0\.0\.1/);
  assert.match(few.out, /too few to tell\. To find out: send three mails or more/);
  assert.doesNotMatch(few.out, /SENDER_AUTH=/);

  const forged = GMAIL.replace('dmarc=pass', 'dmarc=fail') + WRITTEN.replaceAll('example.com', 'spam.test');
  await dovecot.append(BOT, [...Array.from({ length: 40 }, () => GMAIL + WRITTEN), forged]);
  const { code, out, err } = await doctor();
  assert.equal(code, 0, err);
  assert.match(out, /results of mx\.google\.com +41 of 42 +40\n/);
  assert.match(out, /^ {2}SENDER_AUTH=authentication-results\n {2}TRUSTED_AUTHSERV_IDS=mx\.google\.com\n/m);
  assert.match(out, /^ {2}spam\.test: dmarc=fail$/m);
  const { proposal } = JSON.parse((await doctor('--json')).out) as { proposal: Record<string, unknown> };
  assert.equal(proposal['trustedAuthservIds'], 'mx.google.com');
});

test('a mailbox that cannot be read, or is none, is told in plain words', async () => {
  const wrong = await threadbox(['doctor', '--mail'], {
    env: { ...settings(), IMAP_URL: 'imap://bot:secret@127.0.0.1:1' },
  });
  assert.equal(wrong.code, 1);
  assert.match(wrong.err, /^threadbox: the mailbox INBOX at 127\.0\.0\.1:1 cannot be read: .*ECONNREFUSED/);
  const none = await threadbox(['doctor', '--mail'], {});
  assert.match(none.err, /^threadbox: IMAP_URL is not set: there is no mailbox to look at\.\nThe embedded/);
});

test('without --mail the doctor looks at all parts, tells every fault with what to do, and changes nothing', async () => {
  const dir = await privateDir();
  try {
    const env = {
      ...settings(),
      DATA_DIR: `${dir.path}/data`,
      CONTAINER_RUNTIME: 'runsc',
      REDIS_URL: 'redis://127.0.0.1:1',
      ADMIN_ADDRESSES: 'boss@example.com',
    };
    const { code, out, err } = await threadbox(['doctor'], { env });
    assert.equal(code, 1, err);
    for (const line of [
      /^bad {3}settings +SENDER_AUTH: .*\n +-> Correct it in the environment or in \.env/m,
      /^ok {4}Node +24\./m,
      /^ok {4}git +git version 2\./m,
      /^ok {4}DATA_DIR +.*\/data will be made$/m,
      /^ok {4}PostgreSQL +embedded, in .*: made at the first start$/m,
      /^bad {3}Redis +.*ECONNREFUSED.*\n +-> Correct REDIS_URL/m,
      /^warn {2}users +nobody may have commands run\n +-> threadbox user add ADDRESS/m,
      /^warn {2}users +boss@example\.com is in ADMIN_ADDRESSES, and mail from there is dropped all the same\n +-> threadbox user add/m,
      /^ok {4}IMAP +lets us in; 42 mails in INBOX$/m,
      /^ok {4}IMAP +made when needed: Processed, Refused, Threadbox$/m,
      /^bad {3}SMTP +the SMTP server 127\.0\.0\.1:1 could not be used: .*\n +-> Correct SMTP_URL/m,
      /^ok {4}Docker +unix:.* answers: version .*, API 1\.\d+$/m,
      /^bad {3}limits +CONTAINER_RUNTIME: the Docker Engine has no runtime runsc/m,
      /^ok {4}image +.* is there$/m,
      /^ok {4}network guard +/m,
      /\n\n4 to be put right, \d to think about\.\n$/,
    ]) {
      assert.match(out, line);
    }
    assert.doesNotMatch(out, new RegExp(dovecot.password));
    assert.deepEqual(await readdir(dir.path), []);
  } finally {
    await dir.close();
  }
});

test('settings that cannot be used at all are told with the rest of what can be looked at left out', async () => {
  const { code, out } = await threadbox(['doctor', '--json'], {
    env: { COMMAND_CONCURRENCY: 'many', LOG_LEVEL: 'loud' },
  });
  assert.equal(code, 1);
  const { isGood, findings } = JSON.parse(out) as { isGood: boolean; findings: Finding[] };
  assert.equal(isGood, false);
  assert.deepEqual(
    findings.map(({ level, part, says }) => [level, part, says.split(':')[0]]),
    [
      ['bad', 'settings', 'COMMAND_CONCURRENCY'],
      ['bad', 'settings', 'LOG_LEVEL'],
    ],
  );
});

const ENGINE: EngineInfo = {
  MemTotal: 4 * 2 ** 30,
  NCPU: 2,
  SystemTime: '',
  DockerRootDir: '/var/lib/docker',
  MemoryLimit: true,
  CpuCfsQuota: true,
  PidsLimit: true,
};
const limits = (info: Partial<EngineInfo>, memoryBytes: number, hostMaxContainers: number): Finding[] =>
  limitFindings(
    { ...ENGINE, ...info },
    {
      containerLimits: { memoryBytes, cpus: 1, pidsLimit: 512, tmpBytes: 0, shmBytes: 0, openFiles: 0 },
      containerRuntime: null,
      hostMaxContainers,
    },
  );

const isolation = (SecurityOptions: string[], containerRuntime: string | null = null) =>
  isolationFindings({ SecurityOptions, DefaultRuntime: 'runc' }, { containerRuntime });

const TABLE: [words: string, finding: Finding | undefined, level: Finding['level'], says: RegExp][] = [
  ['a disk that is full', diskFinding('DATA_DIR', 100 << 20), 'bad', /only 100 MB free/],
  ['a disk that is nearly full', diskFinding('DATA_DIR', 1 << 30), 'warn', /^1024 MB free/],
  ['a git that is too old', gitFinding('git version 2.20.1'), 'bad', /too old/],
  ['a git that is new enough', gitFinding('git version 2.39.5'), 'ok', /2\.39/],
  ['an old PostgreSQL', versionFinding('12.4', false), 'warn', /version 12\.4/],
  [
    'tables of a newer version',
    schemaFinding({ applied: ['a', 'z'], missing: [], unknown: ['z'] }),
    'bad',
    /newer/,
  ],
  [
    'tables of an older version',
    schemaFinding({ applied: ['a'], missing: ['b'], unknown: [] }),
    'warn',
    /b to come/,
  ],
  [
    'an engine that does not let us in',
    silentEngine('unix:///var/run/docker.sock', { isForbidden: true, reason: 'EACCES' }),
    'bad',
    /may not talk/,
  ],
  [
    'a mailbox where anybody is believed',
    senderFinding({ imap: {} as never, senderAuth: 'none', trustedAuthservIds: [] }),
    'warn',
    /whoever forges/,
  ],
  [
    'a server without IDLE',
    surveyFindings({ capabilities: ['MOVE'], mails: 0, present: [] }, { mailbox: 'INBOX', wanted: [] })[1],
    'warn',
    /no IDLE/,
  ],
  [
    'limits that are held',
    limits({}, 2 ** 30, 4)[0],
    'ok',
    /^each container: 1024 MB, 1 CPU, 512 processes; the machine: 4096 MB/,
  ],
  [
    'an engine whose root is that of the machine',
    isolation(['name=apparmor', 'name=seccomp,profile=default'])[0],
    'ok',
    /^runtime runc, apparmor; root in a container has root's number/,
  ],
  [
    'an engine with user namespaces, and another runtime',
    isolation(['name=seccomp,profile=builtin', 'name=userns'], 'runsc')[0],
    'ok',
    /^runtime runsc; root in a container is nobody .*\(userns-remap\)$/,
  ],
  [
    'a kernel that lets all containers together have few watchers of files',
    inotifyFindings({ instances: 128, watches: 1_048_576 })[0],
    'warn',
    /^all containers together can have 128 watchers of files with 1048576 watches/,
  ],
  [
    'a kernel that lets them have enough',
    inotifyFindings({ instances: 1024, watches: 524_288 })[0],
    'ok',
    /1024 watchers/,
  ],
  ['an engine that filters no system calls', isolation([])[0], 'bad', /does not filter/],
  [
    'an engine that limits no processes',
    limits({ PidsLimit: false }, 2 ** 30, 0)[0],
    'bad',
    /does not limit processes/,
  ],
  ['a container larger than its machine', limits({}, 8 * 2 ** 30, 0)[1], 'warn', /one container/],
  ['more containers than fit', limits({}, 2 ** 30, 5)[1], 'warn', /^5 containers/],
  [
    'an image for the network guard that has no iptables',
    await helperFinding(
      { look: () => Promise.reject(new Error('sh: 3: iptables: not found')) },
      'node:24-bookworm',
      '',
    ),
    'bad',
    /^a helper container of node:24-bookworm: .*iptables: not found$/,
  ],
  [
    'an engine with another clock',
    clockFindings({ SystemTime: '2026-11-23T00:00:00Z' }, new Date('2026-11-23T00:02:00Z'))[0],
    'warn',
    /120 s apart from the engine's$/,
  ],
];
for (const [words, finding, level, says] of TABLE) {
  test(`the doctor finds ${words}: ${level}`, () => {
    assert.equal(finding?.level, level);
    assert.match(finding?.says ?? '', says);
    assert.equal(finding?.todo === null, level === 'ok');
  });
}

test('what the doctor says to raise is what is too low, as one types it', () => {
  const todo = (instances: number, watches: number | null) =>
    inotifyFindings({ instances, watches })[0]?.todo;
  assert.match(
    todo(128, 524_288) ?? '',
    /fail: sysctl -w fs\.inotify\.max_user_instances=1024, as root, and the same below \/etc\/sysctl\.d/,
  );
  assert.match(todo(8192, 8192) ?? '', / -w fs\.inotify\.max_user_watches=524288, as root/);
  assert.deepEqual(inotifyFindings({ instances: 128, watches: null }), []);
});

test('doctor tells a Squid that can keep allow-lists from one that cannot', () => {
  const built = 'Squid Cache: Version 5.7\nconfigure options:  ';
  const isOk = proxyFinding(`${built}'--with-openssl'`);
  assert.deepEqual([isOk.level, isOk.says], ['ok', 'can be used: Squid 5.7']);
  const { level, todo } = proxyFinding(`${built}'--with-gnutls'`);
  assert.deepEqual([level, /Install squid-openssl/.test(todo ?? '')], ['warn', true]);
});
