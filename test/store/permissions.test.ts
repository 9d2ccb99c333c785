import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { allowRepository, denyRepository } from '../../src/store/permissions.ts';
import { addRepository, listRepositoriesFor, removeRepository } from '../../src/store/repositories.ts';
import {
  ensureUser,
  hasAdminRole,
  isRegistered,
  listUsers,
  registerUser,
  setUser,
  unregisterUser,
} from '../../src/store/users.ts';
import { startPrivateDatabase, type PrivateDatabase } from '../support/private-database.ts';

let database: PrivateDatabase;
before(async () => {
  database = await startPrivateDatabase();
});
after(() => database.close());

const ANN = 'ann@example.com';

test('a user may use all repositories until the first is allowed or denied, and never more by that', async () => {
  const { db } = database;
  const add = (name: string) =>
    addRepository(db, { name, url: 'https://git.example.com/x.git', branch: null, threadBy: null });
  const usable = async (address = ANN) => (await listRepositoriesFor(db, address)).map(({ name }) => name);
  for (const name of ['one', 'two', 'three']) await add(name);
  assert.deepEqual(await usable('stranger@example.com'), ['one', 'three', 'two']);
  assert.equal(await allowRepository(db, ANN, 'one'), 'no-user');
  await registerUser(db, ANN, '');
  assert.equal(await allowRepository(db, ANN, 'four'), 'no-repository');
  assert.deepEqual(await usable(), ['one', 'three', 'two']);

  assert.equal(await denyRepository(db, ANN, 'Two'), 'changed');
  assert.deepEqual(await usable(), ['one', 'three']);
  await add('new');
  assert.deepEqual(await usable(), ['one', 'three'], 'one that comes later is not allowed by itself');
  assert.equal(await allowRepository(db, ANN, 'new'), 'changed');
  assert.equal(await allowRepository(db, ANN, 'new'), 'as-before');
  for (const name of ['one', 'three', 'new']) await denyRepository(db, ANN, name);
  assert.equal(await denyRepository(db, ANN, 'new'), 'as-before');
  assert.deepEqual(await usable(), [], 'the last one taken does not mean all');
  assert.deepEqual((await listUsers(db))[0]?.repositories, []);

  await unregisterUser(db, ANN);
  assert.deepEqual(await usable(), [], 'a pattern that lets the address in lets it into no more');
  await registerUser(db, ANN, '');
  await setUser(db, ANN, { repositories: 'all' });
  assert.deepEqual(await usable(), ['new', 'one', 'three', 'two']);
  await allowRepository(db, ANN, 'one');
  await removeRepository(db, 'one');
  assert.deepEqual(await usable(), []);
  assert.deepEqual(await usable('bob@example.com'), ['new', 'three', 'two']);
});

test('only a user whom the operator has added has the role of an admin', async () => {
  const { db } = database;
  await ensureUser(db, 'eve@example.com', '');
  assert.equal(await setUser(db, 'eve@example.com', { role: 'admin' }), false);
  assert.equal(await hasAdminRole(db, 'eve@example.com'), false);
  await registerUser(db, 'eve@example.com', '');
  await setUser(db, 'eve@example.com', { role: 'admin' });
  assert.equal(await hasAdminRole(db, 'Eve@example.com'), true);
  await unregisterUser(db, 'eve@example.com');
  assert.equal(await hasAdminRole(db, 'eve@example.com'), false);
});

test('a user let in by a pattern only is not registered; removing takes a user out', async () => {
  const { db } = database;
  await ensureUser(db, 'Jane@Example.com', 'Jane');
  assert.equal(await isRegistered(db, 'jane@example.com'), false);
  assert.equal(
    (await listUsers(db)).some((user) => user.address === 'jane@example.com'),
    false,
  );
  assert.equal((await registerUser(db, 'jane@example.com', ''))?.name, 'Jane');
  assert.equal(await registerUser(db, 'jane@example.com', ''), null);
  assert.equal(await isRegistered(db, 'JANE@example.com'), true);
  assert.equal(await unregisterUser(db, 'jane@example.com'), true);
  assert.equal(await isRegistered(db, 'jane@example.com'), false);
});
