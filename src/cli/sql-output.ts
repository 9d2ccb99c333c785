import { csvOf } from '../admin/csv.ts';
import { durationInWords, plural, sizeInWords } from '../mail/amounts.ts';
import { faultLine } from '../mail/fault-line.ts';
import type { SqlResult, SqlRows } from '../mail/sql-results.ts';
import { textTable } from '../mail/text-table.ts';
import { visibleText } from '../mail/visible-text.ts';

export const FORMATS = ['table', 'csv', 'json'] as const;
export type Format = (typeof FORMATS)[number];

/** The rows to standard output, everything else to standard error. */
export function printResult(result: SqlResult, format: Format): void {
  const tell = (words: string): void => void process.stderr.write(`${words}\n`);
  if (result.kind === 'saved') return tell(`Saved. To ask it: threadbox sql ${result.savedAs}`);
  if (result.kind === 'fault') {
    const line = faultLine(result, 100);
    tell(`threadbox: ${visibleText(result.message)}`);
    if (line !== null) tell(visibleText(line));
    if (result.hint !== null) tell(`Hint: ${visibleText(result.hint)}`);
    return;
  }
  process.stdout.write(FORM[format](result));
  if (format === 'table')
    tell(`(${plural(result.rows.length, 'row')} in ${durationInWords(result.durationMs)})`);
  if (result.cut === 'rows')
    tell('threadbox: there are more rows, which are not read: ask for fewer, or a part of them');
  if (result.cut === 'bytes') {
    tell(`threadbox: there is more, which is not read: up to ${sizeInWords(8 << 20)} of a result are`);
  }
}

/** PostgreSQL's numbers for its types: bool; int2, int4, float4, float8; json, jsonb; int8, numeric. */
const BOOLEAN = 16;
const SMALL_NUMBERS: ReadonlySet<number> = new Set([21, 23, 700, 701]);
const JSON_TYPES: ReadonlySet<number> = new Set([114, 3802]);
const LARGE_NUMBERS: ReadonlySet<number> = new Set([20, 1700]);

const FORM: Record<Format, (rows: SqlRows) => string> = {
  table({ columns, rows }) {
    const shown = columns.map(({ name, typeId }) => ({
      name,
      isNumber: SMALL_NUMBERS.has(typeId) || LARGE_NUMBERS.has(typeId),
    }));
    // A file or a program is as wide as is wanted.
    const width = (process.stdout.isTTY && process.stdout.columns) || Number.POSITIVE_INFINITY;
    return columns.length === 0 ? '' : `${textTable(shown, rows, width)}\n`;
  },
  csv: (result) => csvOf(result, { isForPeople: false }),
  json({ columns, rows }) {
    const names = distinct(columns.map(({ name }) => name));
    const records = rows.map((row) =>
      Object.fromEntries(
        row.map((value, at) => [names[at] ?? '', jsonValue(value, columns[at]?.typeId ?? 0)]),
      ),
    );
    return `${JSON.stringify(records, null, 2)}\n`;
  },
};

/** A second column of the same name would take the place of the first. */
function distinct(names: readonly string[]): string[] {
  const count = new Map<string, number>();
  return names.map((name) => {
    const seen = (count.get(name) ?? 0) + 1;
    count.set(name, seen);
    return seen === 1 ? name : `${name}_${seen}`;
  });
}

/** A number that JavaScript cannot hold exactly stays a text. */
function jsonValue(value: string | null, typeId: number): unknown {
  if (value === null) return null;
  if (typeId === BOOLEAN) return value === 't';
  if (JSON_TYPES.has(typeId)) return JSON.parse(value);
  const number = Number(value);
  if (SMALL_NUMBERS.has(typeId)) return Number.isFinite(number) ? number : value;
  return LARGE_NUMBERS.has(typeId) && String(number) === value ? number : value;
}
