import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { ConfigError, loadConfig } from '../src/config.ts';
import { settingNames } from '../src/config-schema.ts';

function faultsOf(env: Record<string, string>): readonly string[] {
  try {
    loadConfig(env);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.faults;
  }
  return [];
}

const mail = {
  IMAP_URL: 'imaps://bot%40example.com:p%40ss@imap.example.com',
  SMTP_URL: 'smtp://bot:secret@smtp.example.com',
  BOT_ADDRESS: 'Bot@Example.com',
  SENDER_AUTH: 'dkim',
};

test('an empty environment is the embedded default, with the timings of the guide', () => {
  const { config, secrets } = loadConfig({});
  assert.equal(config.imap, null);
  assert.equal(config.usesEmbeddedPostgres, true);
  assert.equal(config.usesEmbeddedRedis, true);
  assert.equal(config.dataDir, resolve('.threadbox/data'));
  assert.equal(config.containerIdleTimeoutMs, 45 * 60_000);
  assert.equal(config.containerCheckIntervalMs, 60_000);
  assert.equal(config.containerGracePeriodMs, 5 * 60_000);
  assert.equal(config.containerMaxPerUser, 5);
  assert.equal(config.containerExtendMaxMs, 12 * 3_600_000);
  assert.equal(config.hostMaxContainers, null);
  assert.equal(config.savedStateDays, 7);
  assert.equal(config.saveIgnoredMaxBytes, 64 << 20);
  assert.equal(config.workspaceMinFreeBytes, 5 * 2 ** 30);
  assert.deepEqual([config.workspaceSizeBytes, config.workspaceLimit], [10 * 2 ** 30, 'auto']);
  assert.deepEqual(config.adminAddresses, []);
  assert.equal(config.commandTimeoutMs, 30 * 60_000);
  assert.equal(config.commandTimeoutMaxMs, 4 * 3_600_000);
  const { memoryBytes, cpus, pidsLimit } = config.containerLimits;
  assert.deepEqual([memoryBytes, cpus, pidsLimit], [2 * 2 ** 30, 1, 512]);
  assert.ok(Object.values(secrets).every((secret) => secret === null));
});

test('processors may be a part of one', () => {
  assert.equal(loadConfig({ CONTAINER_CPUS: '0.5' }).config.containerLimits.cpus, 0.5);
  for (const CONTAINER_CPUS of ['0', '-1', 'two', '1e1']) {
    assert.throws(
      () => loadConfig({ CONTAINER_CPUS }),
      /CONTAINER_CPUS: expected a number of processors from 0\.1/,
    );
  }
});

test('mail servers are read from their URLs, the password apart', () => {
  const { config, secrets } = loadConfig(mail);
  assert.deepEqual(config.imap, {
    host: 'imap.example.com',
    port: 993,
    user: 'bot@example.com',
    tls: 'implicit',
    verifyCertificate: true,
  });
  assert.equal(secrets.imapPassword, 'p@ss');
  assert.equal(config.botAddress, 'bot@example.com');
  assert.doesNotMatch(JSON.stringify(config), /p@ss|"secret"/);
});

test('STARTTLS is required of another machine and taken where offered by this one', () => {
  assert.equal(loadConfig(mail).config.smtp?.tls, 'required');
  assert.equal(loadConfig(mail).config.smtp?.port, 587);
  const local = { ...mail, SMTP_URL: 'smtp://bot:secret@127.0.0.1:25' };
  assert.equal(loadConfig(local).config.smtp?.tls, 'offered');
  const plain = { ...mail, SMTP_URL: 'smtp://bot:secret@mail:25?insecure-plaintext=yes' };
  assert.equal(loadConfig(plain).config.smtp?.tls, 'offered');
});

test('certificates are verified unless the URL says otherwise', () => {
  const unverified = { ...mail, IMAP_URL: 'imaps://a:b@mail.example.com?insecure-skip-verify=yes' };
  assert.equal(loadConfig(unverified).config.imap?.verifyCertificate, false);
  assert.match(
    String(faultsOf({ ...mail, IMAP_URL: 'imaps://a:b@mail.example.com?insecure-skip-verify=true' })),
    /takes only the value yes/,
  );
});

test('access tokens need no password, and what they are had with', () => {
  const tokens = {
    SENDER_AUTH: 'microsoft365',
    IMAP_URL: 'imaps://bot%40example.com@outlook.office365.com?auth=xoauth2',
    SMTP_URL: 'smtp://bot%40example.com@smtp.office365.com?auth=xoauth2',
    BOT_ADDRESS: 'bot@example.com',
    OAUTH_PROVIDER: 'microsoft',
    OAUTH_CLIENT_ID: 'app',
    OAUTH_REFRESH_TOKEN: 'hunter2',
  };
  const { config, secrets } = loadConfig(tokens);
  assert.deepEqual([config.imap?.usesOauth, config.smtp?.usesOauth], [true, true]);
  assert.match(config.oauth?.tokenUrl ?? '', /^https:\/\/login\.microsoftonline\.com\/common\//);
  assert.match(config.oauth?.scope ?? '', /IMAP\.AccessAsUser\.All/);
  assert.equal(secrets.oauthRefreshToken, 'hunter2');
  assert.doesNotMatch(JSON.stringify(config), /hunter2/);
  const own = { ...tokens, OAUTH_PROVIDER: '', OAUTH_TOKEN_URL: 'https://login.example.com/token' };
  assert.deepEqual(loadConfig(own).config.oauth?.tokenUrl, 'https://login.example.com/token');
  assert.deepEqual(
    faultsOf({ ...tokens, OAUTH_PROVIDER: '', OAUTH_CLIENT_ID: '', OAUTH_REFRESH_TOKEN: '' }),
    [
      'OAUTH_CLIENT_ID: expected with auth=xoauth2: as the provider has given it',
      'OAUTH_REFRESH_TOKEN: expected with auth=xoauth2',
      'OAUTH_PROVIDER: expected google or microsoft with auth=xoauth2, or an OAUTH_TOKEN_URL',
    ],
  );
  assert.match(
    String(faultsOf({ ...tokens, IMAP_URL: 'imaps://a:b@mail.example.com?auth=xoauth2' })),
    /a password together with auth=xoauth2/,
  );
  assert.match(
    String(faultsOf({ ...tokens, CLIENT_IMAP_URL: 'imaps://a@mail.example.com?auth=xoauth2' })),
    /auth=xoauth2 is for the mailbox of the bot alone/,
  );
});

test('every fault is told at once, with what is expected', () => {
  assert.deepEqual(
    [
      ...faultsOf({
        IMAP_URL: 'https://mail.example.com',
        SENDER_AUTH: 'both',
        COMMAND_TIMEOUT_MS: '30m',
        THREAD_BY: 'sender',
        ALLOWED_SENDERS: 'john@example.com, *.example.com',
        REDIS_URL: 'localhost:6379',
      }),
    ].toSorted(),
    [
      'COMMAND_TIMEOUT_MS: expected a whole number of milliseconds from 1000 to 604800000, e.g. 1800000',
      'IMAP_URL: the scheme is neither imaps: nor imap:; expected e.g. imaps://user:password@mail.example.com:993',
      'REDIS_URL: expected e.g. redis://:password@redis.example.com:6379',
      'THREAD_BY: expected repository or subject',
      'ALLOWED_SENDERS: expected addresses or *@domain, separated by commas; not understood: *.example.com',
      'BOT_ADDRESS: expected with IMAP_URL: the address people write to, e.g. bot@example.com',
      'TRUSTED_AUTHSERV_IDS: expected with SENDER_AUTH=both: the name that your mail server signs its Authentication-Results with, e.g. mx.google.com. npx threadbox doctor --mail reads your mailbox and proposes the lines',
      'SMTP_URL: expected together with IMAP_URL: without it no answer can be sent',
    ].toSorted(),
  );
});

test('a fault never shows the password', () => {
  const faults = faultsOf({
    IMAP_URL: 'imap//bot:hunter2@example.com',
    DATABASE_URL: 'mysql://u:hunter2@db/x',
  });
  assert.equal(faults.length, 5);
  assert.doesNotMatch(faults.join('\n'), /hunter2/);
});

test('a warning must come before the end it warns of', () => {
  assert.deepEqual(faultsOf({ CONTAINER_IDLE_TIMEOUT_MS: '60000', CONTAINER_GRACE_PERIOD_MS: '60000' }), [
    'CONTAINER_GRACE_PERIOD_MS: expected less than CONTAINER_IDLE_TIMEOUT_MS: the warning comes before the end',
  ]);
});

test('the host limit is a number, or none', () => {
  assert.equal(loadConfig({ HOST_MAX_CONTAINERS: '12' }).config.hostMaxContainers, 12);
  assert.equal(loadConfig({ HOST_MAX_CONTAINERS: '0' }).config.hostMaxContainers, null);
  assert.match(String(faultsOf({ HOST_MAX_CONTAINERS: '-1' })), /whole number of containers from 0/);
});

test('admins are addresses, whatever separates them', () => {
  const { config } = loadConfig({ ADMIN_ADDRESSES: 'Ann@Example.com; bob@example.com,' });
  assert.deepEqual(config.adminAddresses, ['ann@example.com', 'bob@example.com']);
  assert.deepEqual(faultsOf({ ADMIN_ADDRESSES: 'ann@example.com, *@example.com', SAVED_STATE_DAYS: '0' }), [
    'SAVED_STATE_DAYS: expected a whole number of days from 1 to 365, e.g. 7',
    'ADMIN_ADDRESSES: expected addresses, separated by commas; not understood: *@example.com',
  ]);
});

test('how senders are verified must be chosen for a real mailbox, and so that it can work', () => {
  const { SENDER_AUTH: _, ...unset } = mail;
  const cases: readonly [Record<string, string>, RegExp | null][] = [
    [unset, /^SENDER_AUTH: expected with IMAP_URL.*microsoft365\. npx threadbox doctor --mail/],
    [
      { ...mail, SENDER_AUTH: 'none' },
      /^SENDER_AUTH: none lets everybody.*I_UNDERSTAND_ANYONE.*doctor --mail/,
    ],
    [{ ...mail, SENDER_AUTH: 'none', I_UNDERSTAND_ANYONE_CAN_RUN_COMMANDS: 'yes' }, null],
    [
      { ...mail, SENDER_AUTH: 'none', I_UNDERSTAND_ANYONE_CAN_RUN_COMMANDS: 'no' },
      /takes only the value yes/,
    ],
    [{ ...mail, SENDER_AUTH: 'authentication-results' }, /^TRUSTED_AUTHSERV_IDS: expected with/],
    [{ ...mail, SENDER_AUTH: 'both' }, /^TRUSTED_AUTHSERV_IDS: expected with SENDER_AUTH=both/],
    [{ ...mail, SENDER_AUTH: 'either' }, /^TRUSTED_AUTHSERV_IDS: expected with SENDER_AUTH=either/],
    [{ ...mail, SENDER_AUTH: 'both', TRUSTED_AUTHSERV_IDS: 'mx.google.com, *.example.com' }, null],
    [
      { ...mail, SENDER_AUTH: 'both', TRUSTED_AUTHSERV_IDS: '*' },
      /^TRUSTED_AUTHSERV_IDS: .*not understood: \*/,
    ],
    [{ ...mail, SENDER_AUTH: 'both', TRUSTED_AUTHSERV_IDS: '*.com' }, /not understood: \*\.com/],
    [{ ...mail, SENDER_AUTH: 'microsoft365' }, null],
    [{ ...mail, SENDER_AUTH: 'spf' }, /^SENDER_AUTH: expected one of/],
    [{ SENDER_AUTH: 'dkim' }, /^SENDER_AUTH: only with IMAP_URL/],
    [{ SENDER_AUTH: 'none' }, null],
  ];
  for (const [env, fault] of cases) {
    const faults = faultsOf(env);
    if (fault === null) assert.deepEqual(faults, []);
    else assert.ok(faults.length === 1 && fault.test(faults[0] ?? ''), String(faults));
  }
  assert.equal(loadConfig({}).config.senderAuth, 'none');
});

test('what takes no mail works without that choice, and would trust nobody', () => {
  const { SENDER_AUTH: _, ...unset } = mail;
  const { config } = loadConfig(unset, { isForBot: false });
  assert.equal(config.senderAuth, 'authentication-results');
  assert.deepEqual(config.trustedAuthservIds, []);
});

test('a token cannot be asked for where none is given out', () => {
  assert.match(String(faultsOf({ REPLY_TOKEN: 'off', REQUIRE_TOKEN: 'admin' })), /^REPLY_TOKEN: off means/);
  assert.equal(loadConfig({ REPLY_TOKEN: 'off' }).config.replyToken, false);
});

test('a token cannot be asked for where others read the answers', () => {
  for (const required of ['admin', 'always']) {
    assert.match(
      String(faultsOf({ REPLY_ALL: 'yes', REQUIRE_TOKEN: required })),
      /^REPLY_ALL: yes does not go with REQUIRE_TOKEN: .* carries no token/,
    );
  }
  assert.equal(loadConfig({ REPLY_ALL: 'yes' }).config.repliesToAll, true);
});

test('an empty variable counts as not set', () => {
  assert.equal(loadConfig({ MAILBOX: '', LOG_LEVEL: '' }).config.mailbox, 'INBOX');
});

test('.env.example lists every setting, and nothing that is none', () => {
  const listed = readFileSync(new URL('../.env.example', import.meta.url), 'utf8').matchAll(
    /^#?([A-Z_]+)=/gm,
  );
  assert.deepEqual([...listed].map(([, name]) => name).toSorted(), settingNames.toSorted());
});

test('the defaults that .env.example shows are the real ones', () => {
  const text = readFileSync(new URL('../.env.example', import.meta.url), 'utf8');
  const shown = [
    ...text.matchAll(
      /^#((?:CONTAINER|COMMAND|HOST|SAVE|WORKSPACE|THREAD|LOG|MAILBOX|DATA_DIR|DATE)\w*)=(.*)$/gm,
    ),
  ];
  assert.ok(shown.length >= 15);
  const env = Object.fromEntries(shown.map(([, name, value]) => [name as string, value as string]));
  assert.deepEqual(loadConfig(env).config, loadConfig({}).config);
});

test('where the API listens is host and port, or off', () => {
  const httpOf = (written: string) => loadConfig({ HTTP_LISTEN: written }).config.http;
  assert.deepEqual(loadConfig({}).config.http, { host: '127.0.0.1', port: 8330 });
  assert.deepEqual(httpOf(':80'), { host: '0.0.0.0', port: 80 });
  assert.deepEqual(httpOf('[::1]:8330'), { host: '::1', port: 8330 });
  assert.deepEqual(httpOf('bot.internal:8330'), { host: 'bot.internal', port: 8330 });
  assert.equal(httpOf('off'), null);
  for (const odd of ['8330', '127.0.0.1', 'host:99999', 'http://host:80', '::1:80']) {
    assert.match(faultsOf({ HTTP_LISTEN: odd })[0] ?? '', /^HTTP_LISTEN: expected host:port, .*or off/, odd);
  }
});

test('what containers may reach is read as addresses with ports, and nothing else is taken for it', () => {
  const { containerMayReach, containerDns } = loadConfig({
    CONTAINER_MAY_REACH: '10.1.2.3:4873, 10.1.2.0/24:443',
    CONTAINER_DNS: '192.168.1.1',
  }).config;
  assert.deepEqual(
    [containerMayReach, containerDns],
    [['10.1.2.3:4873', '10.1.2.0/24:443'], ['192.168.1.1']],
  );
  for (const wrong of [
    '10.1.2.3',
    '10.1.2:80',
    '10.1.2.256:80',
    'registry:80',
    '10.0.0.0/33:80',
    '10.1.2.3.4:80',
  ]) {
    assert.match(
      faultsOf({ CONTAINER_MAY_REACH: wrong })[0] ?? '',
      /^CONTAINER_MAY_REACH: expected IPv4/,
      wrong,
    );
  }
  assert.match(faultsOf({ CONTAINER_DNS: '1.1.1.1.' })[0] ?? '', /^CONTAINER_DNS: expected IPv4/);
});
