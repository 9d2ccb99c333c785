import { nearestName } from '../mail/nearest-name.ts';
import type { SqlFault, SqlResult, SqlRows, SqlSaved } from '../mail/sql-results.ts';
import type { Db } from '../store/database.ts';
import { readQuery, type QueryFault, type QueryLimits } from '../store/read-query.ts';
import { ensureReadingRole, type ReadingRole, type ReadingRoleSettings } from '../store/reading-role.ts';
import { listSavedQueries, saveQuery, type AskedQuery, type QueryEnd } from '../store/sql-queries.ts';
import { isReading, LIST_QUERIES, saveRequest, type KnownQuery } from './asked-queries.ts';
import { SHIPPED_QUERIES } from './shipped-queries.ts';
import { firstWord, forbiddenIn, hasCurlyQuotes, numbered } from './statements.ts';

export type Reader = {
  /** @throws when the database is away */
  run: (asked: AskedQuery, askedBy: string) => Promise<{ result: SqlResult; end: QueryEnd }>;
  /** What can be asked for by its name. */
  known: () => Promise<KnownQuery[]>;
};

export type ReaderParts = {
  db: Db;
  settings: ReadingRoleSettings;
  limits: QueryLimits;
  limitMemory: ((pid: number) => Promise<void>) | null;
  now: () => Date;
};

export const SQL_LIMITS: QueryLimits = { rows: 50_000, bytes: 8 << 20, timeoutMs: 10_000 };

/** Runs what admins ask. The role that reads is made sure of with the first query. */
export function openReader({ db, settings, limits, limitMemory, now }: ReaderParts): Reader {
  let role: ReadingRole | null = null;

  async function read(query: string, parameters: readonly string[]) {
    role ??= await ensureReadingRole(db, settings);
    const { databaseUrl, forbiddenFunctions } = role;
    const forbidden = forbiddenIn(query, forbiddenFunctions);
    if (forbidden !== null) {
      return {
        refused: `${forbidden} cannot be used here: a query only reads, and this does something else.`,
      };
    }
    try {
      return await readQuery({ databaseUrl, limits, limitMemory }, query, parameters);
    } catch (error) {
      // The views or the role may have gone, as with another version of Threadbox: they are made anew next time.
      role = null;
      throw error;
    }
  }

  async function answer({ name, query, parameters }: AskedQuery, askedBy: string): Promise<Answered> {
    if (query === LIST_QUERIES) return { kind: 'rows', ...(await listed(db)), cut: null };
    const save = saveRequest(query);
    if (save) {
      if ('fault' in save) return refusal(`Not saved: ${save.fault}.`);
      await saveQuery(db, { ...save, savedBy: askedBy }, now());
      return { kind: 'saved', savedAs: save.name };
    }
    const { text, count } = numbered(query);
    if (count !== parameters.length) return refusal(...valuesWanted(name, count, parameters.length));
    const outcome = await read(text, parameters);
    if ('refused' in outcome) return refusal(outcome.refused);
    if (!('message' in outcome)) return { kind: 'rows', ...outcome };
    return { kind: 'fault', text, ...(await explained(outcome, query)) };
  }

  async function explained(fault: QueryFault, query: string) {
    const word = firstWord(query);
    if (fault.at === 0 && !isReading(query)) {
      const known = (await knownQueries(db)).map(({ name }) => name);
      const nearest = /^[\w-]+(?:\s+\S+)?$/.test(query)
        ? nearestName(query.split(/\s/)[0] ?? '', known)
        : null;
      return {
        ...fault,
        message: `${word || 'this'} cannot be run here`,
        hint:
          nearest === null
            ? 'Queries only read: they begin with SELECT, WITH, VALUES or TABLE. The word queries lists those that have a name.'
            : `Did you mean the saved query ${nearest}? The word queries lists them all.`,
      };
    }
    if (hasCurlyQuotes(query)) {
      return {
        ...fault,
        hint: `There are curly quotes in it, as phones make them. SQL wants straight ones: ' and ".`,
      };
    }
    return fault;
  }

  return {
    known: () => knownQueries(db),
    async run(asked, askedBy) {
      const startedAt = performance.now();
      const answered = await answer(asked, askedBy).catch((error: unknown): Answered => {
        if ((error as { code?: string }).code !== 'NO_READING_ROLE') throw error;
        return refusal((error as Error).message);
      });
      const durationMs = Math.round(performance.now() - startedAt);
      return {
        result: { ...answered, name: asked.name, query: asked.query, durationMs },
        end: endOf(answered, durationMs),
      };
    },
  };
}

type Answered = SqlRows | SqlFault | SqlSaved;

const refusal = (message: string, hint: string | null = null): SqlFault => ({
  kind: 'fault',
  text: '',
  message,
  at: null,
  hint,
  isTimeout: false,
  isRefused: true,
});

function endOf(answered: Answered, durationMs: number): QueryEnd {
  if (answered.kind === 'rows') {
    const outcome = answered.cut === null ? 'rows' : 'cut';
    return { outcome, error: null, rowCount: answered.rows.length, durationMs };
  }
  if (answered.kind === 'saved') return { outcome: 'rows', error: null, rowCount: 0, durationMs };
  const outcome = answered.isRefused ? 'refused' : answered.isTimeout ? 'timeout' : 'error';
  return { outcome, error: answered.message, rowCount: null, durationMs };
}

function valuesWanted(name: string | null, wanted: number, given: number): [message: string, hint: string] {
  const values = wanted === 1 ? 'one value' : `${wanted} values`;
  const message = `This query wants ${wanted === 0 ? 'no values' : values} for its question marks, and got ${given === 0 ? 'none' : given}.`;
  const lines = Array.from({ length: wanted }, () => '? = VALUE').join(' and ');
  if (wanted === 0) return [message, 'Leave out what stands behind its name.'];
  return [
    message,
    name === null
      ? `Put the value in the place of the question mark, or below the query, on a line of its own: ${lines}`
      : `Write it behind the name: ${name} ${Array.from({ length: wanted }, () => 'VALUE').join(' ')}`,
  ];
}

async function knownQueries(db: Db): Promise<KnownQuery[]> {
  return [...SHIPPED_QUERIES, ...(await listSavedQueries(db))];
}

const TEXT_TYPE = 25;

async function listed(db: Db) {
  const saved = await listSavedQueries(db);
  const own = saved.map(({ name, query, savedBy }) => [
    name,
    `saved by ${savedBy}: ${query.replace(/\s+/g, ' ')}`,
  ]);
  const columns = ['name', 'what it tells'].map((name) => ({ name, typeId: TEXT_TYPE }));
  return { columns, rows: [...SHIPPED_QUERIES.map(({ name, about }) => [name, about]), ...own] };
}
