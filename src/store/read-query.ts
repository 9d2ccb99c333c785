import { Client, DatabaseError, type QueryArrayConfig, type QueryConfig } from 'pg';
import { ADMIN_SCHEMA } from './admin-views.ts';
import { hangUp, socketOf } from './connections.ts';
import { isDatabaseAway } from './database.ts';

/** `typeId`: PostgreSQL's, as in pg_type. */
type Column = { name: string; typeId: number };

/** As PostgreSQL writes values; null is its NULL. */
type Row = readonly (string | null)[];

export type QueryLimits = { rows: number; bytes: number; timeoutMs: number };

/** `cut`: there are more rows than were read, and why they were not. */
export type ReadRows = { columns: Column[]; rows: Row[]; cut: 'rows' | 'bytes' | null };

/** What PostgreSQL says against a query. `at`: the offset in its text, of UTF-16 units, where that is known. */
export type QueryFault = { message: string; at: number | null; hint: string | null; isTimeout: boolean };

export type QueryParts = {
  /** Of a role that can only read. */
  databaseUrl: string;
  limits: QueryLimits;
  /** Keeps a process of the database server, by its id, from taking the memory of the machine; where it is ours. */
  limitMemory: ((pid: number) => Promise<void>) | null;
};

const PREFIX = 'declare threadbox_rows no scroll cursor for ';
/** Asked for at a time: of rows that are as large as those before. */
const BATCH_BYTES = 1 << 20;
const MOST_AT_ONCE = 2_000;
/** How much longer than the server's own time limit we wait. */
const PATIENCE_MS = 3_000;
const CONNECT_MS = 5_000;
const BEGIN_MS = 5_000;

/**
 * Runs one query and reads its rows, on a connection of its own that ends with it. PostgreSQL itself holds it to reading:
 * the role may see nothing but the views, the transaction is read-only, and the query stands within DECLARE, which takes
 * SELECT, VALUES and TABLE alone, in the extended protocol, which takes one statement alone. A result is read in
 * portions, and nothing of what is beyond the limits.
 *
 * @throws an error of {@link isReaderAway} when the database cannot be reached, or the connection breaks; another one when
 *   it does not let the role in
 */
export async function readQuery(
  { databaseUrl, limits, limitMemory }: QueryParts,
  text: string,
  parameters: readonly string[],
): Promise<ReadRows | QueryFault> {
  const client = new Client({
    connectionString: databaseUrl,
    application_name: 'threadbox (admin SQL)',
    connectionTimeoutMillis: CONNECT_MS,
  });
  const guard = watch(client, limits);
  try {
    await client.connect();
    const pid = await begin(client, limits);
    if (limitMemory) await limitMemory(pid);
    return await guard.within(() => read(client, { text, parameters, limits, guard }));
  } catch (error) {
    if (error instanceof DatabaseError && guard.hasBegun()) return faultOf(error, text, limits);
    throw isDatabaseAway(error) ? readerAway(error as Error) : error;
  } finally {
    guard.end();
    await hangUp(client);
  }
}

/** Not the bot's own connection, which may be to another address: that one may well work meanwhile. */
const readerAway = (cause: Error): Error =>
  Object.assign(
    new Error(`the connection for queries was not made, or broke: ${cause.message || String(cause)}`, {
      cause,
    }),
    { code: 'READER_AWAY' },
  );

/** The connection that queries have for themselves was not made, or broke; trying again later may help. */
export const isReaderAway = (error: unknown): boolean => (error as { code?: string }).code === 'READER_AWAY';

/** @returns the process of the server */
async function begin(client: Client, { timeoutMs }: QueryLimits): Promise<number> {
  // As text, where types and moments are what PostgreSQL writes; in one round trip.
  const settings = {
    statement_timeout: timeoutMs,
    lock_timeout: 2_000,
    idle_in_transaction_session_timeout: 60_000,
    search_path: ADMIN_SCHEMA,
    // Where they were off, what is a string to PostgreSQL would be none to who looks for names in it.
    standard_conforming_strings: 'on',
    timezone: 'UTC',
    datestyle: 'ISO',
    work_mem: '8MB',
    max_parallel_workers_per_gather: 0,
    client_connection_check_interval: 1_000,
  };
  const set = Object.entries(settings).map(([name, value]) => `set local ${name} = '${value}'`);
  // The server's own limit holds from here on; one that says nothing at all must not be waited for either.
  const within = { query_timeout: BEGIN_MS };
  const text = `begin isolation level repeatable read read only; ${set.join('; ')}`;
  await client.query({ text, ...within } as QueryConfig);
  const pid = { text: 'select pg_backend_pid() as pid', ...within } as QueryConfig;
  const { rows } = await client.query<{ pid: number }>(pid);
  return rows[0]?.pid ?? 0;
}

type Guard = ReturnType<typeof watch>;

/**
 * Cuts the connection when more comes in than may, as one row of a gigabyte would, or when the server does not keep to
 * the time: what has been read until then is what there is.
 */
function watch(client: Client, { bytes, timeoutMs }: QueryLimits) {
  const cut = Promise.withResolvers<'bytes' | 'time'>();
  let left = Number.POSITIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;
  // Errors after the cut are the cut.
  client.on('error', () => {});
  const stop = (why: 'bytes' | 'time'): void => {
    cut.resolve(why);
    socketOf(client).destroy();
  };
  return {
    cut: cut.promise,
    hasBegun: () => timer !== undefined,
    async within<T>(work: () => Promise<T>): Promise<T> {
      left = bytes + 2 * BATCH_BYTES;
      timer = setTimeout(() => stop('time'), timeoutMs + PATIENCE_MS);
      socketOf(client).on('data', (chunk: Buffer) => {
        left -= chunk.length;
        if (left < 0) stop('bytes');
      });
      return work();
    },
    end: () => clearTimeout(timer),
  };
}

async function read(
  client: Client,
  {
    text,
    parameters,
    limits,
    guard,
  }: { text: string; parameters: readonly string[]; limits: QueryLimits; guard: Guard },
): Promise<ReadRows | QueryFault> {
  const startedAt = performance.now();
  const found: ReadRows = { columns: [], rows: [], cut: null };
  const ask = async (query: string, values: readonly string[] = []): Promise<Answer | 'bytes' | 'time'> => {
    const asked = client.query<(string | null)[]>({
      text: query,
      values: [...values],
      rowMode: 'array',
      types: AS_TEXT,
      // Else pg takes the simple protocol for a query without values, in which one text can be many statements.
      queryMode: 'extended',
    } as QueryArrayConfig);
    asked.catch(() => {});
    return Promise.race([asked, guard.cut]);
  };
  const declared = await ask(PREFIX + text, parameters);
  if (typeof declared === 'string')
    return declared === 'time' ? timedOut(limits) : { ...found, cut: declared };
  let bytes = 0;
  for (let count = 1; ; count = nextCount(bytes, found.rows.length, limits)) {
    const answer = await ask(`fetch forward ${count} from threadbox_rows`);
    if (answer === 'time' || performance.now() - startedAt > limits.timeoutMs) return timedOut(limits);
    if (answer === 'bytes') return { ...found, cut: 'bytes' };
    found.columns = answer.fields.map(({ name, dataTypeID }) => ({ name, typeId: dataTypeID }));
    for (const row of answer.rows) {
      bytes += sizeOf(row);
      if (found.rows.length >= limits.rows) return { ...found, cut: 'rows' };
      if (bytes > limits.bytes) return { ...found, cut: 'bytes' };
      found.rows.push(row);
    }
    if (answer.rows.length < count) return found;
  }
}

type Answer = { fields: { name: string; dataTypeID: number }[]; rows: (string | null)[][] };

/** Values as PostgreSQL writes them: no moment loses its microseconds, no number its digits. */
const AS_TEXT = { getTypeParser: () => (value: unknown) => value } as never;

/** As many rows as are likely to be one portion; one more than may be read, to know that there are more. */
function nextCount(bytes: number, rows: number, limits: QueryLimits): number {
  const likely = Math.floor(BATCH_BYTES / Math.max(1, bytes / Math.max(1, rows)));
  return Math.max(1, Math.min(likely, MOST_AT_ONCE, limits.rows - rows + 1));
}

/** In memory, about: each value costs something for itself. */
function sizeOf(row: Row): number {
  return row.reduce((sum, value) => sum + 8 + Buffer.byteLength(value ?? ''), 0);
}

function faultOf(
  { message, code, position, hint }: DatabaseError,
  text: string,
  limits: QueryLimits,
): QueryFault {
  // 57014: cancelled, which nobody but the time limit does.
  if (code === '57014') return timedOut(limits);
  // PostgreSQL counts characters, from 1.
  const at = position === undefined ? null : Number(position) - 1 - PREFIX.length;
  const isWithin = at !== null && at >= 0;
  return {
    message,
    at: isWithin ? [...text].slice(0, at).join('').length : null,
    hint: hint ?? null,
    isTimeout: false,
  };
}

const timedOut = ({ timeoutMs }: QueryLimits): QueryFault => ({
  message: `it took longer than ${timeoutMs / 1000} seconds and was ended`,
  at: null,
  hint: 'Ask for less: a shorter time, fewer rows, a count instead of a list.',
  isTimeout: true,
});
