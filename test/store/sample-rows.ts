import assert from 'node:assert/strict';
import type { Db } from '../../src/store/database.ts';
import { recordIncoming, type IncomingMessage } from '../../src/store/messages.ts';
import { addRepository, listRepositories } from '../../src/store/repositories.ts';
import { ensureThread } from '../../src/store/threads.ts';
import { ensureUser } from '../../src/store/users.ts';

export const mail = (uid: number, raw = `mail ${uid}`): IncomingMessage => ({
  uid,
  sizeBytes: raw.length,
  receivedAt: new Date(),
  raw: Buffer.from(raw),
  isTruncated: false,
});

export async function threadOf(
  db: Db,
  address: string,
  name: string,
): Promise<{ id: string; userId: number; repositoryId: number }> {
  const user = await ensureUser(db, address, '');
  await addRepository(db, { name, url: 'https://git.example.com/x.git', branch: null, threadBy: null });
  const repository = (await listRepositories(db)).find((one) => one.name === name);
  assert.ok(repository);
  return ensureThread(db, {
    id: `${address}-${name}`,
    userId: user.id,
    repositoryId: repository.id,
    label: '',
  });
}

/** @returns its id */
export async function received(db: Db, uid: number): Promise<number> {
  await recordIncoming(db, 'box', [mail(uid)], { uidValidity: 1, lastUid: uid });
  const row = await db('messages').first<{ id: number }>('id').where({ uid });
  return row?.id ?? 0;
}
