import type { Db } from './database.ts';

/** As it is stored: nothing here can be read without the key. */
export type SealedSecret = {
  name: string;
  keyId: string;
  sealed: Buffer;
  /** It was replaced or removed, and is known for a while only to be masked. */
  isRetired: boolean;
};

export type ListedSecret = { name: string; setBy: string; setAt: Date; sizeBytes: number };

const SEAL_BYTES = 28;
const RETIRED_DAYS = 30;

/** All of a repository, those in use first. */
export async function sealedSecrets(db: Db, repositoryId: number): Promise<SealedSecret[]> {
  return db('secrets')
    .select<SealedSecret[]>([
      'name',
      'key_id as keyId',
      'sealed',
      db.raw('retired_at is not null as "isRetired"'),
    ])
    .where({ repository_id: repositoryId })
    .whereRaw(`(retired_at is null or retired_at > now() - ? * interval '1 day')`, [RETIRED_DAYS])
    .orderByRaw('retired_at desc nulls first, name');
}

/** Those in use. */
export async function listSecrets(db: Db, repositoryId: number): Promise<ListedSecret[]> {
  return db('secrets')
    .select<ListedSecret[]>([
      'name',
      'set_by as setBy',
      'set_at as setAt',
      db.raw('length(sealed) - ? as "sizeBytes"', [SEAL_BYTES]),
    ])
    .where({ repository_id: repositoryId, retired_at: null })
    .orderBy('name');
}

/** The keys that those in use of all repositories were sealed with. */
export async function usedKeyIds(db: Db): Promise<string[]> {
  return db('secrets').distinct().whereNull('retired_at').pluck<string[]>('key_id');
}

/**
 * Puts a secret in the place of the one of that name.
 *
 * @returns false, and nothing is done, when there would be too many or too much of them
 */
export async function setSecret(
  db: Db,
  secret: { repositoryId: number; name: string; keyId: string; sealed: Buffer; setBy: string },
  limits: { secrets: number; bytes: number },
): Promise<boolean> {
  const { repositoryId, name, keyId, sealed, setBy } = secret;
  return db.transaction(async (transaction) => {
    await transaction('repositories').where({ id: repositoryId }).forUpdate().select('id');
    const others = (await listSecrets(transaction, repositoryId)).filter((one) => one.name !== name);
    const bytes = others.reduce((sum, { sizeBytes }) => sum + sizeBytes, sealed.length - SEAL_BYTES);
    if (others.length >= limits.secrets || bytes > limits.bytes) return false;
    await retire(transaction, repositoryId, name);
    await transaction('secrets').insert({
      repository_id: repositoryId,
      name,
      key_id: keyId,
      sealed,
      set_by: setBy,
    });
    return true;
  });
}

/** @returns false when there is none of that name */
export async function removeSecret(db: Db, repositoryId: number, name: string): Promise<boolean> {
  return db.transaction((transaction) => retire(transaction, repositoryId, name));
}

/** What was retired long ago goes for good. */
async function retire(db: Db, repositoryId: number, name: string): Promise<boolean> {
  await db('secrets')
    .where({ repository_id: repositoryId })
    .whereRaw(`retired_at <= now() - ? * interval '1 day'`, [RETIRED_DAYS])
    .delete();
  const changed = await db('secrets')
    .where({ repository_id: repositoryId, name, retired_at: null })
    .update({ retired_at: db.fn.now() });
  return changed > 0;
}
