import type { Db } from './database.ts';

/** What an operator names that is not there. */
export type PermissionChange = 'changed' | 'as-before' | 'no-user' | 'no-repository';

/**
 * Lets a user use a repository. From the first time on, that user may use those alone that were allowed; before, all.
 */
export async function allowRepository(db: Db, address: string, name: string): Promise<PermissionChange> {
  return change(db, address, name, async (transaction, { userId, repositoryId }) => {
    await transaction('users').where({ id: userId }).update({ is_restricted: true });
    const added = await transaction('user_repositories')
      .insert({ user_id: userId, repository_id: repositoryId })
      .onConflict()
      .ignore()
      .returning('user_id');
    return added.length > 0;
  });
}

/** Lets a user use a repository no longer. Who might use all may then use the others that there are now. */
export async function denyRepository(db: Db, address: string, name: string): Promise<PermissionChange> {
  return change(db, address, name, async (transaction, { userId, repositoryId, isRestricted }) => {
    if (!isRestricted) {
      await transaction('users').where({ id: userId }).update({ is_restricted: true });
      // What it once might use and lost is forgotten: all was allowed since.
      await transaction('user_repositories').where({ user_id: userId }).delete();
      await transaction.raw(
        `insert into user_repositories (user_id, repository_id)
         select ?, id from repositories where removed_at is null and id <> ?`,
        [userId, repositoryId],
      );
      return true;
    }
    const of = { user_id: userId, repository_id: repositoryId };
    return (await transaction('user_repositories').where(of).delete()) > 0;
  });
}

/** Whether that address may use the repository, in use or removed. */
export async function mayUse(db: Db, address: string, repositoryId: number): Promise<boolean> {
  const restricted = await db('users')
    .first('id')
    .where({ address: address.toLowerCase(), is_restricted: true })
    .whereNotExists(
      db('user_repositories')
        .select('user_id')
        .whereRaw('user_id = users.id')
        .where('repository_id', repositoryId),
    );
  return restricted === undefined;
}

type Pair = { userId: number; repositoryId: number; isRestricted: boolean };

async function change(
  db: Db,
  address: string,
  name: string,
  make: (transaction: Db, pair: Pair) => Promise<boolean>,
): Promise<PermissionChange> {
  return db.transaction(async (transaction) => {
    const user = await transaction('users')
      .first<{ id: number; isRestricted: boolean } | undefined>({ id: 'id', isRestricted: 'is_restricted' })
      .where({ address: address.toLowerCase(), is_registered: true })
      .forUpdate();
    if (!user) return 'no-user';
    const repository = await transaction('repositories')
      .first<{ id: number } | undefined>('id')
      .whereRaw('lower(name) = lower(?)', [name])
      .whereNull('removed_at');
    if (!repository) return 'no-repository';
    const pair = { userId: user.id, repositoryId: repository.id, isRestricted: user.isRestricted };
    return (await make(transaction, pair)) ? 'changed' : 'as-before';
  });
}
