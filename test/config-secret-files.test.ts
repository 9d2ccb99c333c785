import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig, type ConfigError } from '../src/config.ts';
import { withSecretFiles } from '../src/config-secret-files.ts';

test('passwords can stand in files, as they are, and are put into their URLs', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'threadbox-config-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const file = (name: string, text: string): string => {
    writeFileSync(join(dir, name), text);
    return join(dir, name);
  };
  const { secrets, config } = loadConfig({
    SMTP_URL: 'smtp://bot:secret@smtp.example.com',
    BOT_ADDRESS: 'bot@example.com',
    SENDER_AUTH: 'dkim',
    IMAP_URL: 'imaps://bot%40example.com@imap.example.com?insecure-skip-verify=yes',
    IMAP_PASSWORD_FILE: file('imap', 'p@ss/w: %40#ü \n'),
    SMTP_PASSWORD_FILE: file('smtp', ''),
    DATABASE_URL: 'postgres://threadbox@db.example.com:5432/threadbox?sslmode=require',
    DATABASE_PASSWORD_FILE: file('database', 'a&b@c\r\n'),
    REDIS_URL: 'redis://redis.example.com:6379/1',
    REDIS_PASSWORD_FILE: file('redis', 'r'),
    OAUTH_REFRESH_TOKEN_FILE: file('token', '1//token\n'),
  });
  assert.equal(secrets.imapPassword, 'p@ss/w: %40#ü ');
  assert.equal(config.imap?.user, 'bot@example.com');
  assert.equal(secrets.smtpPassword, 'secret');
  const { username, password, hostname, search } = new URL(secrets.databaseUrl ?? '');
  assert.deepEqual(
    [username, decodeURIComponent(password), hostname, search],
    ['threadbox', 'a&b@c', 'db.example.com', '?sslmode=require'],
  );
  assert.equal(secrets.redisUrl, 'redis://:r@redis.example.com:6379/1');
  assert.equal(secrets.oauthRefreshToken, '1//token');
});

test('a file of a secret that cannot be taken is told with its name, never with what is in it', () => {
  const texts: Record<string, string> = {
    '/two': 'hidden\nhidden',
    '/one': 'hidden',
    '/large': 'hidden'.repeat(20_000),
  };
  const read = (path: string): string => {
    const text = texts[path];
    if (text === undefined) throw Object.assign(new Error('EACCES: hidden'), { code: path.slice(1) });
    return text;
  };
  const faultsWith = (given: Record<string, string>) => withSecretFiles(given, read).faults;
  const url = 'postgres://threadbox@db/threadbox';
  const table: [Record<string, string>, string | undefined][] = [
    [{ DATABASE_URL: url, DATABASE_PASSWORD_FILE: '/one' }, undefined],
    [
      { DATABASE_URL: url, DATABASE_PASSWORD_FILE: '/ENOENT' },
      'DATABASE_PASSWORD_FILE: /ENOENT cannot be read: there is no such file',
    ],
    [
      { DATABASE_URL: url, DATABASE_PASSWORD_FILE: '/EACCES' },
      'DATABASE_PASSWORD_FILE: /EACCES cannot be read: this user may not',
    ],
    [
      { DATABASE_URL: url, DATABASE_PASSWORD_FILE: '/two' },
      'DATABASE_PASSWORD_FILE: /two: expected the secret alone, in one line',
    ],
    [
      { DATABASE_URL: url, DATABASE_PASSWORD_FILE: '/large' },
      'DATABASE_PASSWORD_FILE: /large is too large for a secret',
    ],
    [
      { DATABASE_URL: 'postgres://threadbox:other@db/threadbox', DATABASE_PASSWORD_FILE: '/one' },
      'DATABASE_PASSWORD_FILE: there is a password in DATABASE_URL already: take it out there',
    ],
    [
      { DATABASE_URL: 'postgres:///threadbox?host=/run/postgresql', DATABASE_PASSWORD_FILE: '/one' },
      'DATABASE_PASSWORD_FILE: expected a DATABASE_URL with a host, as in postgres://user@%2Frun%2Fpostgresql/name',
    ],
    [
      { DATABASE_PASSWORD_FILE: '/one' },
      'DATABASE_PASSWORD_FILE: expected together with DATABASE_URL, which names the host and the user',
    ],
    [
      { OAUTH_CLIENT_SECRET: 'other', OAUTH_CLIENT_SECRET_FILE: '/one' },
      'OAUTH_CLIENT_SECRET_FILE: OAUTH_CLIENT_SECRET is set already: keep one of the two',
    ],
  ];
  for (const [given, fault] of table) assert.deepEqual(faultsWith(given), fault === undefined ? [] : [fault]);
  // Together with all other faults.
  const wrong = { OAUTH_CLIENT_SECRET_FILE: '/not/there', CONTAINER_CPUS: 'two' };
  const faults = [
    'OAUTH_CLIENT_SECRET_FILE: /not/there cannot be read: there is no such file',
    'CONTAINER_CPUS: expected a number of processors from 0.1 to 512, e.g. 1 or 1.5',
  ];
  assert.throws(
    () => loadConfig(wrong),
    (error) => {
      assert.deepEqual((error as ConfigError).faults, faults);
      return true;
    },
  );
});
