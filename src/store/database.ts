import knex, { type Knex } from 'knex';
import { types, type Client } from 'pg';
import { migrations } from '../../migrations/index.ts';
import type { Migration } from '../../migrations/migration.ts';
import { ADMIN_SCHEMA } from './admin-views.ts';
import { KEEP_ALIVE, socketOf, trustedConnections } from './connections.ts';

/** A pool of connections, or one transaction: what every function of this room takes. */
export type Db = Knex;

// Row ids and byte counts stay far below 2^53; as strings (the driver's default) they would compare wrongly.
types.setTypeParser(types.builtins.INT8, Number);

/**
 * Lazily connected: nothing is sent before the first query. Close with `db.destroy()`.
 *
 * @param idleInTransactionMs after so long without a word the server gives up a transaction, and what it has locked: where
 *   the network or this machine has gone, it would wait for hours. 0: never
 * @param statementMs after so long the server gives up a statement
 * @param answerWithinMs after so long without an answer its connection is given up, and every one opened before
 * @param isUnhurried there are no such limits, the server's own included
 */
export function openDatabase(
  databaseUrl: string,
  {
    poolSize = 10,
    idleInTransactionMs = 0,
    statementMs = 60_000,
    answerWithinMs = 65_000,
    isUnhurried = false,
  } = {},
): Db {
  const connections = trustedConnections(
    isUnhurried ? lift(['statement_timeout', ...TRANSACTION_LIMITS], 'session') : '',
  );
  const db = knex({
    client: 'pg',
    connection: {
      connectionString: databaseUrl,
      application_name: 'threadbox',
      ...KEEP_ALIVE,
      connectionTimeoutMillis: 5_000,
      // A frozen server must become an error that is retried, not a bot that waits for ever.
      ...(!isUnhurried && { statement_timeout: statementMs, query_timeout: answerWithinMs }),
      idle_in_transaction_session_timeout: idleInTransactionMs,
    } as Knex.PgConnectionConfig,
    pool: {
      min: 0,
      max: poolSize,
      destroyTimeoutMillis: 1_000,
      afterCreate: connections.ready,
      validate: connections.isTrusted,
    },
    acquireConnectionTimeout: 10_000,
    // The values of a query are mails and commands: they belong in no error message and no log.
    compileSqlOnError: false,
    // Every fault is thrown as well, to where it is known what it means; knex would print it besides.
    log: { warn: ignore, error: ignore, deprecate: ignore, debug: ignore },
  });
  db.on('query-error', connections.noteError);
  const { pool } = db.client as { pool: Pool };
  // The server has not said goodbye: left as it is, its socket would keep a process of ours from ending.
  pool.on('destroyFail', (_id, client) => socketOf(client).destroy());
  return db;
}

/** PostgreSQL 17 brought the second. */
const TRANSACTION_LIMITS = ['idle_in_transaction_session_timeout', 'transaction_timeout'];

/** Takes limits away that a server may have of its own, as managed ones do: of these those that it knows. */
const lift = (limits: readonly string[], from: 'session' | 'transaction'): string =>
  `select set_config(name, '0', ${from === 'transaction'}) from pg_settings where name in ('${limits.join(`', '`)}')`;

/**
 * Works on the same database over connections of its own, which wait for each statement however long that takes: what changes
 * or fills a large table takes minutes, and given up for that it would be begun anew for ever. Nor has the server limits of its
 * own there. One that has gone is still noticed.
 */
export async function unhurried<T>(db: Db, work: (db: Db) => Promise<T>): Promise<T> {
  const { config } = db.client as { config: { connection: { connectionString: string } } };
  const { connectionString } = config.connection;
  const own = openDatabase(connectionString, { poolSize: 2, isUnhurried: true });
  try {
    return await work(own);
  } finally {
    await own.destroy();
  }
}

/** What we use of knex's pool, which is tarn's. */
type Pool = { on: (event: 'destroyFail', heard: (id: number, client: Client) => void) => void };

const ignore = (): void => {};

/** Any number the whole of Threadbox agrees on: the advisory lock that migrations are applied under. */
const MIGRATION_LOCK = 7_482_331;

/**
 * Brings the schema up to date, one process at a time.
 *
 * @throws an error of {@link isSchemaTooNew} when the database has migrations this version does not know
 */
export async function migrate(db: Db): Promise<void> {
  await db.transaction(async (transaction) => {
    // It only holds the lock, while migrations take their time on other connections.
    await letTakeItsTime(transaction);
    await transaction.raw('select pg_advisory_xact_lock(?)', [MIGRATION_LOCK]);
    await refuseNewer(db);
    // knex's own lock row outlives a killed process; ours does not, and while we hold it nobody else migrates.
    if (await db.schema.hasTable('knex_migrations_lock')) await db.migrate.forceFreeMigrationsLock();
    if ((await schemaState(db)).missing.length === 0) return;
    await unhurried(db, async (own) => {
      // A column that a view shows cannot be changed. They are made again with the next query of an admin.
      await own.raw(`drop schema if exists ${ADMIN_SCHEMA} cascade`);
      await own.migrate.latest({ migrationSource });
    });
  });
}

/** For a transaction in which nothing is said for long, while files are read or somebody else works. */
export async function letTakeItsTime(transaction: Db): Promise<void> {
  await transaction.raw(lift(TRANSACTION_LIMITS, 'transaction'));
}

async function refuseNewer(db: Db): Promise<void> {
  const { unknown } = await schemaState(db);
  if (unknown.length === 0) return;
  throw Object.assign(
    new Error(
      `The database was made by a newer Threadbox: this one does not know its migrations ${unknown.join(', ')}. Start the newer one, or restore a backup made before`,
    ),
    { code: 'SCHEMA_TOO_NEW' },
  );
}

/** Trying again does not help: a newer Threadbox is needed. */
export const isSchemaTooNew = (error: unknown): boolean =>
  (error as { code?: string }).code === 'SCHEMA_TOO_NEW';

/** How the schema stands, without a change to it. `applied` is empty where there are no tables of ours. */
export async function schemaState(
  db: Db,
): Promise<{ applied: string[]; missing: string[]; unknown: string[] }> {
  const isThere = await db.schema.hasTable('knex_migrations');
  const applied = isThere ? await db('knex_migrations').orderBy('id').pluck<string[]>('name') : [];
  return {
    applied,
    missing: Object.keys(migrations).filter((name) => !applied.includes(name)),
    unknown: applied.filter((name) => !(name in migrations)),
  };
}

/** The server's version in words, and its clock. */
export async function serverFacts(db: Db): Promise<{ version: string; now: Date }> {
  const { rows } = await db.raw<{ rows: { version: string; now: Date }[] }>(
    `select current_setting('server_version') as version, clock_timestamp() as now`,
  );
  return rows[0] as { version: string; now: Date };
}

const migrationSource: Knex.MigrationSource<string> = {
  getMigrations: () => Promise.resolve(Object.keys(migrations)),
  getMigrationName: (name) => name,
  getMigration: (name) => Promise.resolve(migrations[name] as Migration),
};

/** This installation's short id: what its containers, volumes and networks carry, so that two never meet. */
export async function installationId(db: Db): Promise<string> {
  const row = await db('installation').first<{ id: string }>('id');
  if (!row) throw new Error('The table installation is empty: the database was not made by Threadbox');
  return row.id;
}

/** What the driver says, without a code, of a connection that broke before or while it was used. */
const AWAY =
  /connection (terminated|ended|closed)|encountered a connection error|query read timeout|timeout expired|timeout exceeded when/i;

/**
 * The server is there and answers; but somebody has held for too long what the statement needs, or it took too long.
 * Waiting may help; the statement alone may be to blame.
 */
export function isDatabaseBusy(error: unknown): boolean {
  // query_canceled, lock_not_available (Appendix A of PostgreSQL's manual).
  return ['57014', '55P03'].includes((error as { code?: string }).code ?? '');
}

/**
 * The server is away, starting, stopping or full: trying again later may help, and nothing else will. Not so of one
 * statement that took too long: {@link isDatabaseBusy}.
 */
export function isDatabaseAway(error: unknown): boolean {
  const { code, name, message, syscall } = error as Partial<NodeJS.ErrnoException>;
  // Class 08 is connections, 53 resources, 57P the operator's doing, 25P03 a transaction that was given up as nobody has
  // spoken in it, 25006 a server that only lets read, as a standby, or one whose disk is nearly full (Appendix A of
  // PostgreSQL's manual).
  if (
    typeof code === 'string' &&
    /^(08|53|57P|25P03|25006|ECONN|ETIMEDOUT|EPIPE|ENOTFOUND|EAI_AGAIN)/.test(code)
  )
    return true;
  // What the server itself says of a statement; the driver's message quotes that, whatever words are in it.
  if (typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code)) return false;
  // A Unix socket that is not there; any other file is somebody else's.
  if (code === 'ENOENT' && syscall === 'connect') return true;
  return name === 'KnexTimeoutError' || AWAY.test(message ?? '');
}

/** PostgreSQL's code for a unique constraint that was broken (Appendix A of its manual). */
export function isUniqueViolation(error: unknown, constraint: string): boolean {
  const { code, constraint: broken } = error as { code?: string; constraint?: string };
  return code === '23505' && broken === constraint;
}
