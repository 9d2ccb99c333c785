import type { SqlRows } from '../mail/sql-results.ts';

/**
 * A result as CSV (RFC 4180): with a line of names, CRLF, and quotes where they are needed. NULL is an empty field, and
 * an empty text is `""`.
 *
 * @param isForPeople who open it in a spreadsheet: what that would take for a formula gets a `'` before it, as the texts
 * in it come from whoever sent a mail
 */
export function csvOf(
  { columns, rows }: Pick<SqlRows, 'columns' | 'rows'>,
  { isForPeople }: { isForPeople: boolean },
): string {
  const field = (value: string | null): string => {
    if (value === null) return '';
    const safe = isForPeople && isFormula(value) ? `'${value}` : value;
    return safe === '' || /[",\r\n]/.test(safe) || safe !== safe.trim()
      ? `"${safe.replaceAll('"', '""')}"`
      : safe;
  };
  const lines = [columns.map(({ name }) => name), ...rows].map((row) => row.map(field).join(','));
  return `${lines.join('\r\n')}\r\n`;
}

/** A number that is negative is none. */
const isFormula = (value: string): boolean =>
  /^[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]/.test(value) &&
  !/^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(value);
