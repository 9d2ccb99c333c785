import type { Migration } from '../../migrations/migration.ts';
import { migrations } from '../../migrations/index.ts';
import { letTakeItsTime, schemaState, type Db } from './database.ts';

/** What is known of a database besides the rows of its tables. */
export type DumpFacts = {
  installation: string;
  /** In the order they were applied. */
  migrations: string[];
  tables: { name: string; rows: number }[];
  /** Identities, and the value each goes on with. */
  sequences: { table: string; column: string; lastValue: string; isCalled: boolean }[];
};

/** So much of a table is in memory at a time, where its rows are of about the same size. */
const BATCH_BYTES = 4 << 20;
const MOST_ROWS = 100;

/**
 * All rows of all tables, as one moment saw them, while others go on working.
 *
 * @param write gets the rows of one table after another: each a line of JSON that PostgreSQL has made, as bytea, times
 *   and large numbers would suffer in JavaScript
 */
export async function dumpTables(
  db: Db,
  write: (table: string, lines: AsyncIterable<string>) => Promise<void>,
): Promise<DumpFacts> {
  return db.transaction(
    async (transaction) => {
      await letTakeItsTime(transaction);
      const names = await tableNames(transaction);
      const tables: DumpFacts['tables'] = [];
      for (const name of names) {
        let rows = 0;
        await write(
          name,
          counted(linesOf(transaction, name), () => (rows += 1)),
        );
        tables.push({ name, rows });
      }
      const installation = await transaction('installation').first<{ id: string }>('id');
      const { applied } = await schemaState(transaction);
      return {
        installation: installation.id,
        migrations: applied,
        tables,
        sequences: await sequencesOf(transaction),
      };
    },
    { isolationLevel: 'repeatable read', readOnly: true },
  );
}

async function* counted(lines: AsyncIterable<string>, count: () => void): AsyncIterable<string> {
  for await (const line of lines) {
    count();
    yield line;
  }
}

async function* linesOf(db: Db, table: string): AsyncIterable<string> {
  await db.raw('declare dumped no scroll cursor for select row_to_json(t)::text as line from ?? as t', [
    table,
  ]);
  // The first row tells how large they are.
  for (let rowCount = 1; ;) {
    const { rows } = await db.raw<{ rows: { line: string }[] }>(`fetch ${rowCount} from dumped`);
    if (rows.length === 0) break;
    let bytes = 0;
    for (const { line } of rows) {
      bytes += line.length;
      yield line;
    }
    rowCount = Math.max(1, Math.min(MOST_ROWS, Math.floor(BATCH_BYTES / (bytes / rows.length))));
  }
  await db.raw('close dumped');
}

/** Ours: what lies in our schema, without what the migrations keep themselves. */
async function tableNames(db: Db): Promise<string[]> {
  const { rows } = await db.raw<{ rows: { name: string }[] }>(
    `select relname::text as name from pg_class
     where relkind = 'r' and relnamespace = current_schema()::regnamespace and relname not like 'knex\\_%' order by 1`,
  );
  return rows.map(({ name }) => name);
}

async function sequencesOf(db: Db): Promise<DumpFacts['sequences']> {
  const { rows } = await db.raw<{ rows: { table: string; column: string; sequence: string }[] }>(
    `select c.relname::text as "table", a.attname::text as "column",
            pg_get_serial_sequence(quote_ident(c.relname), a.attname) as sequence
     from pg_class c join pg_attribute a on a.attrelid = c.oid
     where c.relkind = 'r' and c.relnamespace = current_schema()::regnamespace and a.attidentity <> ''`,
  );
  const sequences: DumpFacts['sequences'] = [];
  for (const { table, column, sequence } of rows) {
    const state = await db.raw<{ rows: { lastValue: string; isCalled: boolean }[] }>(
      `select last_value::text as "lastValue", is_called as "isCalled" from ${sequence}`,
    );
    sequences.push({ table, column, ...(state.rows[0] as { lastValue: string; isCalled: boolean }) });
  }
  return sequences;
}

/** What keeps a dump from being loaded, in words for the operator; null: nothing does. */
export async function loadObstacle(
  db: Db,
  wanted: readonly string[],
): Promise<{ says: string; todo: string } | null> {
  const unknown = wanted.filter((name) => !(name in migrations));
  if (unknown.length > 0) {
    const says = `the backup was made by a newer Threadbox: this one does not know ${unknown.join(', ')}`;
    return { says, todo: 'Update this Threadbox.' };
  }
  const { applied } = await schemaState(db);
  if (applied.length === 0) return null;
  const todo = 'Name an empty database: another DATABASE_URL, or another DATA_DIR where that is not set.';
  for (const table of ['users', 'repositories', 'messages', 'threads']) {
    if (await db(table).first()) {
      return { says: `the database is not empty: there are rows in the table ${table}`, todo };
    }
  }
  const isSame = applied.length === wanted.length && applied.every((name) => wanted.includes(name));
  return isSame ? null : { says: 'the database has the tables of another version than the backup', todo };
}

/** Makes the tables as they were when the dump was made. The next start brings them up to date. */
export async function makeTables(db: Db, wanted: readonly string[]): Promise<void> {
  await db.migrate.latest({
    migrationSource: {
      getMigrations: () => Promise.resolve([...wanted]),
      getMigrationName: (name: string) => name,
      getMigration: (name: string) => Promise.resolve(migrations[name] as Migration),
    },
  });
}

/**
 * Fills empty tables. For one transaction.
 *
 * @param read gives the lines that `dumpTables` gave
 * @throws when a row does not fit, or one that it refers to is missing
 */
export async function loadTables(
  db: Db,
  { tables, sequences }: Pick<DumpFacts, 'tables' | 'sequences'>,
  read: (table: string) => AsyncIterable<string>,
): Promise<void> {
  // Rows refer to each other in all directions: that is checked when all are there.
  const { rows: references } = await db.raw<{ rows: { name: string; table: string; definition: string }[] }>(
    `select conname::text as name, conrelid::regclass::text as "table", pg_get_constraintdef(oid) as definition
     from pg_constraint where contype = 'f' and connamespace = current_schema()::regnamespace`,
  );
  for (const { name, table } of references) await db.raw('alter table ?? drop constraint ??', [table, name]);
  // The migrations have made a new installation, which this one is not.
  await db('installation').delete();
  for (const { name, rows } of tables) await loadTable(db, { name, rows }, read(name));
  for (const { name, table, definition } of references) {
    await db.raw(`alter table ?? add constraint ?? ${definition}`, [table, name]);
  }
  for (const { table, column, lastValue, isCalled } of sequences) {
    await db.raw('select setval(pg_get_serial_sequence(quote_ident(?), ?), ?::bigint, ?)', [
      table,
      column,
      lastValue,
      isCalled,
    ]);
  }
}

async function loadTable(
  db: Db,
  { name, rows: expected }: DumpFacts['tables'][number],
  lines: AsyncIterable<string>,
): Promise<void> {
  let batch: string[] = [];
  let bytes = 0;
  let loaded = 0;
  const flush = async (): Promise<void> => {
    if (batch.length === 0) return;
    await db.raw(
      'insert into ?? overriding system value select * from json_populate_recordset(null::??, ?::json)',
      [name, name, `[${batch.join(',')}]`],
    );
    loaded += batch.length;
    batch = [];
    bytes = 0;
  };
  for await (const line of lines) {
    batch.push(line);
    bytes += line.length;
    if (bytes >= BATCH_BYTES) await flush();
  }
  await flush();
  if (loaded !== expected) throw new Error(`Expected ${expected} rows of the table ${name}, got ${loaded}`);
}
