import type { Db } from './database.ts';
import { checkSessionsNow } from './sessions.ts';

export type User = {
  id: number;
  address: string;
  name: string;
  /** `null`: as the server is set. */
  idleTimeoutMs: number | null;
  createdAt: Date;
};

const columns = [
  'id',
  'address',
  'name',
  'idle_timeout_ms as idleTimeoutMs',
  'created_at as createdAt',
] as const;

/** True when the operator has added that address. A row alone says nothing: senders let in by a pattern have one. */
export async function isRegistered(db: Db, address: string): Promise<boolean> {
  const row = await db('users').first('id').where({ address: address.toLowerCase(), is_registered: true });
  return row !== undefined;
}

/** The user with that address, made when missing. A name that is known is not overwritten. */
export async function ensureUser(db: Db, address: string, name: string): Promise<User> {
  const known = await db('users')
    .first<User | undefined>([...columns])
    .where({ address: address.toLowerCase() });
  if (known && (known.name !== '' || name === '')) return known;
  const [row] = await db('users')
    .insert({ address: address.toLowerCase(), name })
    .onConflict('address')
    .merge({ name: db.raw(`case when users.name = '' then excluded.name else users.name end`) })
    .returning<User[]>([...columns]);
  return row as User;
}

/** Lets an address in. @returns null when it was let in before */
export async function registerUser(db: Db, address: string, name: string): Promise<User | null> {
  const [row] = await db('users')
    .insert({ address: address.toLowerCase(), name, is_registered: true })
    .onConflict('address')
    .merge({
      is_registered: true,
      name: db.raw(`case when excluded.name = '' then users.name else excluded.name end`),
    })
    .where('users.is_registered', false)
    .returning<User[]>([...columns]);
  return row ?? null;
}

/** Those the operator has added. */
export async function listUsers(db: Db): Promise<User[]> {
  return db('users')
    .select<User[]>([...columns])
    .where({ is_registered: true })
    .orderBy('address');
}

/** Lets an address in no longer. Its threads and their history stay. */
export async function unregisterUser(db: Db, address: string): Promise<boolean> {
  const changed = await db('users')
    .where({ address: address.toLowerCase(), is_registered: true })
    .update({ is_registered: false });
  return changed > 0;
}

/**
 * Changes what is given, and has the sweep look at the user's containers anew.
 *
 * @returns false when the operator has not added that address
 */
export async function setUser(
  db: Db,
  address: string,
  change: Partial<Pick<User, 'name' | 'idleTimeoutMs'>>,
): Promise<boolean> {
  return db.transaction(async (transaction) => {
    const [row] = await transaction('users')
      .where({ address: address.toLowerCase(), is_registered: true })
      .update({
        // Something has to be set: an empty change changes nothing.
        address: transaction.ref('address'),
        ...(change.name !== undefined && { name: change.name }),
        ...(change.idleTimeoutMs !== undefined && { idle_timeout_ms: change.idleTimeoutMs }),
      })
      .returning<{ id: number }[]>('id');
    if (row) await checkSessionsNow(transaction, { user_id: row.id });
    return row !== undefined;
  });
}
