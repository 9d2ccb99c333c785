import type { Db } from './database.ts';

/** `read` sees everything, `admin` may also change it. */
export type TokenRole = 'admin' | 'read';

export type ApiToken = {
  id: number;
  name: string;
  role: TokenRole;
  createdAt: Date;
  lastUsedAt: Date | null;
};

const columns = {
  id: 'id',
  name: 'name',
  role: 'role',
  createdAt: 'created_at',
  lastUsedAt: 'last_used_at',
};

/** @returns null when another token has that name */
export async function addToken(
  db: Db,
  { name, role, hash }: { name: string; role: TokenRole; hash: Buffer },
): Promise<ApiToken | null> {
  const [row] = await db('api_tokens')
    .insert({ name, role, hash })
    .onConflict()
    .ignore()
    .returning<ApiToken[]>(['id', 'name', 'role', 'created_at as createdAt', 'last_used_at as lastUsedAt']);
  return row ?? null;
}

export async function listTokens(db: Db): Promise<ApiToken[]> {
  return db('api_tokens').select<ApiToken[]>(columns).whereNull('revoked_at').orderBy('id');
}

/** @returns false when no token has that name */
export async function revokeToken(db: Db, name: string): Promise<boolean> {
  const changed = await db('api_tokens')
    .whereNull('revoked_at')
    .whereRaw('lower(name) = lower(?)', [name])
    .update({ revoked_at: db.fn.now() });
  return changed > 0;
}

/** A token that holds, with the hash of its secret. */
export async function tokenById(db: Db, id: number): Promise<(ApiToken & { hash: Buffer }) | null> {
  const row = await db('api_tokens')
    .first<(ApiToken & { hash: Buffer }) | undefined>({ ...columns, hash: 'hash' })
    .where({ id })
    .whereNull('revoked_at');
  return row ?? null;
}

/** To the minute: who looks at a list wants to know what is in use. */
export async function noteTokenUsed(db: Db, id: number, now: Date): Promise<void> {
  await db('api_tokens')
    .where({ id })
    .whereRaw(`coalesce(last_used_at, 'epoch') < ?::timestamptz - interval '1 minute'`, [now])
    .update({ last_used_at: now });
}
