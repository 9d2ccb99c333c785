import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readKey, readOrMakeKey } from '../../src/secrets/key-file.ts';
import { isTooShortToMask, nameFault, valueOf } from '../../src/secrets/rules.ts';
import { keyOf, seal, unseal } from '../../src/secrets/sealing.ts';

const key = keyOf(randomBytes(32).toString('base64'), 'SECRETS_KEY');
const of = { repositoryId: 7, name: 'TOKEN' };

test('what is sealed comes back for the same repository and name, and for no other', () => {
  const bytes = seal(key, of, 'hunter2 äß\n');
  const sealed = { keyId: key.id, bytes };
  assert.equal(unseal(key, of, sealed), 'hunter2 äß\n');
  assert.ok(!bytes.includes('hunter2'));
  assert.notDeepEqual(seal(key, of, 'hunter2 äß\n'), bytes);
  for (const other of [
    { ...of, repositoryId: 8 },
    { ...of, name: 'OTHER' },
  ]) {
    assert.throws(() => unseal(key, other, sealed), /was changed in the database\. Set it anew/);
  }
  const changed = Buffer.from(bytes);
  changed[bytes.length - 1] = (changed.at(-1) ?? 0) ^ 1;
  assert.throws(() => unseal(key, of, { ...sealed, bytes: changed }), { code: 'SECRETS' });
});

test('another key is told in words, by what it is called and not by what it is', () => {
  const other = keyOf(randomBytes(32).toString('base64'), 'SECRETS_KEY');
  const sealed = { keyId: key.id, bytes: seal(key, of, 'hunter2') };
  const message = new RegExp(
    `^The secret TOKEN was sealed with the key ${key.id}; .* now is the key ${other.id}\\. Bring the old`,
  );
  assert.throws(() => unseal(other, of, sealed), { message });
  for (const wrong of ['', 'short', randomBytes(31).toString('base64'), 'x'.repeat(44)]) {
    assert.throws(() => keyOf(wrong, 'SECRETS_KEY'), /^SecretsError: SECRETS_KEY: expected the base64 of 32/);
  }
});

test('a key is made once, for its owner alone; a given one goes before it', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'threadbox-key-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const source = { given: null, file: join(dir, 'new', 'secrets.key') };
  assert.equal(await readKey(source), null);
  const [one, two] = await Promise.all([readOrMakeKey(source), readOrMakeKey(source)]);
  assert.equal(one.id, two.id);
  assert.equal((await stat(source.file)).mode & 0o777, 0o600);
  assert.equal((await readKey(source))?.id, keyOf((await readFile(source.file, 'utf8')).trim(), '').id);
  const given = randomBytes(32).toString('base64');
  assert.equal((await readOrMakeKey({ ...source, given })).id, keyOf(given, '').id);
  await writeFile(source.file, 'broken');
  await assert.rejects(readKey(source), /secrets\.key: expected the base64 of 32 bytes/);
});

test('names are those of variables that nobody else goes by', () => {
  for (const name of ['NPM_TOKEN', 'A', 'GITHUB_TOKEN_2']) assert.equal(nameFault(name), null, name);
  for (const name of ['', 'lower', '2FA', '_X', 'A-B', 'A'.repeat(65), 'É']) {
    assert.match(nameFault(name) ?? '', /^expected capitals/, name);
  }
  for (const name of ['PATH', 'THREADBOX_X', 'BASH_ENV', 'LD_PRELOAD', 'UID', 'IFS']) {
    assert.match(nameFault(name) ?? '', /a meaning of its own/, name);
  }
});

test('a value is text of a limited size; one line end at its end is not part of it', () => {
  const read = (text: string | Buffer) => valueOf(Buffer.from(text as string));
  assert.deepEqual(read('hunter2\n'), { value: 'hunter2' });
  assert.deepEqual(read('a\r\nb\r\n'), { value: 'a\r\nb' });
  assert.deepEqual(read('a\n\n'), { value: 'a\n' });
  for (const [given, fault] of [
    ['\n', /^it is empty/],
    ['a\0b', /NUL/],
    [Buffer.from([0xff, 0xfe]), /not text in UTF-8/],
    ['x'.repeat(16_385), /it has 16385 bytes, more than the 16384/],
  ] as const) {
    assert.match((read(given) as { fault: string }).fault, fault);
  }
  assert.ok(isTooShortToMask('12345') && !isTooShortToMask('123456'));
});
