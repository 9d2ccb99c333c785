import type { Db } from './database.ts';
import { checkSessionsNow } from './sessions.ts';

export type Role = 'user' | 'admin';

export type User = {
  id: number;
  address: string;
  name: string;
  role: Role;
  /** `null`: as the server is set. */
  idleTimeoutMs: number | null;
  createdAt: Date;
};

const columns = [
  'id',
  'address',
  'name',
  'role',
  'idle_timeout_ms as idleTimeoutMs',
  'created_at as createdAt',
] as const;

/** True when the operator has added that address. A row alone says nothing: senders let in by a pattern have one. */
export async function isRegistered(db: Db, address: string): Promise<boolean> {
  const [isOne = false] = await areRegistered(db, [address]);
  return isOne;
}

/** The same for several. */
export async function areRegistered(db: Db, addresses: readonly string[]): Promise<boolean[]> {
  const asked = addresses.map((address) => address.toLowerCase());
  const rows = await db('users')
    .whereRaw('is_registered and address = any(?::text[])', [asked])
    .pluck<string[]>('address');
  const registered = new Set(rows);
  return asked.map((address) => registered.has(address));
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

/** `repositories`: the names of those the user may use; null for all, also those to come. */
export type ListedUser = User & { repositories: string[] | null };

/** Those the operator has added. */
export async function listUsers(db: Db): Promise<ListedUser[]> {
  return db('users')
    .select<ListedUser[]>([
      ...columns,
      db.raw(
        `case when is_restricted then array(
           select repositories.name from user_repositories
           join repositories on repositories.id = user_repositories.repository_id and removed_at is null
           where user_repositories.user_id = users.id order by lower(repositories.name)) end as repositories`,
      ),
    ])
    .where({ is_registered: true })
    .orderBy('address');
}

/** Whether that address is an admin's: by the operator's ADMIN_ADDRESSES, or by the role of a user. */
export async function isAdmin(
  db: Db,
  { adminAddresses }: { adminAddresses: readonly string[] },
  address: string,
): Promise<boolean> {
  return adminAddresses.includes(address.toLowerCase()) || hasAdminRole(db, address);
}

/** Whether that address has the role of an admin; the operator's ADMIN_ADDRESSES are another matter. */
export async function hasAdminRole(db: Db, address: string): Promise<boolean> {
  const of = { address: address.toLowerCase(), is_registered: true, role: 'admin' };
  return (await db('users').first('id').where(of)) !== undefined;
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
  change: Partial<Pick<User, 'name' | 'idleTimeoutMs' | 'role'>> & { repositories?: 'all' },
): Promise<boolean> {
  return db.transaction(async (transaction) => {
    const [row] = await transaction('users')
      .where({ address: address.toLowerCase(), is_registered: true })
      .update({
        // Something has to be set: an empty change changes nothing.
        address: transaction.ref('address'),
        ...(change.name !== undefined && { name: change.name }),
        ...(change.idleTimeoutMs !== undefined && { idle_timeout_ms: change.idleTimeoutMs }),
        ...(change.role !== undefined && { role: change.role }),
        ...(change.repositories === 'all' && { is_restricted: false }),
      })
      .returning<{ id: number }[]>('id');
    if (row && change.repositories === 'all') {
      await transaction('user_repositories').where({ user_id: row.id }).delete();
    }
    if (row) await checkSessionsNow(transaction, { user_id: row.id });
    return row !== undefined;
  });
}
