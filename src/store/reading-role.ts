import { createHash } from 'node:crypto';
import { ADMIN_SCHEMA, BODIES_VIEW, IS_FORBIDDEN_BUILTIN, MAKE_VIEWS } from './admin-views.ts';
import type { Db } from './database.ts';

/** Who reads for admins: a role of PostgreSQL that may see the views of {@link ADMIN_SCHEMA} and nothing else of ours. */
export type ReadingRole = {
  databaseUrl: string;
  /** Names that must not be called, in lower case: PostgreSQL refuses them where we could tell it to, we everywhere. */
  forbiddenFunctions: ReadonlySet<string>;
};

export type ReadingRoleSettings = {
  /** The bot's own. */
  databaseUrl: string;
  /** Of a role that somebody else has made; null: made by us. */
  readerUrl: string | null;
  showsBodies: boolean;
};

/** At most so many queries at a time, from all processes. */
const MOST_CONNECTIONS = 4;
const TEMP_FILE_LIMIT = '256MB';
/** As for the migrations: one process at a time. */
const SETUP_LOCK = 7_482_331;

/**
 * Makes sure of the role and of what it sees.
 *
 * @throws Error with code NO_READING_ROLE, in words for the operator, where the database does not let us
 */
export async function ensureReadingRole(db: Db, settings: ReadingRoleSettings): Promise<ReadingRole> {
  const { databaseUrl, readerUrl } = settings;
  const own = await db('installation').first<{ id: string; password: string }>({
    id: 'id',
    password: 'reader_password',
  });
  const role =
    readerUrl === null ? `threadbox_sql_${own.id}` : decodeURIComponent(new URL(readerUrl).username);
  try {
    await db.transaction(async (transaction) => {
      await transaction.raw('select pg_advisory_xact_lock(?)', [SETUP_LOCK]);
      await setUp(transaction, { ...settings, role, password: own.password });
    });
    await refuseMightyRole(db, role);
    const forbiddenFunctions = new Set(await forbiddenNames(db));
    return { databaseUrl: readerUrl ?? asRole(databaseUrl, role, own.password), forbiddenFunctions };
  } catch (error) {
    // 42501: may not make roles, schemas or grants. 42704: the role of SQL_DATABASE_URL is not there.
    const { code } = error as { code?: string };
    throw code === '42501' || code === '42704' ? noRole(error as Error, role, databaseUrl) : error;
  }
}

async function setUp(
  db: Db,
  { role, password, readerUrl, showsBodies }: ReadingRoleSettings & { role: string; password: string },
): Promise<void> {
  const { isSuperuser, isOurs, isThere, madeOf } = await stateOf(db, role);
  const wanted = createHash('sha256')
    .update(
      JSON.stringify([
        role,
        showsBodies,
        isSuperuser,
        isOurs,
        MAKE_VIEWS,
        IS_FORBIDDEN_BUILTIN,
        TEMP_FILE_LIMIT,
      ]),
    )
    .digest('hex');
  if (isThere && madeOf === wanted) return;
  if (readerUrl === null) {
    const can = `login password '${password}' connection limit ${MOST_CONNECTIONS} nocreatedb nocreaterole`;
    await db.raw(`${isThere ? 'alter' : 'create'} role ${role} ${can}`);
    await db.raw(`alter role ${role} set default_transaction_read_only = on`);
    await db.raw(`alter role ${role} set statement_timeout = '60s'`);
  }
  await db.raw(MAKE_VIEWS);
  await db.raw(`grant usage on schema ${ADMIN_SCHEMA} to ??`, [role]);
  await db.raw(`grant select on all tables in schema ${ADMIN_SCHEMA} to ??`, [role]);
  if (!showsBodies) await db.raw(`revoke all on ${ADMIN_SCHEMA}.${BODIES_VIEW} from ??`, [role]);
  if (isSuperuser) await shutPowersOff(db, role, isOurs);
  await db.raw(`comment on schema ${ADMIN_SCHEMA} is '${wanted}'`);
}

/** What only a superuser can take away from everybody; superusers themselves, the bot among them, lose nothing by it. */
async function shutPowersOff(db: Db, role: string, isOurs: boolean): Promise<void> {
  // Else a query could fill the disk within its time: 38 GB in ten minutes, as tried.
  await db.raw(`alter role ?? set temp_file_limit = '${TEMP_FILE_LIMIT}'`, [role]);
  // Somebody else's tables want nextval and their like.
  if (!isOurs) return;
  await db.raw(`
    do $$
    declare one regprocedure;
    begin
      for one in select p.oid from pg_proc p
        where ${IS_FORBIDDEN_BUILTIN} and has_function_privilege('public', p.oid, 'execute')
      loop execute format('revoke execute on %s %s from public',
        case when (select prokind from pg_proc where oid = one) = 'p' then 'procedure' else 'function' end, one);
      end loop;
      execute format('revoke temporary on database %I from public', current_database());
    end $$`);
}

/** `isOurs`: nobody else, superusers apart, has anything in this database. */
type State = { isSuperuser: boolean; isOurs: boolean; isThere: boolean; madeOf: string | null };

async function stateOf(db: Db, role: string): Promise<State> {
  const { rows } = await db.raw<{ rows: State[] }>(
    `select (select rolsuper from pg_roles where rolname = current_user) as "isSuperuser",
       not exists (select from pg_class join pg_roles on pg_roles.oid = relowner where not rolsuper) as "isOurs",
       exists (select from pg_roles where rolname = ?) as "isThere",
       (select obj_description(oid, 'pg_namespace') from pg_namespace where nspname = '${ADMIN_SCHEMA}') as "madeOf"`,
    [role],
  );
  return rows[0] as State;
}

/** A role of somebody else's making may be able to do more than it should. */
async function refuseMightyRole(db: Db, role: string): Promise<void> {
  const { rows } = await db.raw<{ rows: { powers: string }[] }>(
    `select concat_ws(', ',
       case when rolsuper then 'is a superuser' end,
       case when rolreplication then 'may replicate' end,
       case when rolcreaterole then 'may make roles' end,
       case when has_table_privilege(oid, 'messages', 'select, insert, update, delete') then 'may use the table messages' end,
       case when has_column_privilege(oid, 'installation', 'token_key', 'select') then 'may read the key of the tokens' end,
       (select 'is a member of ' || string_agg(r.rolname, ', ') from pg_auth_members m
          join pg_roles r on r.oid = m.roleid where m.member = pg_roles.oid)) as powers
     from pg_roles where rolname = ?`,
    [role],
  );
  const powers = rows[0]?.powers ?? 'is not there';
  if (powers === '') return;
  throw Object.assign(
    new Error(
      `No query is run: the role ${role}, which should only read the views, ${powers}. Take that away from it.`,
    ),
    { code: 'NO_READING_ROLE' },
  );
}

/** What stands outside of pg_catalog, as dblink does, is nobody's that we know. */
async function forbiddenNames(db: Db): Promise<string[]> {
  const { rows } = await db.raw<{ rows: { name: string }[] }>(
    `select distinct lower(p.proname) as name from pg_proc p
     where ${IS_FORBIDDEN_BUILTIN}
       or p.pronamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)`,
  );
  return rows.map(({ name }) => name);
}

function asRole(databaseUrl: string, role: string, password: string): string {
  const url = new URL(databaseUrl);
  url.username = role;
  url.password = password;
  // Either would win over the two above.
  for (const name of ['user', 'password']) url.searchParams.delete(name);
  return url.href;
}

function noRole(cause: Error, role: string, databaseUrl: string): Error {
  const database = new URL(databaseUrl).pathname.slice(1) || 'threadbox';
  const words = [
    `The database does not let Threadbox make a role that can only read: ${cause.message}.`,
    'Let somebody who administers it run this, with a password of their own:',
    `  create role threadbox_sql login password '...' connection limit ${MOST_CONNECTIONS};`,
    `  alter role threadbox_sql set temp_file_limit = '${TEMP_FILE_LIMIT}';`,
    `  grant create on database ${database} to ${decodeURIComponent(new URL(databaseUrl).username) || 'threadbox'};`,
    'Then set SQL_DATABASE_URL to the URL of the database with that role and its password.',
  ];
  return Object.assign(new Error(words.join('\n'), { cause }), { code: 'NO_READING_ROLE', role });
}
