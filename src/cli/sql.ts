import { userInfo } from 'node:os';
import { text as textOf } from 'node:stream/consumers';
import type { Reader } from '../admin/run-query.ts';
import type { AskedQuery } from '../store/sql-queries.ts';
import type { Db } from '../store/database.ts';
import { CliError, usageError, type CliCommand } from './command.ts';
import { withDatabase } from './database.ts';
import { FORMATS, printResult, type Format } from './sql-output.ts';
import { promptForQueries } from './sql-prompt.ts';

/** Runs what was asked, and prints it. @returns false when a query failed */
export type AskAndPrint = (typed: string, values?: readonly string[]) => Promise<boolean>;

export const sqlCommand: CliCommand = {
  usage: 'sql [QUERY] [VALUE...]',
  summary: 'asks the database, read-only; without a query it prompts for them',
  options: {
    format: { value: 'FORMAT', summary: `${FORMATS.join(', ')} (default: table)` },
  },
  notes:
    'QUERY: SELECT, WITH, VALUES or TABLE, or the name of a saved query; `threadbox sql queries` lists those. `-`: from\n' +
    'standard input. VALUE: for a question mark in it, in their order. The tables are those that docs/sql.md lists.\n\n' +
    'Example: threadbox sql "SELECT * FROM container_sessions WHERE is_active"\n' +
    'Example: threadbox sql history john@example.com --format csv > history.csv',
  async run([query, ...values], options) {
    const format = formatOf(options['format'] as string | undefined);
    const isPrompt = query === undefined && process.stdin.isTTY;
    const typed = isPrompt ? '' : query === undefined || query === '-' ? await textOf(process.stdin) : query;
    if (!isPrompt && typed.trim() === '')
      throw usageError('there is no query. Example: threadbox sql "SELECT 42"');
    const isDone = await withDatabase(async (db, databaseUrl) => {
      const { loadConfig, readEnvironment } = await import('../config.ts');
      const { sqlReader } = await import('../sql-reader.ts');
      const settings = loadConfig(readEnvironment(), { isForBot: false });
      const reader = sqlReader(settings, { db, databaseUrl, now: () => new Date() });
      const ask = asking(db, reader, format);
      return isPrompt ? promptForQueries(ask) : ask(typed, values);
    });
    return isDone ? 0 : 1;
  },
};

/** @throws {CliError} */
function formatOf(written: string | undefined): Format {
  const format = FORMATS.find((one) => one === (written ?? 'table'));
  if (format === undefined) throw usageError(`--format: expected ${FORMATS.join(', ')}; got ${written}`);
  return format;
}

function asking(db: Db, reader: Reader, format: Format): AskAndPrint {
  const askedBy = userInfo().username;
  return async (typed, values = []) => {
    const { askedQueries } = await import('../admin/asked-queries.ts');
    const { isReaderAway } = await import('../store/read-query.ts');
    const { endQuery, recordQueries } = await import('../store/sql-queries.ts');
    const asked = askedQueries(typed, await reader.known());
    if ('fault' in asked) throw new CliError(asked.fault);
    const queries = withValues(asked.queries, values);
    const now = new Date();
    const ids = await recordQueries(db, { via: 'command-line', askedBy }, queries, { state: 'queued', now });
    let isDone = true;
    for (const [index, query] of queries.entries()) {
      const id = ids[index] as number;
      const { result, end } = await reader.run(query, askedBy).catch(async (error: unknown) => {
        const failed = { outcome: 'error', error: String(error), rowCount: null, durationMs: null } as const;
        await endQuery(db, id, failed, new Date()).catch(() => {});
        if (isReaderAway(error)) throw new CliError(readerAwayWords(error as Error), 1, { cause: error });
        throw error;
      });
      await endQuery(db, id, end, new Date());
      printResult(result, format);
      if (result.kind === 'fault') isDone = false;
    }
    return isDone;
  };
}

const readerAwayWords = ({ message }: Error): string =>
  `${message}\nCheck that the database can be reached, by SQL_DATABASE_URL if that is set.`;

/** @throws {CliError} */
function withValues(queries: readonly AskedQuery[], values: readonly string[]): readonly AskedQuery[] {
  const [only] = queries;
  if (values.length === 0 || !only) return queries;
  if (queries.length > 1) throw usageError('values are for one query: give several queries without them');
  return [{ ...only, parameters: [...only.parameters, ...values] }];
}
